"""Cross-entropy against PyTorch and finite differences, on every backend."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import kernels
from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, LAYOUTS, agree, normal

SHAPES = [(3,), (4, 3), (2, 3, 4), (2, 3, 2, 2), (1, 3, 2, 1, 2)]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "smoothed, none": {"reduction": "none", "label_smoothing": 0.3},
    "all smooth": {"label_smoothing": 1.0},
}
WEIGHT = np.array([0.5, 2.0, 0.25])


def class_numbers(shape: tuple[int, ...], seed: int = 0, ignored: int | None = None) -> np.ndarray:
    """Random class numbers for logits of this shape; every third is `ignored`, if that is given."""
    classes = shape[0] if len(shape) == 1 else shape[1]
    target = np.random.default_rng(seed).integers(0, classes, (*shape[:1], *shape[2:]) if len(shape) > 1 else ())
    if ignored is not None:
        target = np.where(np.arange(target.size).reshape(target.shape) % 3 == 0, ignored, target)
    return target


def probabilities(shape: tuple[int, ...]) -> np.ndarray:
    """Positive numbers that add up to 1 along the classes."""
    numbers = np.exp(normal(*shape, seed=1))
    result: np.ndarray = numbers / numbers.sum(axis=min(1, len(shape) - 1), keepdims=True)
    return result


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_class_numbers_agree(name: str, shape: tuple[int, ...], backend: str) -> None:
    target = class_numbers(shape)
    agree(lambda F, x, t: F.cross_entropy(x, t, **OPTIONS[name]), normal(*shape), target, check=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_class_weights_agree(name: str, shape: tuple[int, ...], backend: str) -> None:
    agree(
        lambda F, x, t, w: F.cross_entropy(x, t, w, **OPTIONS[name]), normal(*shape), class_numbers(shape),
        fixed=[WEIGHT], check=True,
    )  # fmt: skip


@pytest.mark.parametrize("ignored", [-100, 1, 7])
@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("name", OPTIONS)
def test_ignored_classes_agree(name: str, shape: tuple[int, ...], ignored: int, backend: str) -> None:
    target = class_numbers(shape, ignored=ignored)
    target.flat[-1] = 2  # so that something counts
    options = {**OPTIONS[name], "ignore_index": ignored}
    agree(lambda F, x, t: F.cross_entropy(x, t, **options), normal(*shape), target, check=True)
    agree(lambda F, x, t, w: F.cross_entropy(x, t, w, **options), normal(*shape), target, fixed=[WEIGHT], check=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPTIONS)
def test_probability_targets_agree_and_have_gradients(name: str, shape: tuple[int, ...], backend: str) -> None:
    target = probabilities(shape)
    agree(lambda F, x, t: F.cross_entropy(x, t, **OPTIONS[name]), normal(*shape), target, check=True)
    agree(
        lambda F, x, t, w: F.cross_entropy(x, t, w, **OPTIONS[name]), normal(*shape), target, fixed=[WEIGHT],
        check=True,
    )  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_layouts_and_dtypes_agree(shape: tuple[int, ...], dtype: type, layout: str, backend: str) -> None:
    options: dict[str, Any] = {"dtype": dtype, "layout": layout, "fixed": [WEIGHT]}
    agree(lambda F, x, t, w: F.cross_entropy(x, t, w), normal(*shape), class_numbers(shape), **options)
    agree(lambda F, x, t, w: F.cross_entropy(x, t, w), normal(*shape), probabilities(shape), **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_to_count_agrees(reduction: str, smoothing: float, backend: str) -> None:
    def loss(F: Any, x: Any, t: Any) -> Any:
        return F.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing)

    agree(loss, normal(0, 3), np.zeros(0, np.int64))
    agree(loss, normal(0, 3), normal(0, 3))
    agree(loss, normal(2, 3), np.full(2, -100))


@pytest.mark.parametrize("numbers", [[1e4, 0, -1e4], [-np.inf, 0, 1], [np.nan, 0, 1], [np.inf, 0, 1]])
def test_extreme_logits_agree(numbers: list[float], backend: str) -> None:
    for target in (0, 1):
        agree(lambda F, x, t: F.cross_entropy(x, t), np.array([numbers]), np.array([target]))


def test_smoothed_loss_is_between_the_label_and_all_classes(backend: str) -> None:
    log_probabilities = np.log([0.7, 0.2, 0.1])
    loss = F.cross_entropy(Tensor(log_probabilities), np.array(0), label_smoothing=0.3)
    expected = -(0.7 * log_probabilities[0] + 0.3 * log_probabilities.mean())
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@st.composite
def losses(draw: st.DrawFn) -> dict[str, Any]:
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=2, max_size=5)))
    return {
        "shape": shape,
        "seed": draw(st.integers(0, 99)),
        "ignored": draw(st.sampled_from([None, -100, 0])),
        "weighted": draw(st.booleans()),
        "dtype": draw(st.sampled_from(DTYPES)),
        "layout": draw(st.sampled_from(LAYOUTS)),
        "options": {
            "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
            "label_smoothing": draw(st.sampled_from([0.0, 0.2])),
        },
    }


@settings(max_examples=60)
@given(losses())
def test_any_loss_agrees(case: dict[str, Any]) -> None:
    shape, ignored = case["shape"], case["ignored"]
    options = {**case["options"], "ignore_index": -100 if ignored is None else ignored}
    weight = np.abs(normal(shape[1])) + 0.1
    fixed = [weight] if case["weighted"] else []
    for name in kernels.BACKENDS:
        with kernels.backend(name):
            agree(
                lambda F, x, t, w=None: F.cross_entropy(x, t, w, **options),
                normal(*shape), class_numbers(shape, case["seed"], ignored), fixed=fixed,
                dtype=case["dtype"], layout=case["layout"],
            )  # fmt: skip


@pytest.mark.parametrize("target", [[0, 2], np.array([0, 2], np.uint8), np.array([0, 2], np.int32), Tensor([0, 2])])
def test_targets_may_be_lists_arrays_or_tensors_of_integers(target: Any, backend: str) -> None:
    logits = Tensor(normal(2, 3).astype(np.float32), requires_grad=True)
    loss = F.cross_entropy(logits, target)
    assert loss.dtype == np.float32
    assert loss.item() == F.cross_entropy(logits, np.array([0, 2])).item()
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == np.float32
