"""Pooling against PyTorch and finite differences, on every backend: edges, ties, NaN and infinities."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import kernels
from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, LAYOUTS, agree, normal, spaced

IMAGES = spaced(2, 2, 4, 5)

CASES: dict[str, tuple[Callable[..., Any], np.ndarray]] = {
    "max": (lambda F, x: F.max_pool2d(x, 2), IMAGES),
    "max, overlapping": (lambda F, x: F.max_pool2d(x, 3, 1, 1), IMAGES),
    "max, googlenet's": (lambda F, x: F.max_pool2d(x, 3, 2, 1), IMAGES),
    "max, pairs": (lambda F, x: F.max_pool2d(x, (2, 3), (1, 2), (1, 0)), IMAGES),
    "max, dilated": (lambda F, x: F.max_pool2d(x, 2, 1, 1, dilation=(2, 3)), IMAGES),
    "max, ceil": (lambda F, x: F.max_pool2d(x, 3, 2, ceil_mode=True), spaced(1, 2, 6, 4)),
    "max, ceil drops a window in the padding": (
        lambda F, x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True), spaced(1, 1, 3, 4),
    ),
    "max, one image": (lambda F, x: F.max_pool2d(x, 2), spaced(2, 4, 5)),
    "max, large window": (lambda F, x: F.max_pool2d(x, 17, 1, 8), spaced(1, 1, 4, 3)),
    "avg": (lambda F, x: F.avg_pool2d(x, 2), IMAGES),
    "avg, overlapping": (lambda F, x: F.avg_pool2d(x, 3, 1, 1), IMAGES),
    "avg, padding does not count": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), IMAGES),
    "avg, ceil": (lambda F, x: F.avg_pool2d(x, 3, 2, ceil_mode=True), spaced(1, 2, 6, 4)),
    "avg, ceil and padding": (lambda F, x: F.avg_pool2d(x, (2, 3), 2, (1, 1), True), spaced(1, 2, 4, 6)),
    "avg, ceil, padding does not count": (
        lambda F, x: F.avg_pool2d(x, 3, 2, 1, True, False), spaced(1, 2, 4, 6),
    ),
    "avg, divisor": (lambda F, x: F.avg_pool2d(x, 2, 1, divisor_override=3), IMAGES),
    "avg, divisor and ceil": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, True, divisor_override=5), IMAGES),
    "avg, one image": (lambda F, x: F.avg_pool2d(x, 2, 1), spaced(2, 3, 3)),
    "adaptive": (lambda F, x: F.adaptive_avg_pool2d(x, (2, 3)), IMAGES),
    "adaptive, global": (lambda F, x: F.adaptive_avg_pool2d(x, 1), IMAGES),
    "adaptive, larger than the input": (lambda F, x: F.adaptive_avg_pool2d(x, (5, 7)), spaced(1, 1, 3, 4)),
    "adaptive, one size kept": (lambda F, x: F.adaptive_avg_pool2d(x, (None, 2)), IMAGES),
    "adaptive, one image": (lambda F, x: F.adaptive_avg_pool2d(x, 2), spaced(2, 3, 5)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name: str, backend: str) -> None:
    fn, array = CASES[name]
    agree(fn, array, check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name: str, dtype: type, layout: str, backend: str) -> None:
    fn, array = CASES[name]
    agree(fn, array, dtype=dtype, layout=layout)


@pytest.mark.parametrize("name", [name for name in CASES if "image" not in name])
def test_empty_batches_agree(name: str, backend: str) -> None:
    fn, array = CASES[name]
    agree(fn, array[:0])


SPECIAL = {
    "ties": np.random.default_rng(0).integers(0, 2, (2, 2, 5, 5)).astype(float),
    "all equal": np.zeros((1, 2, 4, 4)),
    "all negative": -np.abs(normal(2, 2, 4, 4)) - 1,
    "all -inf": np.full((1, 1, 4, 4), -np.inf),
    "some -inf": np.where(normal(2, 2, 5, 5) > 0, normal(2, 2, 5, 5, seed=1), -np.inf),
    "some inf": np.where(normal(2, 2, 5, 5) > 1, np.inf, normal(2, 2, 5, 5, seed=1)),
    "some NaN": np.where(normal(2, 2, 5, 5) > 1, np.nan, normal(2, 2, 5, 5, seed=1)),
    "NaN and -inf": np.where(normal(2, 2, 5, 5) > 0, np.nan, -np.inf),
    "all NaN": np.full((1, 1, 4, 4), np.nan),
}


@pytest.mark.parametrize("window", [(2, 2, 0), (3, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize("name", SPECIAL)
def test_ties_nan_and_infinities_in_max_pool_agree(name: str, window: tuple[int, int, int], backend: str) -> None:
    for dtype in DTYPES:
        agree(lambda F, x: F.max_pool2d(x, *window), SPECIAL[name], dtype=dtype)


@pytest.mark.parametrize("name", ["some NaN", "some inf"])
def test_nan_and_infinities_in_averages_agree(name: str, backend: str) -> None:
    agree(lambda F, x: F.avg_pool2d(x, 3, 2, 1), SPECIAL[name])
    agree(lambda F, x: F.adaptive_avg_pool2d(x, 2), SPECIAL[name])


def test_padding_never_wins(backend: str) -> None:
    negative = Tensor(np.full((1, 1, 3, 3), -1.0))
    assert (F.max_pool2d(negative, 3, 1, 1).numpy() == -1).all()


def test_the_first_of_equal_maxima_has_the_gradient(backend: str) -> None:
    x = Tensor(np.zeros((1, 1, 2, 2)), requires_grad=True)
    F.max_pool2d(x, 2).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[[[1, 0], [0, 0]]]]


def test_pools_of_pools_have_ties_and_agree(backend: str) -> None:
    agree(lambda F, x: F.max_pool2d(F.max_pool2d(x, 3, 2, 1), 3, 1, 1), normal(2, 2, 7, 7))


@st.composite
def pools(draw: st.DrawFn, largest: int) -> dict[str, Any]:
    """Options and shapes that PyTorch accepts."""
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    kernel = pair(1, 4)
    dilation = pair(1, 2)
    padding = draw(st.tuples(*(st.integers(0, k // 2) for k in kernel)))
    size = [
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), d * (k - 1) + 1 + largest))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    window = {"kernel_size": kernel, "stride": draw(st.none() | st.just(pair(1, 4))), "padding": padding,
              "ceil_mode": draw(st.booleans())}
    return {
        "input": (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *size),
        "window": window,
        "dilation": dilation,
        "mean": {
            "count_include_pad": draw(st.booleans()),
            "divisor_override": draw(st.none() | st.integers(1, 7)),
        },
        "layout": draw(st.sampled_from(LAYOUTS)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "seed": draw(st.integers(0, 99)),
    }


def check_pools(case: dict[str, Any]) -> None:
    coarse = np.round(normal(*case["input"], seed=case["seed"]))  # whole numbers: many ties
    options: dict[str, Any] = {"dtype": case["dtype"], "layout": case["layout"]}
    agree(lambda F, x: F.max_pool2d(x, dilation=case["dilation"], **case["window"]), coarse, **options)
    agree(lambda F, x: F.avg_pool2d(x, **case["window"], **case["mean"]), coarse, **options)
    outputs = case["window"]["kernel_size"]
    agree(lambda F, x: F.adaptive_avg_pool2d(x, outputs), coarse, **options)


@given(pools(largest=6))
def test_any_pool_agrees(case: dict[str, Any]) -> None:
    with kernels.backend("reference"):
        check_pools(case)


@settings(max_examples=12)
@given(pools(largest=1))
def test_any_small_pool_agrees_on_naive(case: dict[str, Any]) -> None:
    with kernels.backend("naive"):
        check_pools(case)
