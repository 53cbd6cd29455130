"""Convolution on every backend against PyTorch, and the reference against the loops."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

import kernels
import kernels.reference.conv
from kernels.geometry import Padding, Pair, output_size, span
from kernels.layout import Array
from tests.kernels.oracles import (
    DTYPES,
    assert_close,
    call,
    channels_first,
    channels_last,
    image,
    layouts,
    leaf,
    normal,
    pairs,
    seeds,
    thorough,
    torch_pad,
)


@dataclass(frozen=True)
class Convolution:
    """The shape of one convolution; `share` and `group_filters` are the channels of one group, in and out."""

    size: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    share: int = 1
    group_filters: int = 1
    images: int = 2

    @property
    def window(self) -> tuple[Pair, Padding, Pair, int]:
        """The arguments that all three kernels end with."""
        return self.stride, self.padding, self.dilation, self.groups

    def arrays(self, seed: int, dtype: type, layout: str = "contiguous") -> tuple[Array, Array, Array, Array]:
        """Random x, weight, bias, and gradient of y."""
        rng = np.random.default_rng(seed)
        filters = self.groups * self.group_filters
        outputs = output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)
        return (
            normal(rng, (self.images, *self.size, self.groups * self.share), dtype, layout),
            normal(rng, (*self.kernel, self.share, filters), dtype),
            rng.standard_normal(filters).astype(dtype),
            normal(rng, (self.images, *outputs, filters), dtype, layout),
        )


@st.composite
def convolutions(draw: st.DrawFn) -> Convolution:
    """Any small convolution with at least one output pixel."""
    kernel, stride, dilation = draw(pairs(1, 3)), draw(pairs(1, 3)), draw(pairs(1, 2))
    padding = (draw(pairs(0, 2)), draw(pairs(0, 2)))
    least = [max(1, span(kernel[axis], dilation[axis]) - sum(padding[axis])) for axis in (0, 1)]
    size = (draw(st.integers(least[0], least[0] + 3)), draw(st.integers(least[1], least[1] + 3)))
    groups, share, filters = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return Convolution(size, kernel, stride, padding, dilation, groups, share, filters, draw(st.integers(1, 2)))


activations = st.sampled_from([None, "relu"])

SAME = ((1, 1), (1, 1))
POINTWISE = Convolution((3, 2), (1, 1), share=3, group_filters=2)
DEPTHWISE = Convolution((4, 4), (3, 3), padding=SAME, groups=3, group_filters=2)
STEM = Convolution((9, 9), (7, 7), (2, 2), ((3, 3), (3, 3)), share=2, images=1)
UNSEEN_EDGE = Convolution((6, 6), (2, 2), (4, 4))  # the last row and column lie in no window
NO_IDENTITY = Convolution((2, 2), (1, 1), (2, 2), SAME)  # as many outputs as inputs, but not the same ones
EMPTY_BATCH = Convolution((3, 3), (3, 3), padding=SAME, images=0)


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(conv=convolutions(), seed=seeds, layout=layouts, with_bias=st.booleans(), activation=activations)
@example(POINTWISE, 0, "contiguous", True, None)
@example(POINTWISE, 0, "channel slice", True, "relu")
@example(DEPTHWISE, 0, "channel slice", True, None)
@example(STEM, 0, "contiguous", True, "relu")
@example(UNSEEN_EDGE, 0, "contiguous", False, None)
@example(NO_IDENTITY, 0, "contiguous", False, None)
@example(EMPTY_BATCH, 0, "contiguous", True, None)
def test_conv2d_and_its_gradients_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, conv: Convolution, seed: int, layout: str, with_bias: bool,
    activation: str | None,
) -> None:
    x, weight, bias, grad = conv.arrays(seed, dtype, layout)
    k = kernels.serving(x)

    torch_x, torch_weight, torch_bias = image(torch, x), leaf(torch, weight.transpose(3, 2, 0, 1)), leaf(torch, bias)
    expected = torch.nn.functional.conv2d(
        torch_pad(torch, torch_x, conv.padding), torch_weight, torch_bias if with_bias else None, conv.stride, 0,
        conv.dilation, conv.groups,
    )
    y = call(k.conv2d, x, weight, bias if with_bias else None, *conv.window, activation)
    assert_close(y, channels_last(torch.relu(expected) if activation else expected))

    x_grad, weight_grad, bias_grad = torch.autograd.grad(
        expected, (torch_x, torch_weight, torch_bias), channels_first(torch, grad), allow_unused=True
    )
    assert_close(call(k.conv2d_input_grad, grad, weight, conv.size, *conv.window), channels_last(x_grad))
    got = call(k.conv2d_weight_grad, grad, x, conv.kernel, *conv.window)
    assert_close(got, weight_grad.numpy().transpose(2, 3, 1, 0))  # (O, I, kh, kw) -> (kh, kw, I, O)
    if with_bias:
        assert_close(call(k.channel_sum, grad), bias_grad.numpy())


@thorough
@given(conv=convolutions(), seed=seeds, layout=layouts, activation=activations)
def test_the_reference_agrees_with_the_loops(conv: Convolution, seed: int, layout: str, activation: str | None) -> None:
    x, weight, bias, grad = conv.arrays(seed, np.float64, layout)
    naive, reference = kernels.load("naive"), kernels.load("reference")
    for name, *args in (
        ("conv2d", x, weight, bias, *conv.window, activation),
        ("conv2d_input_grad", grad, weight, conv.size, *conv.window),
        ("conv2d_weight_grad", grad, x, conv.kernel, *conv.window),
        ("channel_sum", grad),
    ):
        assert_close(getattr(reference, name)(*args), getattr(naive, name)(*args))


def test_the_reference_does_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Convolution((5, 5), (3, 3), (2, 2), SAME, groups=2, share=2, group_filters=2, images=5)
    x, weight, bias, grad = conv.arrays(0, np.float64)
    k = kernels.load("reference")

    def results() -> list[Array]:
        return [
            k.conv2d(x, weight, bias, *conv.window, None),
            k.conv2d_input_grad(grad, weight, conv.size, *conv.window),
            k.conv2d_weight_grad(grad, x, conv.kernel, *conv.window),
        ]

    whole = results()
    monkeypatch.setattr(kernels.reference.conv, "CHUNK_BYTES", 2 * 9 * 9 * 2 * 8)  # columns of two images
    for part, expected in zip(results(), whole, strict=True):
        assert_close(part, expected)


def test_relu_passes_nan_on(backend: str) -> None:
    x = np.array([np.nan, -1.0, 2.0]).reshape(1, 1, 3, 1)
    y = kernels.serving(x).conv2d(x, np.ones((1, 1, 1, 1)), None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1, "relu")
    np.testing.assert_array_equal(y.ravel(), [np.nan, 0, 2])


@pytest.mark.parametrize("name", [name for name in kernels.BACKENDS if name != "naive"])
def test_a_float32_sum_of_many_places_keeps_its_digits(name: str) -> None:
    """A plain float32 running total of these is 1 % off. The loops are spared: their shapes are tiny."""
    grad = np.full((1, 1000, 1000, 2), 0.1, np.float32)
    np.testing.assert_allclose(kernels.load(name).channel_sum(grad), [1e5, 1e5], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3), (2, 2, 3, 3)])
def test_channel_sum_takes_any_number_of_axes(backend: str, shape: tuple[int, ...]) -> None:
    grad = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    expected = [grad[..., c].sum() for c in range(3)]
    np.testing.assert_array_equal(call(kernels.serving(grad).channel_sum, grad), expected)
