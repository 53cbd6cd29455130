"""Sums of what threads have summed each for itself, and matrices turned around: work on weights, not on images.

What makes it fast: memory is read and written in whole cache lines. A matrix is turned around in bands of BAND rows:
lines of them are added up one after the other, in long runs, and then each column of the band makes one cache line of
the result.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array
from kernels.memory import empty

CHUNK = 1 << 12
BAND = 16
"""Rows that are turned around at a time: a cache line of the result."""
RUN = 256
"""Columns of a band, which then fills half of the L1 cache."""


def add_up(parts: Array) -> Array:
    """The sum over axis 0, in its order: (parts, ...) -> (...)."""
    total = empty(parts.shape[1:])
    flat = parts.reshape(len(parts), -1)  # (parts, ...) -> (parts, D)
    _add_up(flat, total.reshape(-1), -(-flat.shape[1] // CHUNK))
    return total


@parallel
def _add_up(workers: int, parts: Array, total: Array, chunks: int) -> None:
    for chunk in prange(chunks):
        begin, end = chunk * CHUNK, min(total.size, (chunk + 1) * CHUNK)
        target = total[begin:end]
        _add_lines(parts, begin, target)


@compiled
def _add_lines(parts: Any, begin: int, target: Any) -> None:
    """target = the sum over axis 0 of parts[:, begin:], as far as it is long."""
    first = parts[0, begin : begin + target.size]
    for k in range(target.size):
        target[k] = first[k]
    for part in range(1, len(parts)):
        line = parts[part, begin : begin + target.size]
        for k in range(target.size):
            target[k] += line[k]


def turned_sum(parts: Array, first: int = 0, rows: int | None = None) -> Array:
    """The sum over axis 0 of some rows, all if not given, turned around: (parts, D, K) -> (K, rows)."""
    _, depth, columns = parts.shape
    total = empty((1, columns, depth if rows is None else rows))
    _turn(parts.reshape(len(parts), -1), np.array([first * columns]), total)  # (parts, D * K)
    return total[0]


def turned_weight(weight: Array) -> Array:
    """What an input gradient convolves with, taps and channels in reverse: (kh, kw, C, D) -> (kh, kw, D, C)."""
    kh, kw, channels, filters = weight.shape
    turned = empty((kh * kw, filters, channels))
    starts = np.arange(kh * kw)[::-1] * (channels * filters)
    _turn(weight.reshape(1, -1), starts, turned)
    return turned.reshape(kh, kw, filters, channels)


@parallel
def _turn(workers: int, parts: Array, starts: Array, totals: Array) -> None:
    """totals (T, K, D): each the sum of `parts`, whose matrix (D, K) begins at one of the starts, turned around."""
    matrices, columns, rows = totals.shape
    bands, runs = (rows + BAND - 1) // BAND, (columns + RUN - 1) // RUN
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        lines = np.empty((BAND, RUN), np.float32)
        task = next_part(counter)
        while task < matrices * bands * runs:
            matrix, row, column = task // (bands * runs), task // runs % bands * BAND, task % runs * RUN
            height, width = min(BAND, rows - row), min(RUN, columns - column)
            for r in range(height):
                _add_lines(parts, starts[matrix] + (row + r) * columns + column, lines[r, :width])
            total = totals[matrix]
            for k in range(width):
                for r in range(height):
                    total[column + k, row + r] = lines[r, k]
            task = next_part(counter)
