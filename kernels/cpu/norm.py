"""Batch normalisation, and local response normalisation, whose loops are in response_norm.py. Arrays are (..., C).

Memory is the limit, so each pass does all it can: mean and variance come from one pass, the sums of the backward from
one more, and what is the same for all pixels of a channel is computed before. Where ReLU blocks the gradient is
computed anew from x, which costs less than reading the output. Sums are kept in float64, one total a channel and part;
parts follow from the shape, and their totals are added in order.

Measured from cold caches on two cores where copying reached 49 GB/s and NumPy's matrix product 414 GFLOP/s (Intel Xeon
with AMX, 2026-11-30, `python -m benchmarks kernels --filter batch_ --repeats 15`): batch_norm at 47 % of what copying
does, where ReLU, which does nearly nothing, is at 47 too; its backward at 30, with ReLU at 28, batch_statistics at 30.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.blocks import LINE
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.cpu.response_norm import response_norm, response_norm_backward
from kernels.cpu.rows import as_rows, in_parts, rows_together
from kernels.cpu.vector_ops import fetch
from kernels.layout import Array

MOST_SUMS = 64  # parts of a sum over the batch
AHEAD = 1 << 11  # bytes


def _of_channels(together: int, *numbers: Array) -> Array:
    """Numbers of each channel, once for every pixel of a long row: K times (C,) -> (K, t*C) float32."""
    table = np.array(numbers, np.float32)
    return table if together == 1 else np.concatenate([table] * together, axis=1)


@compiled
def _affine(x: Any, mean: Any, scale: Any, bias: Any) -> Any:
    """What becomes of x, forward and, to see where ReLU blocked, once more in backward: the same bits in both."""
    return (x - mean) * scale + bias


@compiled
def _passed(grad: Any, x: Any, mean: Any, scale: Any, bias: Any) -> Any:
    """The gradient where ReLU let through what x became, otherwise 0. It passes at NaN."""
    return np.float32(0) if _affine(x, mean, scale, bias) <= np.float32(0) else grad


@compiled
def _fetch_ahead(rows: Any) -> None:
    """Have as much memory fetched as these rows (R, C) take, from AHEAD bytes after their beginning on: to the
    processor, rows that are read four at a time do not look like a run that it would fetch ahead by itself."""
    address = rows.ctypes.data + AHEAD
    for line in range(rows.size // LINE):
        fetch(address + 4 * LINE * line)


@compiled
def _sums_rows(numbers: Any, a: Any, b: Any, channels: Any, relu: bool, sums: Any) -> None:
    """Add the rows of these numbers, a tuple: the compiler knows its length, and a channel's sums stay in registers."""
    for c in range(a.shape[1]):
        a_centre, b_centre = np.float64(channels[0, c]), np.float64(channels[1, c])
        total, product = sums[0, c], sums[1, c]
        for row in numbers:
            value = a[row, c]
            if relu:
                value = _passed(value, b[row, c], channels[1, c], channels[2, c], channels[3, c])
            distance = np.float64(value) - a_centre
            total += distance
            product += distance * (np.float64(b[row, c]) - b_centre)
        sums[0, c], sums[1, c] = total, product


@parallel
def _sums(workers: int, a: Any, b: Any, channels: Any, relu: bool, sums: Any, rows: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < len(sums):
            row, end = part * rows, min(len(a), (part + 1) * rows)
            while row < end:
                stop = row + 4 if row + 4 <= end else row + 1
                some_a, some_b = a[row:stop], b[row:stop]
                _fetch_ahead(some_a)
                if some_b.ctypes.data != some_a.ctypes.data:  # statistics hand in x twice
                    _fetch_ahead(some_b)
                if stop == row + 4:
                    _sums_rows((0, 1, 2, 3), some_a, some_b, channels, relu, sums[part])
                else:
                    _sums_rows((0,), some_a, some_b, channels, relu, sums[part])
                row = stop
            part = next_part(counter)


def _channel_sums(a: Array, b: Array, relu: bool, *channels: Array) -> Array:
    """Each channel's sums of a - a_centre and of (a - a_centre) * (b - b_centre): two (M, C) -> (2, C) float64.

    channels: a_centre and b_centre, (C,); with relu also scale and bias, and a counts as 0 where ReLU blocked
    (b - b_centre) * scale + bias.
    """
    width = a.shape[1]
    together = rows_together(*a.shape)
    a, b = as_rows(a, together), as_rows(b, together)  # (M, C) -> (M/t, t*C)
    length, parts = in_parts(a, MOST_SUMS)
    sums = np.zeros((parts, 2, a.shape[1]))
    _sums(a, b, _of_channels(together, *channels), relu, sums, length)
    total: Array = sums.sum(axis=0).reshape(2, together, width).sum(axis=1)  # (2, t*C) -> (2, t, C) -> (2, C)
    return total


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over everything else: (..., C) -> two (C,).

    Sum and sum of squares of the distances from the first row: it lies near enough to the mean that the difference
    below, in float64, loses nothing that float32 could show.
    """
    rows = as_rows(x)
    if not len(rows):
        return np.full_like(x, np.nan, shape=x.shape[-1:]), np.full_like(x, np.nan, shape=x.shape[-1:])
    distance, square = _channel_sums(rows, rows, False, rows[0], rows[0]) / len(rows)
    return (rows[0] + distance).astype(np.float32), np.maximum(square - distance**2, 0).astype(np.float32)


@compiled
def _batch_norm_row(x: Any, channels: Any, floor: Any, y: Any) -> None:
    mean, scale, bias = channels[0], channels[1], channels[2]
    for c in range(len(x)):
        value = _affine(x[c], mean[c], scale[c], bias[c])
        y[c] = floor if value <= floor else value


@parallel
def _batch_norm(workers: int, x: Any, channels: Any, floor: Any, y: Any, rows: int, parts: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(x), (part + 1) * rows)):
                _batch_norm_row(x[row], channels, floor, y[row])
            part = next_part(counter)


def _scale(variance: Array, weight: Array | None, eps: float) -> Array:
    """What a distance from the mean is multiplied with, (C,)."""
    inverse_std: Array = 1 / np.sqrt(variance + eps)
    return inverse_std if weight is None else inverse_std * weight


def batch_norm(
    x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None,
) -> Array:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, then ReLU if asked; (..., C) -> (..., C).

    S. Ioffe and C. Szegedy, "Batch normalization", 2015, algorithm 1.
    """
    bias = np.zeros_like(mean) if bias is None else bias
    floor = np.float32(0 if activation == "relu" else -np.inf)
    y = memory.empty(x.shape)
    together = rows_together(math.prod(x.shape[:-1]), x.shape[-1])
    rows = as_rows(x, together)  # (..., C) -> (M/t, t*C)
    channels = _of_channels(together, mean, _scale(variance, weight, eps), bias)
    _batch_norm(rows, channels, floor, y.reshape(rows.shape), *in_parts(rows))
    return y


@compiled
def _input_grad_row(grad: Any, x: Any, channels: Any, relu: bool, training: bool, x_grad: Any) -> None:
    mean, scale, bias, slope, offset = channels[0], channels[1], channels[2], channels[3], channels[4]
    for c in range(len(x)):
        owed = _passed(grad[c], x[c], mean[c], scale[c], bias[c]) if relu else grad[c]
        if training:
            owed = owed - offset[c] - (x[c] - mean[c]) * slope[c]
        x_grad[c] = scale[c] * owed


@parallel
def _input_grad(
    workers: int, grad: Any, x: Any, channels: Any, relu: bool, training: bool, x_grad: Any, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(x), (part + 1) * rows)):
                _input_grad_row(grad[row], x[row], channels, relu, training, x_grad[row])
            part = next_part(counter)


def batch_norm_backward(
    grad: Array, x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None, training: bool,
) -> tuple[Array, Array, Array]:
    """Gradients of input (..., C), weight (C,) and bias (C,).

    In training the mean and the variance are themselves functions of x, so each input also moves all others of its
    channel; the two subtracted terms are those paths (Ioffe and Szegedy, section 3, the equations after algorithm 1,
    gathered). In evaluation the statistics are constants. Where ReLU, if there was one, blocked follows from x.
    """
    rows, grad_rows = as_rows(x), as_rows(grad)
    count, relu, zero = max(1, len(rows)), activation == "relu", np.zeros_like(mean)
    inverse_std, scale = _scale(variance, None, eps), _scale(variance, weight, eps)
    forward = mean, scale, zero if bias is None else bias
    bias_grad, weighted = _channel_sums(grad_rows, rows, relu, zero, *forward)
    weight_grad = weighted * inverse_std
    x_grad = memory.empty(x.shape)
    together = rows_together(*rows.shape)
    channels = _of_channels(together, *forward, weight_grad * inverse_std / count, bias_grad / count)
    long = [as_rows(array, together) for array in (grad_rows, rows, x_grad)]  # (..., C) -> (M/t, t*C)
    _input_grad(*long[:2], channels, relu, training, long[2], *in_parts(long[2]))
    return x_grad, weight_grad.astype(np.float32), bias_grad.astype(np.float32)


def _window(x: Array, size: int) -> tuple[int, int]:
    """How many channels a window reaches down and up, no further than there are any."""
    return min(size // 2, x.shape[-1]), min((size - 1) // 2, x.shape[-1])


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y_c = x_c / (k + alpha / size * sum over neighbours of x^2) ** beta; (..., C) -> (..., C).

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3; with alpha divided by the window's size, as in PyTorch and Caffe.
    """
    rows = as_rows(x)
    y = memory.empty(x.shape)
    constants = np.float32(alpha / size), np.float32(beta), np.float32(k)
    response_norm(rows, y.reshape(rows.shape), *_window(x, size), *constants, *in_parts(rows))
    return y


def local_response_norm_backward(grad: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """Each input moves its own output, and through the scale those of all channels in whose window it lies."""
    rows = as_rows(x)
    x_grad = memory.empty(x.shape)
    constants = np.float32(alpha / size), np.float32(beta), np.float32(k)
    target = x_grad.reshape(rows.shape)
    response_norm_backward(as_rows(grad), rows, target, *_window(x, size), *constants, *in_parts(rows))
    return x_grad
