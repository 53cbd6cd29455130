"""The loops of local response normalisation, over rows of channels (M, C).

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): forward and backward at 28 and 27 % of what copying does, with a
power for every number.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.jit import compiled, next_part, parallel


@compiled
def _powers(base: Any, exponent: Any, power: Any) -> None:
    """power = base ** exponent; for the usual -0.75 by two square roots, which CPUs can do in vectors."""
    if exponent == np.float32(-0.75):
        for i in range(len(base)):
            root = np.sqrt(base[i])
            power[i] = np.float32(1) / (root * np.sqrt(root))  # base ** 0.75, which is in range wherever base is
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
def response_norm(
    workers: int, x: Any, y: Any, before: int, after: int, alpha: Any, beta: Any, k: Any, rows: int, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            stop = min(len(x), (part + 1) * rows)
            _response_norm_rows(x, y, part * rows, stop, before, after, alpha, beta, k)
            part = next_part(counter)


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
def response_norm_backward(
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
