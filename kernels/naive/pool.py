"""Pooling: each window of the image becomes one number, its maximum or its mean.

    max  y[n, oh, ow, c] = max  over i, j of x[n, row, col, c]
    mean y[n, oh, ow, c] = sum over i, j of x[n, row, col, c] / places
    row = oh * stride[0] - top  + i * dilation[0]
    col = ow * stride[1] - left + j * dilation[1]

Every channel is pooled by itself. Padding never wins a maximum and adds nothing to a sum; whether it counts among a
mean's places is the caller's choice. Backward walks the same windows: a maximum owes its gradient to the one tap that
won, a mean owes an equal share to each of its inputs. All arrays are NHWC.
"""

import math

import numpy as np

from kernels.geometry import Padding, Pair, output_size, winner_dtype
from kernels.layout import Array


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool, winners: bool = True
) -> tuple[Array, Array | None]:
    """Maximum of each window, and the tap i * kw + j that won it: (N, H, W, C) -> two (N, OH, OW, C).

    The first of equal maxima wins; NaN wins against numbers, and the last of several NaN wins, as in PyTorch. The
    winners are None if they are not wanted.
    """
    n, h, w, channels = x.shape
    oh, ow = output_size((h, w), kernel, stride, padding, dilation, ceil_mode)
    y = np.zeros((n, oh, ow, channels), x.dtype)
    winner = np.zeros((n, oh, ow, channels), winner_dtype(kernel))
    for image, oh, ow, c in np.ndindex(y.shape):
        best, best_tap, seen = -math.inf, 0, False
        for i, j in np.ndindex(kernel):
            row = oh * stride[0] - padding[0][0] + i * dilation[0]
            col = ow * stride[1] - padding[1][0] + j * dilation[1]
            if 0 <= row < h and 0 <= col < w:
                value = x[image, row, col, c]
                # The first input always wins at first: in a window of nothing but -inf none is greater than `best`.
                if not seen or value > best or math.isnan(value):
                    best, best_tap, seen = value, i * kernel[1] + j, True
        y[image, oh, ow, c] = best
        winner[image, oh, ow, c] = best_tap
    return y, winner if winners else None


def max_pool2d_backward(
    grad: Array, winner: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """The winner of each window alone receives its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    h, w = size
    x_grad = np.zeros((len(grad), h, w, grad.shape[3]), grad.dtype)
    for image, oh, ow, c in np.ndindex(grad.shape):
        i, j = divmod(int(winner[image, oh, ow, c]), kernel[1])
        row = oh * stride[0] - padding[0][0] + i * dilation[0]
        col = ow * stride[1] - padding[1][0] + j * dilation[1]
        if 0 <= row < h and 0 <= col < w:  # a dilated window may step over a small image: then nobody won
            x_grad[image, row, col, c] += grad[image, oh, ow, c]
    return x_grad


def divisor(
    oh: int, ow: int, size: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> int:
    """By what the sum of window (oh, ow) is divided: its places on the image, or on the image and its padding.

    The last window of `ceil_mode` may reach beyond the padding. What lies there counts in neither case.
    """
    if divisor_override is not None:
        return divisor_override
    h, w = size
    (top, bottom), (left, right) = padding if count_include_pad else ((0, 0), (0, 0))
    places = 0
    for i, j in np.ndindex(kernel):
        row = oh * stride[0] - padding[0][0] + i
        col = ow * stride[1] - padding[1][0] + j
        if -top <= row < h + bottom and -left <= col < w + right:
            places += 1
    return places


def avg_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Mean of each window: (N, H, W, C) -> (N, OH, OW, C)."""
    n, h, w, channels = x.shape
    y = np.zeros((n, *output_size((h, w), kernel, stride, padding, (1, 1), ceil_mode), channels), x.dtype)
    for image, oh, ow, c in np.ndindex(y.shape):
        total = 0.0
        for i, j in np.ndindex(kernel):
            row = oh * stride[0] - padding[0][0] + i
            col = ow * stride[1] - padding[1][0] + j
            if 0 <= row < h and 0 <= col < w:
                total += x[image, row, col, c]
        y[image, oh, ow, c] = total / divisor(
            oh, ow, (h, w), kernel, stride, padding, count_include_pad, divisor_override
        )
    return y


def avg_pool2d_backward(
    grad: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Each input of a window receives an equal share of its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    h, w = size
    x_grad = np.zeros((len(grad), h, w, grad.shape[3]), grad.dtype)
    for image, oh, ow, c in np.ndindex(grad.shape):
        share = grad[image, oh, ow, c] / divisor(
            oh, ow, size, kernel, stride, padding, count_include_pad, divisor_override
        )
        for i, j in np.ndindex(kernel):
            row = oh * stride[0] - padding[0][0] + i
            col = ow * stride[1] - padding[1][0] + j
            if 0 <= row < h and 0 <= col < w:
                x_grad[image, row, col, c] += share
    return x_grad


def division(index: int, size: int, outputs: int) -> range:
    """The inputs of output `index` when `size` inputs are shared out evenly; a remainder makes them overlap."""
    return range(math.floor(index * size / outputs), math.ceil((index + 1) * size / outputs))


def adaptive_avg_pool2d(x: Array, outputs: Pair) -> Array:
    """Mean of windows that divide the image evenly among `outputs`: (N, H, W, C) -> (N, OH, OW, C)."""
    n, h, w, channels = x.shape
    y = np.zeros((n, *outputs, channels), x.dtype)
    for image, oh, ow, c in np.ndindex(y.shape):
        rows, cols = division(oh, h, outputs[0]), division(ow, w, outputs[1])
        total = 0.0
        for row in rows:
            for col in cols:
                total += x[image, row, col, c]
        y[image, oh, ow, c] = total / (len(rows) * len(cols))
    return y


def adaptive_avg_pool2d_backward(grad: Array, size: Pair) -> Array:
    """Each input receives its share of every window that it lies in: (N, OH, OW, C) -> (N, H, W, C)."""
    n, out_h, out_w, channels = grad.shape
    x_grad = np.zeros((n, *size, channels), grad.dtype)
    for image, oh, ow, c in np.ndindex(grad.shape):
        rows, cols = division(oh, size[0], out_h), division(ow, size[1], out_w)
        for row in rows:
            for col in cols:
                x_grad[image, row, col, c] += grad[image, oh, ow, c] / (len(rows) * len(cols))
    return x_grad
