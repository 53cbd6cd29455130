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
PLAIN = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)  # stride, padding, dilation, groups
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
    agrees_with_torch(torch, conv, conv.arrays(seed, dtype, layout), with_bias, activation)


def agrees_with_torch(
    torch: ModuleType, conv: Convolution, arrays: tuple[Array, Array, Array, Array], with_bias: bool,
    activation: str | None,
) -> None:
    """Forward and all gradients; where ReLU was in the convolution, they start from what it let pass."""
    x, weight, bias, grad = arrays
    k = kernels.serving(x)

    torch_x, torch_weight, torch_bias = image(torch, x), leaf(torch, weight.transpose(3, 2, 0, 1)), leaf(torch, bias)
    expected = torch.nn.functional.conv2d(
        torch_pad(torch, torch_x, conv.padding), torch_weight, torch_bias if with_bias else None, conv.stride, 0,
        conv.dilation, conv.groups,
    )
    if activation:
        expected = torch.relu(expected)
    y = call(k.conv2d, x, weight, bias if with_bias else None, *conv.window, activation)
    assert_close(y, channels_last(expected))

    output = np.ascontiguousarray(channels_last(expected)) if activation else None
    x_grad, weight_grad, bias_grad = torch.autograd.grad(
        expected, (torch_x, torch_weight, torch_bias), channels_first(torch, grad), allow_unused=True
    )
    got = call(k.conv2d_input_grad, grad, output, weight, conv.size, *conv.window, None)
    assert_close(got, channels_last(x_grad))
    got, got_bias = call(k.conv2d_weight_grad, grad, output, x, conv.kernel, *conv.window)
    assert_close(got, weight_grad.numpy().transpose(2, 3, 1, 0))  # (O, I, kh, kw) -> (kh, kw, I, O)
    if with_bias:
        assert_close(got_bias, bias_grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@given(conv=convolutions(), seed=seeds)
@example(POINTWISE, 0)
@example(UNSEEN_EDGE, 0)
def test_an_input_gradient_is_added_to_what_is_there(backend: str, dtype: type, conv: Convolution, seed: int) -> None:
    x, weight, _, grad = conv.arrays(seed, dtype)
    k = kernels.serving(x)
    alone = k.conv2d_input_grad(grad, None, weight, conv.size, *conv.window, None)
    into = x.copy()
    result = k.conv2d_input_grad(grad, None, weight, conv.size, *conv.window, into)
    assert result is into
    assert_close(into, x + alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_passes_relu_at_nan(backend: str, dtype: type) -> None:
    output = np.array([np.nan, 0, 2, -0.0], dtype).reshape(1, 2, 2, 1)
    grad, one = np.ones_like(output), np.ones((1, 1, 1, 1), dtype)
    k = kernels.serving(output)
    x_grad = k.conv2d_input_grad(grad, output, one, (2, 2), *PLAIN, None)
    np.testing.assert_array_equal(x_grad.ravel(), [1, 0, 1, 0])
    weight_grad, bias_grad = k.conv2d_weight_grad(grad, output, grad, (1, 1), *PLAIN)
    assert (weight_grad.item(), bias_grad.item()) == (2, 2)


@thorough
@given(conv=convolutions(), seed=seeds, layout=layouts, activation=activations)
def test_the_reference_agrees_with_the_loops(conv: Convolution, seed: int, layout: str, activation: str | None) -> None:
    x, weight, bias, grad = conv.arrays(seed, np.float64, layout)
    naive, reference = kernels.load("naive"), kernels.load("reference")
    y = reference.conv2d(x, weight, bias, *conv.window, activation)
    assert_close(y, naive.conv2d(x, weight, bias, *conv.window, activation))
    output = y if activation else None
    for name, *args in (
        ("conv2d_input_grad", grad, output, weight, conv.size, *conv.window, None),
        ("conv2d_weight_grad", grad, output, x, conv.kernel, *conv.window),
        ("channel_sum", grad),
    ):
        results = [getattr(k, name)(*args) for k in (reference, naive)]
        for got, expected in zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True):
            assert_close(got, expected)


def test_the_reference_does_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = Convolution((5, 5), (3, 3), (2, 2), SAME, groups=2, share=2, group_filters=2, images=5)
    x, weight, bias, grad = conv.arrays(0, np.float64)
    k = kernels.load("reference")

    def results() -> list[Array]:
        return [
            k.conv2d(x, weight, bias, *conv.window, None),
            k.conv2d_input_grad(grad, None, weight, conv.size, *conv.window, None),
            *k.conv2d_weight_grad(grad, None, x, conv.kernel, *conv.window),
        ]

    whole = results()
    monkeypatch.setattr(kernels.reference.conv, "CHUNK_BYTES", 2 * 9 * 9 * 2 * 8)  # columns of two images
    for part, expected in zip(results(), whole, strict=True):
        assert_close(part, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_passes_nan_on(backend: str, dtype: type) -> None:
    x = np.array([np.nan, -1.0, 2.0], dtype).reshape(1, 1, 3, 1)
    y = kernels.serving(x).conv2d(x, np.ones((1, 1, 1, 1), dtype), None, *PLAIN, "relu")
    np.testing.assert_array_equal(y.ravel(), [np.nan, 0, 2])


@pytest.mark.parametrize("name", [name for name in kernels.BACKENDS if name != "naive"])
def test_a_float32_sum_of_many_places_keeps_its_digits(name: str) -> None:
    """A plain float32 running total of these is 1 % off. The loops are spared: their shapes are tiny."""
    grad = np.full((1, 1000, 1000, 2), 0.1, np.float32)
    np.testing.assert_allclose(kernels.load(name).channel_sum(grad), [1e5, 1e5], rtol=1e-6)


@pytest.mark.parametrize("shape", [(30000, 3), (3, 71, 70, 7), (1, 40000)])
def test_the_cpus_sums_of_many_places_agree_with_float64(shape: tuple[int, ...]) -> None:
    grad = np.random.default_rng(0).standard_normal(shape, np.float32)
    expected = grad.astype(np.float64).reshape(-1, shape[-1]).sum(axis=0)
    np.testing.assert_allclose(kernels.load("cpu").channel_sum(grad), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3), (2, 2, 3, 3), (2, 2, 0)])
def test_channel_sum_takes_any_number_of_axes(backend: str, shape: tuple[int, ...]) -> None:
    grad = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    expected = [grad[..., c].sum() for c in range(shape[-1])]
    np.testing.assert_array_equal(call(kernels.serving(grad).channel_sum, grad), expected)
