"""Dropout: each element is zero with probability p, the others are scaled so that the mean stays."""

import math

import cupy
import numpy as np

from kernels.cuda.launch import contiguous, launch, over_rows
from kernels.layout import Array

PLACES = 4
"""Of dropout.cu: places that a thread takes."""


def dropout(x: Array, p: float, seed: int, call: int, first: int = 0) -> Array:
    """x * mask / (1 - p): (N, ..., C) -> (N, ..., C), float32 or float64.

    The mask is counted, not drawn, as in kernels/reference/dropout.py: it is the same bits as there, and images are
    numbered from `first` on as there.
    """
    if p == 1:
        zeros: Array = cupy.zeros(x.shape, x.dtype)
        return zeros
    n, *sizes, c = x.shape
    places = math.prod(sizes)
    y = cupy.empty(x.shape, x.dtype)
    (blocks,), block = over_rows(-(-places // PLACES), c)
    threshold = np.uint32(min(int(p * 2**32), 2**32 - 1))
    words = [np.uint32(number >> shift & 0xFFFFFFFF) for number in (call, seed) for shift in (0, 32)]
    launch(
        "dropout", "dropout", x.dtype, (n * blocks,), block, contiguous(x), y, np.int32(places), np.int32(c),
        np.int32(blocks), np.uint32(first), threshold, x.dtype.type(1 / (1 - p)), *words,
    )
    return y
