"""Convolution and the fully connected layer against PyTorch and finite differences, on every backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import kernels
from kernels import layout as kernel_layout
from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, LAYOUTS, agree, normal, spaced


def used_elsewhere(F: Any, x: Any, w: Any, v: Any, b: Any) -> Any:
    y = x * 2
    return y * y * F.conv2d(y, w, b) + F.conv2d(y, v, b) + y + F.conv2d(y, w)


def computed_weight(F: Any, x: Any, w: Any, v: Any) -> Any:
    y = x * 2
    a = F.conv2d(y, w)
    return a * F.conv2d(y, v + a.mean()) + F.conv2d(y, v)


CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "3x3": (lambda F, x, w, b: F.conv2d(x, w, b), (normal(2, 3, 4, 5), normal(4, 3, 3, 3), normal(4))),
    "1x1": (lambda F, x, w, b: F.conv2d(x, w, b), (normal(2, 3, 2, 3), normal(4, 3, 1, 1), normal(4))),
    "1x1 together": (
        lambda F, x, w, v, b: F.conv2d(F.conv2d(x, w, b) + F.conv2d(x, v), w) + F.conv2d(x, w),
        (normal(2, 3, 2, 3), normal(3, 3, 1, 1), normal(3, 3, 1, 1, seed=1), normal(3)),
    ),
    "1x1 together, their input used elsewhere too": (
        used_elsewhere, (normal(2, 3, 2, 3), normal(3, 3, 1, 1), normal(3, 3, 1, 1, seed=1), normal(3)),
    ),
    "1x1 together, a weight computed": (
        computed_weight, (normal(2, 3, 2, 3), normal(3, 3, 1, 1), normal(3, 3, 1, 1, seed=1)),
    ),
    "no bias": (lambda F, x, w: F.conv2d(x, w), (normal(1, 2, 3, 3), normal(2, 2, 2, 2))),
    "strides and padding": (
        lambda F, x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2)), (normal(2, 2, 5, 4), normal(3, 2, 3, 2), normal(3)),
    ),
    "dilation": (lambda F, x, w: F.conv2d(x, w, dilation=(2, 3)), (normal(1, 2, 5, 5), normal(2, 2, 2, 2))),
    "strided 1x1": (lambda F, x, w: F.conv2d(x, w, stride=2), (normal(1, 2, 4, 5), normal(2, 2, 1, 1))),
    "padded 1x1": (lambda F, x, w: F.conv2d(x, w, padding=1), (normal(1, 2, 2, 2), normal(2, 2, 1, 1))),
    "groups": (lambda F, x, w: F.conv2d(x, w, groups=2), (normal(2, 4, 3, 3), normal(6, 2, 2, 2))),
    "depthwise": (lambda F, x, w: F.conv2d(x, w, groups=3), (normal(1, 3, 3, 3), normal(6, 1, 2, 2))),
    "one image": (lambda F, x, w, b: F.conv2d(x, w, b), (normal(2, 4, 4), normal(3, 2, 3, 3), normal(3))),
    "valid": (lambda F, x, w: F.conv2d(x, w, padding="valid"), (normal(1, 2, 4, 4), normal(2, 2, 3, 3))),
    "same": (lambda F, x, w: F.conv2d(x, w, padding="same"), (normal(1, 2, 4, 3), normal(2, 2, 3, 3))),
    "same, dilated": (
        lambda F, x, w: F.conv2d(x, w, padding="same", dilation=(1, 2)), (normal(1, 1, 3, 4), normal(2, 1, 3, 3)),
    ),
    "kernel as large as the padded input": (
        lambda F, x, w: F.conv2d(x, w, padding=1), (normal(2, 1, 2, 1), normal(2, 1, 4, 3)),
    ),
    "linear": (lambda F, x, w, b: F.linear(x, w, b), (normal(2, 3), normal(4, 3), normal(4))),
    "linear of a vector": (lambda F, x, w, b: F.linear(x, w, b), (normal(3), normal(4, 3), normal(4))),
    "linear of more axes": (lambda F, x, w: F.linear(x, w), (normal(2, 2, 1, 3), normal(4, 3))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name: str, backend: str) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name: str, dtype: type, layout: str, backend: str) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, dtype=dtype, layout=layout)


def test_same_padding_puts_the_odd_place_at_the_end(backend: str) -> None:
    x, weight = Tensor(np.arange(1.0, 4.0).reshape(1, 1, 1, 3)), Tensor(np.array([10.0, 1.0]).reshape(1, 1, 1, 2))
    assert F.conv2d(x, weight, padding="same").numpy().tolist() == [[[[12, 23, 30]]]]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_of_even_kernels_agrees(backend: str) -> None:
    agree(lambda F, x, w: F.conv2d(x, w, padding="same"), normal(1, 2, 4, 3), normal(2, 2, 2, 4), check=True)


@pytest.mark.parametrize("shape", [(0, 2, 4, 4), (2, 0, 3)])
def test_empty_batches_agree(shape: tuple[int, ...], backend: str) -> None:
    if len(shape) == 4:
        agree(lambda F, x, w, b: F.conv2d(x, w, b, padding=1), normal(*shape), normal(3, 2, 3, 3), normal(3))
    else:
        agree(lambda F, x, w, b: F.linear(x, w, b), normal(*shape), normal(4, 3), normal(4))


def test_linear_without_features_agrees(backend: str) -> None:
    agree(lambda F, x, w, b: F.linear(x, w, b), normal(3, 0), normal(2, 0), normal(2))


def test_nan_and_infinities_spread_as_in_torch(backend: str) -> None:
    x = normal(1, 1, 4, 4)
    x[0, 0, 0, 0], x[0, 0, 3, 3] = np.nan, np.inf
    agree(lambda F, x, w: F.conv2d(x, w), x, np.abs(normal(2, 1, 2, 2)))


@pytest.mark.parametrize("activation", ["relu", None])
def test_activation_in_the_same_pass_is_relu_afterwards(activation: str | None, backend: str) -> None:
    def then(F: Any, x: Any, w: Any, b: Any) -> Any:
        y = F.conv2d(x, w, b, padding=1)
        return F.relu(y) if activation else y

    agree(
        lambda F, x, w, b: F.conv2d(x, w, b, padding=1, activation=activation),
        spaced(2, 2, 3, 3), spaced(3, 2, 3, 3), spaced(3), like=then, check=True,
    )  # fmt: skip


@st.composite
def convolutions(draw: st.DrawFn, largest: int) -> dict[str, Any]:
    """Options and shapes that PyTorch accepts."""
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    groups, kernel = draw(st.integers(1, 3)), pair(1, 3)
    padding = draw(st.sampled_from(["same", "valid", "numbers"]))
    same = padding == "same"
    dilation = pair(1, 2)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = pair(0, 2)
    size = [draw(st.integers(max(1, s - (0 if padding == "valid" else 2 * p if not same else s - 1)), s + largest))
            for s, p in zip(spans, sides, strict=True)]
    share, outputs = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return {
        "input": (draw(st.integers(0, 2)), groups * share, *size),
        "weight": (outputs, share, *kernel),
        "options": {
            "stride": (1, 1) if same else pair(1, 3),
            "padding": sides if padding == "numbers" else padding,
            "dilation": dilation,
            "groups": groups,
        },
        "layout": draw(st.sampled_from(LAYOUTS)),
        "dtype": draw(st.sampled_from(DTYPES)),
    }


def check_convolution(case: dict[str, Any]) -> None:
    outputs = case["weight"][0]
    agree(
        lambda F, x, w, b: F.conv2d(x, w, b, **case["options"]),
        normal(*case["input"]), normal(*case["weight"]), normal(outputs), dtype=case["dtype"], layout=case["layout"],
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@given(convolutions(largest=5))
def test_any_convolution_agrees(case: dict[str, Any]) -> None:
    with kernels.backend("reference"):
        check_convolution(case)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=12)
@given(convolutions(largest=1))
def test_any_small_convolution_agrees_on_naive(case: dict[str, Any]) -> None:
    with kernels.backend("naive"):
        check_convolution(case)


def test_many_chunks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.reference.conv.CHUNK_BYTES", 1)
    agree(lambda F, x, w: F.conv2d(x, w, groups=2), normal(5, 4, 4, 4), normal(4, 2, 3, 3))


def test_channels_last_input_and_weight_are_not_copied() -> None:
    x = Tensor(kernel_layout.nchw(normal(2, 4, 4, 3)), requires_grad=True)
    weight = Tensor(kernel_layout.oihw(normal(3, 3, 3, 5)), requires_grad=True)
    before = kernel_layout.copies
    F.conv2d(F.conv2d(x, weight, padding=1)[:, :3], weight)
    assert kernel_layout.copies == before + 1  # the slice of channels, which the second convolution copies
    before = kernel_layout.copies
    y = F.conv2d(x, weight)
    y.backward(y.numpy())
    assert kernel_layout.copies == before
    assert x.grad is not None
    assert kernel_layout.nhwc(x.grad).flags.c_contiguous
    assert weight.grad is not None
    assert weight.grad.strides == weight.numpy().strides
