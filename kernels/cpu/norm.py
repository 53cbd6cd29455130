"""Batch normalisation and local response normalisation on all cores. Arrays are channels-last, (..., C).

Both are limited by memory, so each pass does all it can: mean and variance come from one pass, the sums of the
backward from one more, and what is the same for all pixels of a channel is computed before. Sums are kept in float64,
one total a channel and part; parts follow from the shape, and their totals are added in order.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): batch_norm at 80 % of what copying does, its backward at 47,
batch_statistics at 55, local_response_norm and its backward at 28 and 27, with a power for every number.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array

CHUNK = 1 << 15  # elements in one part
MOST_SUMS = 64  # parts of a sum over the batch
LONG = 1 << 8  # elements of a row


def _rows(x: Array, together: int = 1) -> Array:
    """(..., C) -> (M / together, together * C), contiguous."""
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]) // together, together * x.shape[-1])


def _together(count: int, channels: int) -> int:
    """How many of `count` rows are treated as one long row, so that the innermost loop is not short."""
    together = 1
    while count % (2 * together) == 0 and 2 * together * channels <= LONG and count:
        together *= 2
    return together


def _parts(rows: Array, most: int | None = None) -> tuple[int, int]:
    """Rows in one part, and the number of parts, at most `most`."""
    length = max(CHUNK // max(1, rows.shape[1]), 1 if most is None else -(-len(rows) // most), 1)
    return length, -(-len(rows) // length)


@compiled
def _sums_row(a: Any, a_centre: Any, b: Any, b_centre: Any, sums: Any, products: Any) -> None:
    for c in range(len(a)):
        distance = np.float64(a[c]) - np.float64(a_centre[c])
        sums[c] += distance
        products[c] += distance * (np.float64(b[c]) - np.float64(b_centre[c]))


@parallel
def _sums(workers: int, a: Any, a_centre: Any, b: Any, b_centre: Any, sums: Any, rows: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < len(sums):
            for row in range(part * rows, min(len(a), (part + 1) * rows)):
                _sums_row(a[row], a_centre, b[row], b_centre, sums[part, 0], sums[part, 1])
            part = next_part(counter)


def _channel_sums(a: Array, a_centre: Array, b: Array, b_centre: Array) -> Array:
    """Each channel's sums of a - a_centre, and of (a - a_centre) * (b - b_centre): (M, C), (C,) -> (2, C) float64."""
    channels = a.shape[1]
    together = _together(*a.shape)
    a, b = _rows(a, together), _rows(b, together)  # (M, C) -> (M/t, t*C)
    length, parts = _parts(a, MOST_SUMS)
    sums = np.zeros((parts, 2, a.shape[1]))
    _sums(a, np.tile(a_centre, together), b, np.tile(b_centre, together), sums, length)
    total: Array = sums.sum(axis=0).reshape(2, together, channels).sum(axis=1)  # (2, t*C) -> (2, t, C) -> (2, C)
    return total


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over everything else: (..., C) -> two (C,).

    Sum and sum of squares of the distances from the first row: it lies near enough to the mean that the difference
    below, in float64, loses nothing that float32 could show.
    """
    rows = _rows(x)
    if not len(rows):
        return np.full_like(x, np.nan, shape=x.shape[-1:]), np.full_like(x, np.nan, shape=x.shape[-1:])
    distance, square = _channel_sums(rows, rows[0], rows, rows[0]) / len(rows)
    return (rows[0] + distance).astype(np.float32), np.maximum(square - distance**2, 0).astype(np.float32)


@compiled
def _batch_norm_row(x: Any, mean: Any, scale: Any, bias: Any, floor: Any, y: Any) -> None:
    for c in range(len(x)):
        value = (x[c] - mean[c]) * scale[c] + bias[c]
        y[c] = floor if value <= floor else value


@parallel
def _batch_norm(
    workers: int, x: Any, mean: Any, scale: Any, bias: Any, floor: Any, y: Any, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(x), (part + 1) * rows)):
                _batch_norm_row(x[row], mean, scale, bias, floor, y[row])
            part = next_part(counter)


def _normalised(x: Array, mean: Array, scale: Array, bias: Array, floor: float) -> Array:
    """max((x - mean) * scale + bias, floor), with NaN passed on: (..., C) -> (..., C)."""
    y = memory.empty(x.shape)
    together = _together(math.prod(x.shape[:-1]), x.shape[-1])
    rows = _rows(x, together)  # (..., C) -> (M/t, t*C)
    channels = (np.tile(np.asarray(values, np.float32), together) for values in (mean, scale, bias))
    _batch_norm(rows, *channels, np.float32(floor), y.reshape(rows.shape), *_parts(rows))
    return y


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
    return _normalised(x, mean, _scale(variance, weight, eps), bias, 0 if activation == "relu" else -np.inf)


@compiled
def _input_grad_row(grad: Any, x: Any, mean: Any, scale: Any, slope: Any, offset: Any, x_grad: Any) -> None:
    for c in range(len(x)):
        x_grad[c] = scale[c] * (grad[c] - offset[c] - (x[c] - mean[c]) * slope[c])


@parallel
def _input_grad(
    workers: int, grad: Any, x: Any, mean: Any, scale: Any, slope: Any, offset: Any, x_grad: Any, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(x), (part + 1) * rows)):
                _input_grad_row(grad[row], x[row], mean, scale, slope, offset, x_grad[row])
            part = next_part(counter)


def batch_norm_backward(
    grad: Array, x: Array, mean: Array, variance: Array, weight: Array | None, eps: float, training: bool
) -> tuple[Array, Array, Array]:
    """Gradients of input (..., C), weight (C,) and bias (C,).

    In training the mean and the variance are themselves functions of x, so each input also moves all others of its
    channel; the two subtracted terms are those paths (Ioffe and Szegedy, section 3, the equations after algorithm 1,
    gathered). In evaluation the statistics are constants.
    """
    grad_rows, rows = _rows(grad), _rows(x)
    mean = np.ascontiguousarray(mean, np.float32)
    bias_grad, weighted = _channel_sums(grad_rows, np.zeros_like(mean), rows, mean)
    inverse_std = _scale(variance, None, eps)
    scale = _scale(variance, weight, eps)
    weight_grad = weighted * inverse_std
    gradients = weight_grad.astype(np.float32), bias_grad.astype(np.float32)
    if not training:
        return _normalised(grad, np.zeros_like(mean), scale, np.zeros_like(mean), -np.inf), *gradients
    count = max(1, len(rows))
    slope, offset = weight_grad * inverse_std / count, bias_grad / count
    x_grad = memory.empty(x.shape)
    together = _together(*rows.shape)
    grad_rows, rows, target = (_rows(a, together) for a in (grad_rows, rows, x_grad))  # (..., C) -> (M/t, t*C)
    channels = (np.tile(np.asarray(values, np.float32), together) for values in (mean, scale, slope, offset))
    _input_grad(grad_rows, rows, *channels, target, *_parts(rows))
    return x_grad, *gradients


@compiled
def _powers(base: Any, exponent: Any, power: Any) -> None:
    """power = base ** exponent; for the usual -0.75 by two square roots, which CPUs can do in vectors."""
    if exponent == np.float32(-0.75):
        for i in range(len(base)):
            power[i] = np.float32(1) / np.sqrt(base[i] * np.sqrt(base[i]))
    else:
        for i in range(len(base)):
            power[i] = base[i] ** exponent


@compiled
def _response_scale(x: Any, before: int, after: int, alpha: Any, k: Any, squares: Any, scale: Any) -> None:
    """scale_c = k + alpha * sum of x^2 from c - before to c + after. `squares` has as many zeros at its ends."""
    for c in range(len(x)):
        squares[before + c] = x[c] * x[c]
    _window_sum(squares, before + after + 1, scale)
    for c in range(len(x)):
        scale[c] = k + alpha * scale[c]


@compiled
def _window_sum(values: Any, size: int, total: Any) -> None:
    """total_c = sum of `size` values from c on."""
    total[:] = 0
    for shift in range(size):
        for c in range(len(total)):
            total[c] += values[c + shift]


@compiled
def _response_norm_rows(
    x: Any, y: Any, first: int, last: int, before: int, after: int, alpha: Any, beta: Any, k: Any
) -> None:
    squares, scale = np.zeros(before + x.shape[1] + after, np.float32), np.empty(x.shape[1], np.float32)
    for row in range(first, last):
        _response_scale(x[row], before, after, alpha, k, squares, scale)
        _powers(scale, -beta, y[row])
        for c in range(x.shape[1]):
            y[row, c] *= x[row, c]


@parallel
def _response_norm(
    workers: int, x: Any, y: Any, before: int, after: int, alpha: Any, beta: Any, k: Any, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            stop = min(len(x), (part + 1) * rows)
            _response_norm_rows(x, y, part * rows, stop, before, after, alpha, beta, k)
            part = next_part(counter)


def _window(x: Array, size: int) -> tuple[int, int]:
    """How many channels a window reaches down and up, no further than there are any."""
    return min(size // 2, x.shape[-1]), min((size - 1) // 2, x.shape[-1])


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y_c = x_c / (k + alpha / size * sum over neighbours of x^2) ** beta; (..., C) -> (..., C).

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3; with alpha divided by the window's size, as in PyTorch and Caffe.
    """
    rows = _rows(x)
    y = memory.empty(x.shape)
    constants = np.float32(alpha / size), np.float32(beta), np.float32(k)
    _response_norm(rows, y.reshape(rows.shape), *_window(x, size), *constants, *_parts(rows))
    return y


@compiled
def _response_norm_backward_rows(
    grad: Any, x: Any, x_grad: Any, first: int, last: int, before: int, after: int, alpha: Any, beta: Any, k: Any
) -> None:
    channels = x.shape[1]
    squares = np.zeros(before + channels + after, np.float32)
    moved = np.zeros(after + channels + before, np.float32)  # mirrored: those in whose window a channel lies
    scale, through_scale = np.empty(channels, np.float32), np.empty(channels, np.float32)
    slope = np.float32(2) * alpha * beta
    for row in range(first, last):
        _response_scale(x[row], before, after, alpha, k, squares, scale)
        _powers(scale, -beta, x_grad[row])
        for c in range(channels):
            direct = grad[row, c] * x_grad[row, c]
            moved[after + c] = direct * x[row, c] / scale[c]
            x_grad[row, c] = direct
        _window_sum(moved, before + after + 1, through_scale)
        for c in range(channels):
            x_grad[row, c] -= slope * x[row, c] * through_scale[c]


@parallel
def _response_norm_backward(
    workers: int, grad: Any, x: Any, x_grad: Any, before: int, after: int, alpha: Any, beta: Any, k: Any, rows: int,
    parts: int,
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            stop = min(len(x), (part + 1) * rows)
            _response_norm_backward_rows(grad, x, x_grad, part * rows, stop, before, after, alpha, beta, k)
            part = next_part(counter)


def local_response_norm_backward(grad: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """Each input moves its own output, and through the scale those of all channels in whose window it lies."""
    rows = _rows(x)
    x_grad = memory.empty(x.shape)
    constants = np.float32(alpha / size), np.float32(beta), np.float32(k)
    target = x_grad.reshape(rows.shape)
    _response_norm_backward(_rows(grad), rows, target, *_window(x, size), *constants, *_parts(rows))
    return x_grad
