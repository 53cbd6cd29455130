"""Cross-entropy on every backend against PyTorch, and the reference against the loops."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.layout import Array
from tests.kernels.oracles import DTYPES, assert_close, call, layouts, leaf, normal, seeds

IGNORED = 2
smoothings = st.sampled_from([0.0, 0.1, 1.0])


def draw(seed: int, dtype: type, rows: int, classes: int, layout: str = "contiguous") -> tuple[Array, ...]:
    """Random logits (M, C), probabilities (M, C), class weights (C,), and the rows' gradients (M,)."""
    rng = np.random.default_rng(seed)
    return (
        normal(rng, (rows, classes), dtype, layout),
        rng.dirichlet(np.ones(classes), rows).astype(dtype),
        rng.uniform(0.5, 2, classes).astype(dtype),
        rng.standard_normal(rows).astype(dtype),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label_dtype", [np.uint8, np.int32, np.int64])
@given(
    rows=st.integers(0, 6), classes=st.integers(1, 5), seed=seeds, layout=layouts, weighted=st.booleans(),
    ignore_index=st.sampled_from([-100, IGNORED]), label_smoothing=smoothings,
)
def test_cross_entropy_of_class_numbers_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, label_dtype: type, rows: int, classes: int, seed: int, layout: str,
    weighted: bool, ignore_index: int, label_smoothing: float,
) -> None:
    logits, _, class_weight, row_grad = draw(seed, dtype, rows, classes, layout)
    weight = class_weight if weighted else None
    target = np.random.default_rng(seed).integers(0, classes, rows).astype(label_dtype)
    settings: dict[str, Any] = {
        "weight": torch.tensor(weight) if weighted else None, "ignore_index": ignore_index,
        "label_smoothing": label_smoothing,
    }
    torch_logits, torch_target = leaf(torch, logits), torch.tensor(target.astype(np.int64))
    expected = torch.nn.functional.cross_entropy(torch_logits, torch_target, reduction="none", **settings)

    k = kernels.serving(logits)
    losses, log_probabilities, row_weights = call(
        k.cross_entropy, logits, target, weight, ignore_index, label_smoothing
    )
    assert_close(losses, expected.detach().numpy())
    assert_close(log_probabilities, torch.log_softmax(torch_logits, 1).detach().numpy())
    assert row_weights.dtype == dtype
    assert (row_weights[target == ignore_index] == 0).all()
    if row_weights.any():
        mean = torch.nn.functional.cross_entropy(torch_logits, torch_target, **settings)
        assert_close(losses.sum() / row_weights.sum(), mean.detach().numpy())

    (logits_grad,) = torch.autograd.grad(expected, torch_logits, torch.tensor(row_grad))
    got = call(
        k.cross_entropy_backward, row_grad, log_probabilities, target, weight, ignore_index, label_smoothing
    )
    assert_close(got, logits_grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    rows=st.integers(0, 6), classes=st.integers(1, 5), seed=seeds, layout=layouts, weighted=st.booleans(),
    label_smoothing=smoothings,
)
def test_cross_entropy_of_probabilities_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, rows: int, classes: int, seed: int, layout: str, weighted: bool,
    label_smoothing: float,
) -> None:
    logits, target, class_weight, row_grad = draw(seed, dtype, rows, classes, layout)
    weight = class_weight if weighted else None
    torch_logits, torch_target = leaf(torch, logits), leaf(torch, target)
    expected = torch.nn.functional.cross_entropy(
        torch_logits, torch_target, torch.tensor(weight) if weighted else None, reduction="none",
        label_smoothing=label_smoothing,
    )

    k = kernels.serving(logits)
    losses, log_probabilities, row_weights = call(k.cross_entropy, logits, target, weight, -100, label_smoothing)
    assert_close(losses, expected.detach().numpy())
    np.testing.assert_array_equal(row_weights, np.ones(rows))

    logits_grad, target_grad = torch.autograd.grad(expected, (torch_logits, torch_target), torch.tensor(row_grad))
    got = call(k.cross_entropy_backward, row_grad, log_probabilities, target, weight, -100, label_smoothing)
    assert_close(got, logits_grad.numpy())
    got = call(k.cross_entropy_target_grad, row_grad, log_probabilities, weight, label_smoothing)
    assert_close(got, target_grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_impossible_class_that_does_not_count_adds_nothing(backend: str, dtype: type) -> None:
    """A logit of -inf masks its class out. It costs nothing, unless it is the true one."""
    logits = np.array([[0, -np.inf, 0.0], [0, -np.inf, 0.0]], dtype)
    k = kernels.serving(logits)
    target = np.array([0, 1])
    losses, log_probabilities, _ = k.cross_entropy(logits, target, None, -100, 0.0)
    np.testing.assert_allclose(losses, [np.log(2), np.inf], rtol=1e-6)
    grad = k.cross_entropy_backward(np.ones(2, dtype), log_probabilities, target, None, -100, 0.0)
    np.testing.assert_allclose(grad, [[-0.5, 0, 0.5], [0.5, -1, 0.5]], rtol=1e-6)


def test_large_logits_do_not_overflow(backend: str) -> None:
    logits = np.array([[1e4, 0, -1e4]], np.float32)
    losses, _, _ = kernels.serving(logits).cross_entropy(logits, np.array([1]), None, -100, 0.0)
    np.testing.assert_array_equal(losses, [1e4])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [True, False])
def test_on_a_card_a_class_that_does_not_exist_spoils_its_row_and_no_other(
    backend: str, dtype: type, weighted: bool
) -> None:
    if not backend.startswith("cuda"):
        pytest.skip("an IndexError, if anything")
    logits, target, ones = np.zeros((4, 3), dtype), np.array([3, 0, -1, 1 << 40]), np.ones(4, dtype)
    k, weight = kernels.serving(logits), ones[:3] if weighted else None
    losses, log_probabilities, row_weights = k.cross_entropy(logits, target, weight, -100, 0.1)
    grad = k.cross_entropy_backward(ones, log_probabilities, target, weight, -100, 0.1)
    for result in (losses, row_weights, grad):
        spoilt = np.isnan(result).reshape(4, -1)
        np.testing.assert_array_equal(spoilt.all(axis=1), [True, False, True, True])
        np.testing.assert_array_equal(spoilt.any(axis=1), [True, False, True, True])
    assert np.isfinite(log_probabilities).all()


def noted(logits: Array, target: Array, loss: Array, halted: int = 0) -> tuple[list[float], int]:
    """What the selected backend makes of step 5: the record, and what `halted` has become."""
    record, stop = np.full(2, -1, logits.dtype), np.array([halted])
    kernels.serving(logits).note_step(logits, target, loss, 5, record, stop)
    return record.tolist(), int(stop[0])


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    rows=st.sampled_from([0, 1, 5, 128, 700]), classes=st.sampled_from([1, 2, 10, 70]), seed=seeds, layout=layouts,
    scalar=st.booleans(),
)
def test_a_steps_record_is_its_loss_and_how_many_rows_are_right(
    backend: str, dtype: type, rows: int, classes: int, seed: int, layout: str, scalar: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = normal(rng, (rows, classes), dtype, layout)
    logits[...] = np.round(logits)  # many equal ones: the first of them counts
    logits[rng.random(logits.shape) < 0.05] = np.nan
    guess = logits.argmax(axis=1)
    target = np.where(rng.random(rows) < 0.6, guess, rng.integers(0, classes, rows))
    loss = np.asarray(1.25, dtype).reshape(() if scalar else (1,))
    assert noted(logits, target, loss) == ([1.25, (guess == target).sum()], 0)


def test_the_first_nan_is_the_largest(backend: str) -> None:
    logits = np.array([[0, np.nan, np.nan, np.inf]] * 4)
    assert noted(logits, np.arange(4), np.array(0.0)) == ([0, 1], 0)
    assert noted(logits, np.full(4, 1), np.array(0.0)) == ([0, 4], 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_halts(backend: str, dtype: type, loss: float) -> None:
    logits, target = np.eye(3, dtype=dtype), np.arange(3)
    record, halted = noted(logits, target, np.array(loss, dtype))
    np.testing.assert_array_equal(record, [loss, 3])
    assert halted == 5
    assert noted(logits, target, np.array(loss, dtype), halted=2)[1] == 2  # the first such step is remembered
    assert noted(logits, target, np.array(0, dtype), halted=2)[1] == 2
    assert noted(logits, target, np.array(np.finfo(dtype).max, dtype))[1] == 0


@given(seed=seeds, weighted=st.booleans(), label_smoothing=smoothings, hard=st.booleans())
def test_the_reference_agrees_with_the_loops(seed: int, weighted: bool, label_smoothing: float, hard: bool) -> None:
    logits, probabilities, class_weight, row_grad = draw(seed, np.float64, 5, 4)
    target = probabilities.argmax(axis=1) if hard else probabilities
    weight = class_weight if weighted else None
    naive, reference = kernels.load("naive"), kernels.load("reference")
    expected = naive.cross_entropy(logits, target, weight, IGNORED, label_smoothing)
    for got, part in zip(
        reference.cross_entropy(logits, target, weight, IGNORED, label_smoothing), expected, strict=True
    ):
        assert_close(got, part)
    for name, *args in (
        ("cross_entropy_backward", row_grad, expected[1], target, weight, IGNORED, label_smoothing),
        ("cross_entropy_target_grad", row_grad, expected[1], weight, label_smoothing),
    ):
        assert_close(getattr(reference, name)(*args), getattr(naive, name)(*args))


def test_a_class_that_does_not_exist_is_refused() -> None:
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(IndexError, match="class numbers from 0 to 3 of 3 classes"):
        kernels.load("cpu").cross_entropy(logits, np.array([0, 3]), None, -100, 0.0)
