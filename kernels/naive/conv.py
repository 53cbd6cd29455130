"""Convolution as it is defined: lay a small weight on the image, multiply, add up, move on.

    y[n, oh, ow, o] = bias[o] + sum over i, j, c of x[n, row, col, c] * weight[i, j, c, o]
    row = oh * stride[0] - top  + i * dilation[0]
    col = ow * stride[1] - left + j * dilation[1]

Each term of that sum is one pixel times one weight. By the product rule the output's gradient reaches the pixel times
the weight, and the weight times the pixel. So the three kernels walk the same loops and differ in their last line:

    forward                 y += x * weight
    gradient of the input   x_grad += grad * weight
    gradient of the weight  weight_grad += grad * x

A pixel lies in several windows and a weight meets every pixel, hence `+=`: their gradients add up.

Where the forward kernel applied ReLU, the gradient does not pass at outputs of 0. So the two gradients are given
`output` too (None without ReLU).

All arrays are NHWC, weights (kh, kw, C/groups, O). With `groups`, the channels are dealt into equal shares, and each
filter sees only its group's share.
"""

from collections.abc import Sequence

import numpy as np

from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    activation: str | None,
) -> Array:
    """Forward: (N, H, W, C) and (kh, kw, C/groups, O) -> (N, OH, OW, O). `activation` is None or "relu"."""
    n, h, w, _ = x.shape
    kh, kw, share, filters = weight.shape
    y = np.zeros((n, *output_size((h, w), (kh, kw), stride, padding, dilation), filters), x.dtype)
    for image, oh, ow, o in np.ndindex(y.shape):
        first = o // (filters // groups) * share  # channel at which the share of this filter's group begins
        total = 0.0 if bias is None else bias[o]
        for i, j, c in np.ndindex(kh, kw, share):
            row = oh * stride[0] - padding[0][0] + i * dilation[0]
            col = ow * stride[1] - padding[1][0] + j * dilation[1]
            if 0 <= row < h and 0 <= col < w:  # padding is zero and adds nothing
                total += x[image, row, col, first + c] * weight[i, j, c, o]
        y[image, oh, ow, o] = 0.0 if activation == "relu" and total <= 0 else total
    return y


def passed(grad: Array, output: Array | None, place: tuple[int, ...]) -> float:
    """The gradient at one place of the output, 0 where ReLU blocked it. It passes at NaN, as in PyTorch."""
    blocked = output is not None and output[place] <= 0
    return 0.0 if blocked else grad[place]


def conv2d_input_grad(
    grad: Array, output: Array | None, weight: Array, size: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int, into: Array | None,
) -> Array:
    """Gradient of the input: (N, OH, OW, O) and (kh, kw, C/groups, O) -> (N, H, W, C); `size` is (H, W).

    Added to the array `into`, if there is one, which is then the result.
    """
    h, w = size
    kh, kw, share, filters = weight.shape
    x_grad = np.zeros((len(grad), h, w, share * groups), grad.dtype) if into is None else into
    for image, oh, ow, o in np.ndindex(grad.shape):
        first = o // (filters // groups) * share
        g = passed(grad, output, (image, oh, ow, o))
        for i, j, c in np.ndindex(kh, kw, share):
            row = oh * stride[0] - padding[0][0] + i * dilation[0]
            col = ow * stride[1] - padding[1][0] + j * dilation[1]
            if 0 <= row < h and 0 <= col < w:
                x_grad[image, row, col, first + c] += g * weight[i, j, c, o]
    return x_grad


def conv2d_weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int,
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (kh, kw, C/groups, O) and (O,)."""
    _, h, w, channels = x.shape
    (kh, kw), share, filters = kernel, channels // groups, grad.shape[3]
    weight_grad = np.zeros((kh, kw, share, filters), grad.dtype)
    bias_grad = np.zeros(filters, grad.dtype)
    for image, oh, ow, o in np.ndindex(grad.shape):
        first = o // (filters // groups) * share
        g = passed(grad, output, (image, oh, ow, o))
        bias_grad[o] += g
        for i, j, c in np.ndindex(kh, kw, share):
            row = oh * stride[0] - padding[0][0] + i * dilation[0]
            col = ow * stride[1] - padding[1][0] + j * dilation[1]
            if 0 <= row < h and 0 <= col < w:
                weight_grad[i, j, c, o] += g * x[image, row, col, first + c]
    return weight_grad, bias_grad


POINTWISE: tuple[Pair, Padding, Pair, int] = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
"""Stride, padding, dilation and groups of a convolution that looks at one pixel."""


def pointwise_backward(
    grads: Sequence[Array], outputs: Sequence[Array | None], weights: Sequence[Array], x: Array, into: Array | None
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Backward of 1x1 convolutions of one input: each (N, H, W, O) and (1, 1, C, O) -> (N, H, W, C), the sum of what
    they owe their input, and the gradients of each weight (1, 1, C, O) and bias (O,).

    The first is added to the array `into`, if there is one, which is then the result.
    """
    x_grad, pairs = into, []
    for grad, output, weight in zip(grads, outputs, weights, strict=True):
        x_grad = conv2d_input_grad(grad, output, weight, x.shape[1:3], *POINTWISE, x_grad)
        pairs.append(conv2d_weight_grad(grad, output, x, (1, 1), *POINTWISE))
    assert x_grad is not None
    return x_grad, pairs


def channel_sum(grad: Array) -> Array:
    """Gradient of any other bias, which is added at every place of its channel: (..., C) -> (C,)."""
    total = np.zeros(grad.shape[-1], grad.dtype)
    for index in np.ndindex(grad.shape):
        total[index[-1]] += grad[index]
    return total
