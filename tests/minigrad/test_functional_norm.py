"""Activations, normalisations and dropout: against PyTorch and finite differences, on every backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
import minigrad
from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, LAYOUTS, agree, assert_close, normal, spaced, torch_module

IMAGES = (normal(2, 3, 2, 4), normal(3), normal(3, seed=1))  # input, weight, bias
STATISTICS = (normal(3, seed=2), np.abs(normal(3, seed=3)) + 0.1)

CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], tuple[np.ndarray, ...]]] = {
    "relu": (lambda F, x: F.relu(x), (spaced(2, 3, 2, 2),), ()),
    "softmax": (lambda F, x: F.softmax(x, 1), (normal(2, 3),), ()),
    "softmax, first of three axes": (lambda F, x: F.softmax(x, 0), (normal(2, 3, 2),), ()),
    "softmax, last of four axes": (lambda F, x: F.softmax(x, -1), (normal(2, 1, 2, 3),), ()),
    "softmax, no axes": (lambda F, x: F.softmax(x, 0), (normal(),), ()),
    "log_softmax": (lambda F, x: F.log_softmax(x, 1), (normal(2, 3),), ()),
    "log_softmax, five axes": (lambda F, x: F.log_softmax(x, -4), (normal(1, 3, 1, 2, 2),), ()),
    "batch_norm": (lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), IMAGES, ()),
    "batch_norm of rows": (
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), (normal(4, 3), *IMAGES[1:]), (),
    ),
    "batch_norm of sequences": (
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), (normal(2, 3, 4), *IMAGES[1:]), (),
    ),
    "batch_norm, nothing learned": (lambda F, x: F.batch_norm(x, None, None, training=True), IMAGES[:1], ()),
    "batch_norm, weight alone": (lambda F, x, w: F.batch_norm(x, None, None, w, None, True), IMAGES[:2], ()),
    "batch_norm, bias alone": (lambda F, x, b: F.batch_norm(x, None, None, None, b, True), IMAGES[:2], ()),
    "batch_norm, large eps": (lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True, eps=2.0), IMAGES, ()),
    "batch_norm in evaluation": (lambda F, x, w, b, m, v: F.batch_norm(x, m, v, w, b), IMAGES, STATISTICS),
    "local_response_norm": (
        lambda F, x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0), (normal(2, 5, 2, 2),), (),
    ),
    "local_response_norm, even window": (lambda F, x: F.local_response_norm(x, 4, 1.5, 0.6), (normal(1, 6, 2, 1),), ()),
    "local_response_norm, wider than the channels": (
        lambda F, x: F.local_response_norm(x, 9, 0.5), (normal(2, 3, 2, 2),), (),
    ),
    "local_response_norm of sequences": (lambda F, x: F.local_response_norm(x, 2, 1.0), (normal(2, 3, 2),), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name: str, backend: str) -> None:
    fn, arrays, fixed = CASES[name]
    agree(fn, *arrays, fixed=fixed, check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name: str, dtype: type, layout: str, backend: str) -> None:
    fn, arrays, fixed = CASES[name]
    agree(fn, *arrays, fixed=fixed, dtype=dtype, layout=layout)


# --- activations


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(-5, 4), st.sampled_from(DTYPES))
def test_softmaxes_of_any_shape_agree(shape: list[int], dim: int, dtype: type) -> None:
    dim = dim % len(shape)
    agree(lambda F, x: F.softmax(x, dim), normal(*shape), dtype=dtype)
    agree(lambda F, x: F.log_softmax(x, dim), normal(*shape), dtype=dtype)


@pytest.mark.parametrize("numbers", [[1e3, 0, -1e3], [-np.inf, 0, 1], [np.nan, 0, 1], [np.inf, 0, 1], [-np.inf] * 3])
def test_extreme_logits_agree(numbers: list[float], backend: str) -> None:
    for dtype in DTYPES:
        agree(lambda F, x: F.softmax(x, 0), np.array(numbers), dtype=dtype)
        agree(lambda F, x: F.log_softmax(x, 0), np.array(numbers), dtype=dtype)


def test_relu_at_zero_nan_and_infinity_agrees(backend: str) -> None:
    agree(lambda F, x: F.relu(x), np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1, -1]))


def test_relu_has_no_gradient_at_zero(backend: str) -> None:
    x = Tensor(np.array([-1.0, 0.0, 2.0]), requires_grad=True)
    F.relu(x).backward(np.array([3.0, 4.0, 5.0]))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 5]


@pytest.mark.parametrize("name", ["relu", "softmax", "log_softmax", "batch_norm in evaluation", "local_response_norm"])
def test_empty_batches_agree(name: str, backend: str) -> None:
    fn, (x, *others), fixed = CASES[name]
    agree(fn, x[:0], *others, fixed=fixed)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_lines_of_no_length_agree(name: str, backend: str) -> None:
    agree(lambda F, x: getattr(F, name)(x, 1), np.zeros((2, 0, 3)))


@pytest.mark.parametrize("size", [1e-14, 1e13])
def test_local_response_norm_of_numbers_whose_powers_are_out_of_range(size: float, backend: str) -> None:
    """A sum of squares is in range, and so is its power 3/4, but its power 3/2 is not, or has few digits left."""
    x, k = (size * normal(2, 5, 2, 2)).astype(np.float32), 0.0 if size < 1 else 1.0
    expected = torch_module().nn.functional.local_response_norm(torch_module().tensor(x), 3, 1.0, 0.75, k)
    assert_close(F.local_response_norm(Tensor(x), 3, 1.0, 0.75, k).numpy(), expected.numpy())


# --- batch normalisation


def test_an_empty_batch_in_training_leaves_the_running_statistics(backend: str) -> None:
    torch = torch_module()
    ours = Tensor(np.zeros(3)), Tensor(np.ones(3))
    theirs = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    x = np.zeros((0, 3, 2, 2))
    got = F.batch_norm(Tensor(x), *ours, training=True)
    expected = torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True)
    assert got.shape == tuple(expected.shape)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_training_between_forward_and_backward_does_not_change_the_gradient(backend: str) -> None:
    x, running = Tensor(normal(4, 3), requires_grad=True), (Tensor(np.zeros(3)), Tensor(np.ones(3)))
    output = F.batch_norm(x, *running)
    F.batch_norm(Tensor(9 * normal(4, 3)), *running, training=True)
    output.backward(np.ones((4, 3)))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, 1 / np.sqrt(1 + 1e-5))


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 2, 2)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_agree(dtype: type, shape: tuple[int, ...], backend: str) -> None:
    torch = torch_module()
    mean, variance = (array.astype(dtype) for array in STATISTICS)
    ours = Tensor(mean.copy()), Tensor(variance.copy())
    theirs = torch.tensor(mean), torch.tensor(variance)
    for step in range(3):
        x = normal(*shape, seed=step).astype(dtype)
        got = F.batch_norm(Tensor(x), *ours, training=True, momentum=0.3)
        expected = torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True, momentum=0.3)
        assert_close(got.numpy(), expected.numpy())
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine.numpy(), other.numpy())


def test_large_means_do_not_hide_small_variances(backend: str) -> None:
    agree(lambda F, x: F.batch_norm(x, None, None, training=True), normal(8, 2) * 1e-2 + 1e3)
    x = (normal(64, 2) + 300).astype(np.float32)
    expected = F.batch_norm(Tensor(x.astype(np.float64)), None, None, training=True).numpy()
    got = F.batch_norm(Tensor(x), None, None, training=True).numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("training", [True, False])
def test_relu_in_the_same_pass_is_relu_afterwards(training: bool, backend: str) -> None:
    statistics = () if training else STATISTICS
    agree(
        lambda F, x, w, b, *s: F.batch_norm(x, *(s or (None, None)), w, b, training, activation="relu"),
        *IMAGES, fixed=statistics, check=True,
        like=lambda F, x, w, b, *s: F.relu(F.batch_norm(x, *(s or (None, None)), w, b, training)),
    )  # fmt: skip


@given(
    st.tuples(st.integers(3, 4), st.integers(1, 4), st.integers(2, 3), st.integers(1, 3)),
    st.sampled_from(DTYPES), st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_any_batch_norm_agrees(shape: tuple[int, ...], dtype: type, layout: str) -> None:
    weight, bias = normal(shape[1]), normal(shape[1], seed=1)
    agree(
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), normal(*shape) * 3, weight, bias,
        dtype=dtype, layout=layout,
    )  # fmt: skip


@given(st.integers(1, 7), st.integers(1, 8), st.floats(0.01, 2), st.floats(0.1, 2), st.floats(0.5, 3))
def test_any_local_response_norm_agrees(size: int, channels: int, alpha: float, beta: float, k: float) -> None:
    agree(lambda F, x: F.local_response_norm(x, size, alpha, beta, k), normal(2, channels, 2, 1))


@pytest.mark.parametrize("number", [np.float64, np.float32])
def test_numpy_options_never_promote(number: type, backend: str) -> None:
    x = Tensor(normal(2, 3, 2, 2).astype(np.float32))
    assert F.batch_norm(x, None, None, training=True, eps=number(1e-5)).dtype == np.float32
    assert F.local_response_norm(x, 3, number(1e-4), number(0.75), number(1)).dtype == np.float32
    assert F.dropout(x, number(0.5)).dtype == np.float32
    assert F.cross_entropy(x[:, :, 0, 0], [0, 1], label_smoothing=number(0.1)).dtype == np.float32


# --- dropout: its mask is its own, so PyTorch can only vouch for what does not depend on it


def test_dropout_zeroes_a_share_and_scales_the_rest(backend: str) -> None:
    minigrad.manual_seed(0)
    x = Tensor(np.ones((4, 5, 10, 2), np.float32), requires_grad=True)
    y = F.dropout(x, 0.25)
    y.backward(np.full(y.shape, 3, np.float32))
    kept = y.numpy() != 0
    assert 0.65 < kept.mean() < 0.85
    np.testing.assert_allclose(y.numpy()[kept], 4 / 3, rtol=1e-6)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, np.where(kept, 4, 0), rtol=1e-6)


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True), (1.0, True)])
def test_dropout_without_chance_agrees(p: float, training: bool, backend: str) -> None:
    agree(lambda F, x: F.dropout(x, p, training), normal(2, 3))


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (2, 3, 4), (2, 3, 2, 2)])
def test_dropout_gradients_agree_with_finite_differences(shape: tuple[int, ...], backend: str) -> None:
    def same_mask(x: Tensor) -> Tensor:
        minigrad.manual_seed(3)
        return F.dropout(x, 0.4)

    assert minigrad.gradcheck(same_mask, [Tensor(normal(*shape), requires_grad=True)])


@pytest.mark.parametrize("shape", [(7,), (2, 9), (2, 3, 5), (2, 3, 4, 4)])
def test_masks_do_not_depend_on_layout_dtype_or_backend(shape: tuple[int, ...]) -> None:
    masks = []
    for name in kernels.BACKENDS:
        for dtype in DTYPES:
            for x in (np.ones(shape, dtype), np.ones(shape[::-1], dtype).transpose()):
                minigrad.manual_seed(5)
                with kernels.backend(name):
                    masks.append(F.dropout(Tensor(x), 0.5).numpy() != 0)
    assert all((mask == masks[0]).all() for mask in masks)


def test_each_call_has_a_mask_of_its_own_and_images_differ(backend: str) -> None:
    minigrad.manual_seed(0)
    x = Tensor(np.ones((2, 64), np.float32))
    first, second = F.dropout(x).numpy(), F.dropout(x).numpy()
    assert (first != second).any()
    assert (first[0] != first[1]).any()
    minigrad.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(x).numpy(), first)
