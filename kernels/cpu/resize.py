"""Bilinear resizing on all cores: along one axis every output pixel is a weighted mean of two input pixels.

A row of the result mixes two rows of the image first, in one run along the memory, and then its columns two by two;
so an image is read from the cache, and only the result goes through memory. Which pixels mix, and how, is the same for
all images and is computed once; kernels/reference/resize.py has the formula.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): 15 % of what copying does, arguments and results counted once.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array

ROWS = 16  # rows of the result in one part


def _neighbours(output: int, input: int) -> tuple[Array, Array]:
    """For each output pixel of one axis the two input pixels it mixes, (output, 2), and the weight of the second."""
    position = np.maximum((np.arange(output) + 0.5) * input / output - 0.5, 0)
    low = position.astype(np.int64)  # rounds down, as no position is negative
    return np.stack([low, np.minimum(low + 1, input - 1)], axis=1), position - low


@compiled
def _resize_part(
    images: Any, rows: Any, row_weights: Any, cols: Any, col_weights: Any, shift: Any, out: Any, part: int
) -> None:
    _, height, width = out.shape
    bands = (height + ROWS - 1) // ROWS
    image, band = part // bands, part % bands
    length = images.shape[2]
    mixed = np.empty(length, np.float32)
    for row in range(band * ROWS, min(height, (band + 1) * ROWS)):
        low, high = images[image, rows[row, 0]], images[image, rows[row, 1]]
        low_weight, high_weight = row_weights[row]
        for i in range(length):
            mixed[i] = low_weight * np.float32(low[i]) + high_weight * np.float32(high[i])
        target = out[image, row]
        for i in range(width):
            target[i] = col_weights[0, i] * mixed[cols[0, i]] + col_weights[1, i] * mixed[cols[1, i]] + shift


@parallel
def _resize(
    workers: int, images: Any, rows: Any, row_weights: Any, cols: Any, col_weights: Any, shift: Any, out: Any,
    parts: int,
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _resize_part(images, rows, row_weights, cols, col_weights, shift, out, part)
            part = next_part(counter)


def resize_bilinear(images: Array, size: tuple[int, int], scale: float, shift: float) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW)."""
    n, h, w, c = images.shape
    out = memory.empty((n, *size, c))
    rows, down = _neighbours(size[0], h)
    cols, right = _neighbours(size[1], w)
    # Scaling the rows' weights scales the result.
    row_weights = np.stack([(1 - down) * scale, down * scale], axis=1).astype(np.float32)
    # Columns and channels are one axis: (OW,) -> (2, OW*C)
    col_weights = np.stack([1 - right, right]).repeat(c, axis=1).astype(np.float32)
    elements = (cols[:, :, None] * c + np.arange(c)).transpose(1, 0, 2).reshape(2, -1)  # (OW, 2, C) -> (2, OW*C)
    # (N, H, W, C) -> (N, H, W*C)
    pixels, target = np.ascontiguousarray(images).reshape(n, h, w * c), out.reshape(n, size[0], size[1] * c)
    parts = n * -(-size[0] // ROWS)
    _resize(pixels, rows, row_weights, elements.astype(np.uint32), col_weights, np.float32(shift), target, parts)
    return out
