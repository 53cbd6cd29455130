"""Dropout: each element is zero with probability p, the others are scaled so that the mean stays (N. Srivastava et
al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 10)."""

import math

import numpy as np

from kernels.layout import Array
from kernels.reference.philox import random_words


def dropout(x: Array, p: float, seed: int, call: int, first: int = 0) -> Array:
    """x * mask / (1 - p): (N, ..., C) -> (N, ..., C).

    The mask is counted, not drawn: it depends on seed, call, image and the element's place in logical (C, ...) order
    only. So the same kernel with the same seed and call is its own backward, applied to the gradient. Images are
    numbered from `first` on: where others have the images before these, all draw from one mask.
    """
    if p == 1:
        return np.zeros_like(x)
    n, *places, c = x.shape
    words = random_words(n, c * math.prod(places), seed, call, first).reshape(n, c, *places)  # (N, E) -> (N, C, ...)
    keep = np.moveaxis(words, 1, -1) >= np.uint32(min(int(p * 2**32), 2**32 - 1))  # (N, C, ...) -> (N, ..., C)
    return np.where(keep, x * x.dtype.type(1 / (1 - p)), x.dtype.type(0))
