"""ReLU and the softmaxes on all cores. They work on arrays of any shape and layout.

ReLU does not care which element is which, so any array without gaps goes through as one flat run of memory, whatever
the order of its axes, and the result gets the same order: one read, one write, no copies. A softmax wants its axis last
in memory, and goes over a row while it is in the cache.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): ReLU at 87 % of what copying does, its backward at 90 %, so memory
is the limit. The softmaxes at 6 to 14 %: scalar exponentials are theirs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array

CHUNK = 1 << 15  # elements in one part
ROW_CHUNK = 1 << 12  # elements in one part of a softmax, which has more to do for each


def gapless_order(x: Array) -> tuple[int, ...] | None:
    """The order of axes in which x lies in memory without gaps, or None if it has gaps; C order where it may be."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    order = tuple(sorted(range(x.ndim), key=x.strides.__getitem__, reverse=True))
    return order if x.transpose(order).flags.c_contiguous else None


def _flat(order: tuple[int, ...], *arrays: Array) -> list[Array]:
    """Each array's elements in the given order of axes, (size,): a view where that is their order in memory."""
    return [np.ascontiguousarray(array.transpose(order)).reshape(-1) for array in arrays]


def _unflat(flat: Array, like: Array, order: tuple[int, ...]) -> Array:
    """The way back from `_flat`: (size,) -> the shape of `like`, always a view."""
    return flat.reshape(like.transpose(order).shape).transpose(np.argsort(order))


@compiled
def _relu_part(x: Any, y: Any) -> None:
    zero = x.dtype.type(0)  # a plain 0 would make Numba compute in float64
    for i in range(len(x)):
        y[i] = zero if x[i] <= zero else x[i]


@parallel
def _relu(workers: int, x: Any, y: Any, parts: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            start, stop = part * CHUNK, (part + 1) * CHUNK
            _relu_part(x[start:stop], y[start:stop])
            part = next_part(counter)


def relu(x: Array) -> Array:
    """max(x, 0), with NaN passed on."""
    order = gapless_order(x) or tuple(range(x.ndim))
    (flat,) = _flat(order, x)
    y = memory.empty((x.size,), x.dtype)
    _relu(flat, y, -(-x.size // CHUNK))
    return _unflat(y, x, order)


@compiled
def _relu_backward_part(grad: Any, output: Any, x_grad: Any) -> None:
    zero, nothing = output.dtype.type(0), grad.dtype.type(0)
    for i in range(len(grad)):
        x_grad[i] = nothing if output[i] <= zero else grad[i]


@parallel
def _relu_backward(workers: int, grad: Any, output: Any, x_grad: Any, parts: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            start, stop = part * CHUNK, (part + 1) * CHUNK
            _relu_backward_part(grad[start:stop], output[start:stop], x_grad[start:stop])
            part = next_part(counter)


def relu_backward(grad: Array, output: Array) -> Array:
    """The gradient passes where the output is not 0. So the input need not be kept. It passes at NaN, as in PyTorch."""
    order = gapless_order(output) or tuple(range(output.ndim))
    x_grad = memory.empty((grad.size,), grad.dtype)
    _relu_backward(*_flat(order, grad, output), x_grad, -(-grad.size // CHUNK))
    return _unflat(x_grad, grad, order)


@compiled
def log_softmax_row(x: Any, y: Any) -> None:
    """y = log_softmax(x), (C,)."""
    highest, total = np.float32(-np.inf), np.float32(0)
    for c in range(len(x)):
        highest = max(highest, x[c])
    for c in range(len(x)):
        total += np.exp(x[c] - highest)
    log_total = np.log(total)
    for c in range(len(x)):
        y[c] = x[c] - highest - log_total


@compiled
def _softmax_row(x: Any, y: Any) -> None:
    highest, total = np.float32(-np.inf), np.float32(0)
    for c in range(len(x)):
        highest = max(highest, x[c])
    for c in range(len(x)):
        y[c] = np.exp(x[c] - highest)
        total += y[c]
    for c in range(len(x)):
        y[c] /= total


@parallel
def _softmax(workers: int, x: Any, y: Any, logarithm: bool, rows: int, parts: int) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(x), (part + 1) * rows)):
                if logarithm:
                    log_softmax_row(x[row], y[row])
                else:
                    _softmax_row(x[row], y[row])
            part = next_part(counter)


@compiled
def _softmax_backward_row(grad: Any, output: Any, x_grad: Any) -> None:
    total = np.float32(0)
    for c in range(len(grad)):
        total += grad[c] * output[c]
    for c in range(len(grad)):
        x_grad[c] = output[c] * (grad[c] - total)


@compiled
def _log_softmax_backward_row(grad: Any, output: Any, x_grad: Any) -> None:
    total = np.float32(0)
    for c in range(len(grad)):
        total += grad[c]
    for c in range(len(grad)):
        x_grad[c] = grad[c] - np.exp(output[c]) * total


@parallel
def _softmax_backward(
    workers: int, grad: Any, output: Any, x_grad: Any, logarithm: bool, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(grad), (part + 1) * rows)):
                if logarithm:
                    _log_softmax_backward_row(grad[row], output[row], x_grad[row])
                else:
                    _softmax_backward_row(grad[row], output[row], x_grad[row])
            part = next_part(counter)


def row_parts(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many rows one part has, and how many parts there are: for rows (M, C)."""
    rows = max(1, ROW_CHUNK // max(1, shape[1]))
    return rows, -(-shape[0] // rows)


def _along(axis: int, kernel: Callable[..., None], logarithm: bool, *arrays: Array) -> Array:
    """Run a kernel of rows along `axis` of all arrays. No copies where the axis is last in memory."""
    if arrays[0].ndim == 0:  # one number is a row of one
        return _along(0, kernel, logarithm, *(array.reshape(1) for array in arrays)).reshape(())
    moved = [np.moveaxis(array, axis, -1) for array in arrays]
    shape = moved[0].shape
    rows = [np.ascontiguousarray(array).reshape(-1, max(1, shape[-1])) for array in moved]  # (..., C) -> (M, C)
    result = memory.empty(rows[0].shape)
    kernel(*rows, result, logarithm, *row_parts(result.shape))
    y = np.moveaxis(result.reshape(shape), -1, axis)  # (M, C) -> (..., C)
    return y if moved[0].flags.c_contiguous else np.ascontiguousarray(y)


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along `axis`. The maximum is subtracted first, so that no exponential overflows."""
    return _along(axis, _softmax, True, x)


def log_softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = g_i - softmax_i * sum_k g_k, where softmax = exp(output)."""
    return _along(axis, _softmax_backward, True, grad, output)


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along `axis`."""
    return _along(axis, _softmax, False, x)


def softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = y_i * (g_i - sum_k g_k y_k), where y = output."""
    return _along(axis, _softmax_backward, False, grad, output)
