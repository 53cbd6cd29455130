"""Joining, parting and padding. NumPy's own functions do not promise C-contiguous results; these do."""

from collections.abc import Sequence

import numpy as np

from kernels.layout import Array


def cat(arrays: Sequence[Array], axis: int) -> Array:
    """Arrays of equal shape but for `axis`, one behind the other."""
    return np.ascontiguousarray(np.concatenate(arrays, axis=axis))


def split(array: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """The way back: contiguous pieces of the given sizes along `axis`."""
    stops = np.cumsum(sizes)[:-1]
    return [np.ascontiguousarray(piece) for piece in np.split(array, stops, axis=axis)]


def pad(x: Array, amounts: Sequence[tuple[int, int]], value: float) -> Array:
    """`amounts[axis]` = (before, after) places of `value` added; negative amounts cut off instead.

    With all amounts negated and value 0 this is its own backward.
    """
    shape = [size + before + after for size, (before, after) in zip(x.shape, amounts, strict=True)]
    y = np.full(shape, value, x.dtype)
    source, target = [], []
    for size, (before, after) in zip(x.shape, amounts, strict=True):
        source.append(slice(max(0, -before), size - max(0, -after)))
        target.append(slice(max(0, before), size + before + after - max(0, after)))
    y[tuple(target)] = x[tuple(source)]
    return y
