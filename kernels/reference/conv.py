"""Convolution as im2col and one matrix product.

    y[n, oh, ow, o] = bias[o] + sum over i, j, c of
                      x[n, oh*sh - top + i*dh, ow*sw - left + j*dw, c] * weight[i, j, c, o]

im2col writes the window that each output pixel sees as one row, so that the sum becomes a matrix product: every row
meets every filter. Backward is the same road walked back: the product's two gradients are products again, and col2im,
the transpose of im2col, adds each row's gradient to the pixels that it came from. Pixels seen by several windows
receive several gradients, so it adds and never overwrites (K. Chellapilla, S. Puri, P. Simard, "High performance
convolutional neural networks for document processing", 2006).

All arrays are NHWC, weights (kh, kw, C/groups, O). A batch goes through in chunks of images whose columns fit in the
cache; each chunk is the whole algorithm.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from kernels.geometry import Padding, Pair, output_size, valid_outputs
from kernels.layout import Array
from kernels.reference.activation import relu_backward

CHUNK_BYTES = 2 << 20  # columns of one chunk: about a core's L2 cache


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """The window of every output pixel, tap by tap: (N, H, W, C) -> (N, OH, OW, kh, kw, C). Padding reads as zero."""
    n, h, w, c = x.shape
    (kh, kw), (oh, ow) = kernel, output_size((h, w), kernel, stride, padding, dilation)
    if (kh, kw) == (1, 1) and stride == (1, 1) and (oh, ow) == (h, w):
        return x.reshape(n, h, w, 1, 1, c)  # each window is one pixel: nothing to copy
    columns = np.zeros((n, oh, ow, kh, kw, c), x.dtype)
    for i in range(kh):
        out_rows, rows = valid_outputs(i, h, oh, stride[0], padding[0][0], dilation[0])
        for j in range(kw):
            out_cols, cols = valid_outputs(j, w, ow, stride[1], padding[1][0], dilation[1])
            columns[:, out_rows, out_cols, i, j] = x[:, rows, cols]
    return columns


def col2im(columns: Array, size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """The transpose of `im2col`: (N, OH, OW, kh, kw, C) -> (N, H, W, C), overlapping windows added up."""
    n, oh, ow, kh, kw, c = columns.shape
    h, w = size
    if (kh, kw) == (1, 1) and stride == (1, 1) and (oh, ow) == (h, w):
        return columns.reshape(n, h, w, c)
    x = np.zeros((n, h, w, c), columns.dtype)
    for i in range(kh):
        out_rows, rows = valid_outputs(i, h, oh, stride[0], padding[0][0], dilation[0])
        for j in range(kw):
            out_cols, cols = valid_outputs(j, w, ow, stride[1], padding[1][0], dilation[1])
            x[:, rows, cols] += columns[:, out_rows, out_cols, i, j]
    return x


def chunks(images: int, column_bytes: int) -> Iterator[slice]:
    """Slices of the batch whose columns take about CHUNK_BYTES; `column_bytes` is for one image."""
    step = max(1, CHUNK_BYTES // max(1, column_bytes))
    return (slice(start, start + step) for start in range(0, images, step))


def group_slices(channels: int, groups: int) -> list[slice]:
    """The channels of each group: groups convolve apart, each with its share of the channels."""
    share = channels // groups
    return [slice(g * share, (g + 1) * share) for g in range(groups)]


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    activation: str | None,
) -> Array:
    """Forward: (N, H, W, C) and (kh, kw, C/groups, O) -> (N, OH, OW, O). `activation` is None or "relu"."""
    n, h, w, c = x.shape
    kh, kw, share, o = weight.shape
    oh, ow = output_size((h, w), (kh, kw), stride, padding, dilation)
    y = np.empty((n, oh, ow, o), x.dtype)
    for c_in, c_out in zip(group_slices(c, groups), group_slices(o, groups), strict=True):
        matrix = weight[..., c_out].reshape(kh * kw * share, o // groups)  # (kh*kw*C/g, O/g)
        for images in chunks(n, oh * ow * kh * kw * share * x.itemsize):
            columns = im2col(x[images, :, :, c_in], (kh, kw), stride, padding, dilation)
            rows = columns.reshape(-1, kh * kw * share)  # (N*OH*OW, kh*kw*C/g)
            y[images, :, :, c_out] = (rows @ matrix).reshape(-1, oh, ow, o // groups)
    if bias is not None:
        y += bias
    if activation == "relu":
        np.maximum(y, 0, out=y)
    return y


def passed(grad: Array, output: Array | None) -> Array:
    """The gradient without what ReLU blocked: `output` is the convolution's result, None if it had no ReLU."""
    return grad if output is None else relu_backward(grad, output)


def conv2d_input_grad(
    grad: Array, output: Array | None, weight: Array, size: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int, into: Array | None,
) -> Array:
    """Gradient of the input: (N, OH, OW, O) and (kh, kw, C/groups, O) -> (N, H, W, C); `size` is (H, W).

    Added to the array `into`, if there is one, which is then the result.
    """
    n, oh, ow, o = grad.shape
    kh, kw, share, _ = weight.shape
    x_grad = np.zeros((n, *size, share * groups), grad.dtype) if into is None else into
    grad = passed(grad, output)
    for c_in, c_out in zip(group_slices(share * groups, groups), group_slices(o, groups), strict=True):
        matrix = weight[..., c_out].reshape(kh * kw * share, o // groups)  # (kh*kw*C/g, O/g)
        for images in chunks(n, oh * ow * kh * kw * share * grad.itemsize):
            rows = grad[images, :, :, c_out].reshape(-1, o // groups)  # (N*OH*OW, O/g)
            columns = (rows @ matrix.T).reshape(-1, oh, ow, kh, kw, share)  # what each window's taps are owed
            x_grad[images, :, :, c_in] += col2im(columns, size, stride, padding, dilation)
    return x_grad


def conv2d_weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int,
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (kh, kw, C/groups, O) and (O,)."""
    n, oh, ow, o = grad.shape
    (kh, kw), c = kernel, x.shape[3]
    share = c // groups
    weight_grad = np.zeros((kh, kw, share, o), grad.dtype)
    grad = passed(grad, output)
    for c_in, c_out in zip(group_slices(c, groups), group_slices(o, groups), strict=True):
        for images in chunks(n, oh * ow * kh * kw * share * grad.itemsize):
            columns = im2col(x[images, :, :, c_in], kernel, stride, padding, dilation)
            rows = columns.reshape(-1, kh * kw * share)  # (N*OH*OW, kh*kw*C/g)
            grad_rows = grad[images, :, :, c_out].reshape(-1, o // groups)  # (N*OH*OW, O/g)
            weight_grad[..., c_out] += (rows.T @ grad_rows).reshape(kh, kw, share, o // groups)
    return weight_grad, channel_sum(grad)


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
    """Gradient of any other bias: each channel's gradients summed over everything else, (..., C) -> (C,).

    Added up in float64: NumPy adds rows one after the other, and a float32 total of a million rows is off by percents.
    """
    rows = grad.reshape(math.prod(grad.shape[:-1]), grad.shape[-1])  # (N*H*W, C)
    return rows.sum(axis=0, dtype=np.float64).astype(grad.dtype)
