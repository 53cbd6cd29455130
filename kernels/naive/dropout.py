"""Dropout: each element is zero with probability p; the others are scaled up, so that the mean stays.

    y = x / (1 - p)  where the element's random word is at least p * 2**32,  otherwise 0

The random words are counted, not drawn: an element's word follows from the seed, the number of the call, the number of
the image, and the element's place in logical (C, ...) order, which no memory layout changes. So nothing is stored:
with the same seed and call this kernel is its own backward, applied to the gradient.
"""

import numpy as np

from kernels.layout import Array
from kernels.naive.philox import WORD, philox


def random_word(image: int, element: int, seed: int, call: int) -> int:
    """The 32 random bits of one element: the key is the seed, the counter is (element // 4, image, call)."""
    counter = (element // 4, image, call % WORD, call // WORD % WORD)
    return philox(counter, (seed % WORD, seed // WORD % WORD))[element % 4]


def dropout(x: Array, p: float, seed: int, call: int, first: int = 0) -> Array:
    """(N, ..., C) -> (N, ..., C). `first` is the number of the first image."""
    y = np.zeros_like(x)
    if p == 1:
        return y
    for index in np.ndindex(x.shape):
        image, *place, c = index
        element = c  # becomes the number of (c, *place) in an array (C, ...)
        for position, length in zip(place, x.shape[1:-1], strict=True):
            element = element * length + position
        if random_word(first + image, element, seed, call) >= min(int(p * WORD), WORD - 1):
            y[index] = x[index] * (1 / (1 - p))
    return y
