"""The CPU's convolution algorithms: each against PyTorch in float64, at sizes that leave remainders everywhere."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

import kernels
from kernels.cpu import conv as cpu
from kernels.cpu.vectors import LANES
from kernels.layout import Array
from tests.kernels.oracles import call, channels_first, channels_last, image, leaf, seeds, thorough, torch_pad
from tests.kernels.test_conv import Convolution

ERROR = 2e-5
"""Largest error allowed, as a share of the largest value; Winograd's is up to ten times a direct sum's."""


@st.composite
def large_convolutions(draw: st.DrawFn) -> Convolution:
    """Enough channels and pixels for several tiles of everything, and seldom a whole number of them."""
    side = draw(st.sampled_from([1, 3, 5]))
    kernel = draw(st.sampled_from([(side, side), (side, 3)]))
    least = [max(1, k - 2) for k in kernel]
    size = (draw(st.integers(least[0], 19)), draw(st.integers(least[1], 19)))
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    padding = tuple(
        (max(before, (k - n + 1) // 2), max(after, (k - n + 1) // 2))
        for (before, after), k, n in zip(padding, kernel, size, strict=True)
    )
    share, filters = draw(st.integers(1, 3 * LANES + 3)), draw(st.integers(1, 5 * LANES + 3))
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    return Convolution(
        size, kernel, (1, 1), (padding[0], padding[1]), (1, 1), groups, share, filters, draw(st.integers(1, 5))
    )


def close(got: Array, expected: Array) -> None:
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    assert np.abs(got - expected).max(initial=0) <= ERROR * np.abs(expected).max(initial=0)


@pytest.mark.parametrize("name", cpu.ALGORITHMS)
@thorough
@given(conv=large_convolutions(), seed=seeds, relu=st.booleans())
@example(Convolution((9, 9), (7, 7), (2, 2), ((3, 3), (3, 3)), share=3, group_filters=20), 0, True)
@example(Convolution((30, 31), (3, 3), (1, 1), ((1, 1), (1, 1)), share=5, group_filters=6, images=2), 0, True)
@example(Convolution((7, 7), (3, 3), (2, 2), ((1, 0), (0, 1)), share=17, group_filters=33, images=3), 0, True)
@example(Convolution((1, 1), (1, 1), share=700, group_filters=10, images=1100), 0, True)
@example(Convolution((4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), share=100, group_filters=40, images=130), 0, True)
def test_every_algorithm_agrees_with_torch_in_float64(
    torch: ModuleType, name: str, conv: Convolution, seed: int, relu: bool
) -> None:
    x, weight, bias, grad = conv.arrays(seed, np.float32)
    k = kernels.load("cpu")
    with cpu.algorithm(name):
        y = call(k.conv2d, x, weight, bias, *conv.window, "relu" if relu else None)
        output = y if relu else None
        into = x.copy()
        k.conv2d_input_grad(grad, output, weight, conv.size, *conv.window, into)
        x_grad = call(k.conv2d_input_grad, grad, output, weight, conv.size, *conv.window, None)
        weight_grad, bias_grad = call(k.conv2d_weight_grad, grad, output, x, conv.kernel, *conv.window)

    exact = [array.astype(np.float64) for array in (x, weight, bias, grad)]
    torch_x, torch_bias = image(torch, exact[0]), leaf(torch, exact[2])
    torch_weight = leaf(torch, exact[1].transpose(3, 2, 0, 1))
    expected = torch.nn.functional.conv2d(
        torch_pad(torch, torch_x, conv.padding), torch_weight, torch_bias, conv.stride, 0, conv.dilation, conv.groups
    )
    close(y, channels_last(torch.relu(expected) if relu else expected))
    passed = channels_first(torch, np.where(y > 0, exact[3], 0) if relu else exact[3])
    grads = torch.autograd.grad(expected, (torch_x, torch_weight, torch_bias), passed)
    close(x_grad, channels_last(grads[0]))
    close(into, channels_last(grads[0]) + x)
    close(weight_grad, grads[1].numpy().transpose(2, 3, 1, 0))  # (O, I, kh, kw) -> (kh, kw, I, O)
    close(bias_grad, grads[2].numpy())


def test_an_unknown_algorithm_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(ValueError, match=r"'fft'.*matmul, winograd, direct"), cpu.algorithm("fft"):
        pass


@pytest.mark.parametrize(
    ("places", "kernel", "stride", "groups", "names"),
    [
        ((12, 12), (3, 3), 1, 1, ["winograd", "direct"]),
        ((3, 3), (5, 5), 1, 1, ["direct", "winograd"]),  # possible, but the tiles would reach far over the edge
        ((12, 12), (3, 3), 2, 1, ["direct"]),
        ((12, 12), (1, 1), 1, 1, ["matmul", "direct"]),
        ((12, 12), (1, 1), 1, 2, ["direct"]),
    ],
)
def test_an_algorithm_is_used_only_where_it_can_be(
    places: tuple[int, int], kernel: tuple[int, int], stride: int, groups: int, names: list[str]
) -> None:
    side = kernel[0] // 2
    assert cpu.possible(places, kernel, (stride, stride), ((side, side), (side, side)), (1, 1), groups) == tuple(names)
