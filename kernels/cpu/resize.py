"""Bilinear resizing on all cores: along one axis every output pixel is a weighted mean of two input pixels.

A row of the result mixes two rows of the image first, in one run along the memory, and then its columns two by two;
so an image is read from the cache, and only the result goes through memory. Which columns mix, and how, is the same for
all rows of an image, or of all images that are seen whole, and is noted once; kernels/reference/resize.py has the
formula.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): 15 % of what copying does, arguments and results counted once.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array
from kernels.views import named, whole_views

ROWS = 16  # rows of the result in one part


@compiled
def _neighbours(output: int, outputs: int, start: int, length: int, inputs: int) -> Any:
    """The two input pixels that an output pixel of one axis mixes, and their weights in double.

    The crop has `length` pixels from `start` on. For one beyond the image, which is 0, stands the first with weight 0.
    """
    position = max((output + 0.5) * length / outputs - 0.5, 0.0)
    low = int(position)  # rounds down, as no position is negative
    first, second = start + low, start + min(low + 1, length - 1)
    first_weight, second_weight = 1 - (position - low), position - low
    if not 0 <= first < inputs:
        first, first_weight = 0, 0.0
    if not 0 <= second < inputs:
        second, second_weight = 0, 0.0
    return first, second, first_weight, second_weight


@compiled
def _note_columns(view: Any, inputs: int, channels: int, elements: Any, weights: Any) -> None:
    """Columns and channels are one axis: which two elements of a row each element of the result mixes, (2, OW*C)."""
    outputs = elements.shape[1] // channels
    for output in range(outputs):
        first, second, first_weight, second_weight = _neighbours(output, outputs, view.left, view.width, inputs)
        column = outputs - 1 - output if view.mirrored else output
        for c in range(channels):
            i = column * channels + c
            elements[0, i], elements[1, i] = first * channels + c, second * channels + c
            weights[0, i], weights[1, i] = first_weight, second_weight


@compiled
def _resize_band(
    image: Any, view: Any, elements: Any, weights: Any, channels: int, scale: float, shift: Any, out: Any, band: int
) -> None:
    height, width = out.shape
    inputs, length = image.shape
    hole_begin = max(view.hole_left, 0) * channels
    hole_end = max(view.hole_left + view.hole_width, 0) * channels
    mixed = np.empty(length, np.float32)
    for row in range(band * ROWS, min(height, (band + 1) * ROWS)):
        first, second, first_weight, second_weight = _neighbours(row, height, view.top, view.height, inputs)
        low, high = image[first], image[second]
        # Scaling the rows' weights scales the result.
        low_weight, high_weight = np.float32(first_weight * scale), np.float32(second_weight * scale)
        for i in range(length):
            mixed[i] = low_weight * np.float32(low[i]) + high_weight * np.float32(high[i])
        target = out[row]
        for i in range(width):
            target[i] = weights[0, i] * mixed[elements[0, i]] + weights[1, i] * mixed[elements[1, i]] + shift
        if view.hole_top <= row < view.hole_top + view.hole_height:
            target[hole_begin:hole_end] = 0


@parallel
def _resize(workers: int, images: Any, views: Any, channels: int, scale: float, shift: Any, out: Any) -> None:
    counter = np.zeros(1, np.int64)
    count, height, width = out.shape
    bands = (height + ROWS - 1) // ROWS
    for _ in prange(workers):
        elements, weights = np.empty((2, width), np.uint32), np.empty((2, width), np.float32)
        noted = -1  # the view whose columns these are: the next part has mostly the same
        part = next_part(counter)
        while part < count * bands:
            image = part // bands
            view = image % len(views)  # one for all images, or one each
            if view != noted:
                _note_columns(views[view], images.shape[2] // channels, channels, elements, weights)
                noted = view
            _resize_band(
                images[image], views[view], elements, weights, channels, scale, shift, out[image], part % bands
            )
            part = next_part(counter)


def resize_bilinear(
    images: Array, size: tuple[int, int], scale: float, shift: float, views: Array | None = None
) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW).

    `views`, (N, 9) int32, say what is seen of each image (kernels/views.py); None: all of it. A crop's pixels beyond
    the image count as 0, and so become `shift`; a hole in the result is 0.
    """
    n, h, w, c = images.shape
    out = memory.empty((n, *size, c))
    view = named(whole_views(1, h, w) if views is None else np.ascontiguousarray(views))
    # Columns and channels are one axis: (N, H, W, C) -> (N, H, W*C)
    pixels, target = np.ascontiguousarray(images).reshape(n, h, w * c), out.reshape(n, size[0], size[1] * c)
    _resize(pixels, view, c, float(scale), np.float32(shift), target)
    return out
