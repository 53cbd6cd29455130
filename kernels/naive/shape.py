"""Joining, parting and padding: every element goes to its new place, one by one."""

from collections.abc import Sequence

import numpy as np

from kernels.layout import Array


def cat(arrays: Sequence[Array], axis: int) -> Array:
    """y[..., offset + k, ...] = array[..., k, ...], where an array's offset is the length of all before it."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(array.shape[axis] for array in arrays)
    y = np.empty(shape, arrays[0].dtype)
    offset = 0
    for array in arrays:
        for index in np.ndindex(array.shape):
            place = list(index)
            place[axis] += offset
            y[tuple(place)] = array[index]
        offset += array.shape[axis]
    return y


def split(array: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """The way back: pieces of the given sizes along `axis`."""
    pieces = []
    offset = 0
    for size in sizes:
        shape = list(array.shape)
        shape[axis] = size
        piece = np.empty(shape, array.dtype)
        for index in np.ndindex(piece.shape):
            place = list(index)
            place[axis] += offset
            piece[index] = array[tuple(place)]
        pieces.append(piece)
        offset += size
    return pieces


def pad(x: Array, amounts: Sequence[tuple[int, int]], value: float) -> Array:
    """y[k] = x[k - before] where there is such an x, otherwise `value`. `amounts[axis]` is (before, after).

    Negative amounts cut off. With all amounts negated and value 0 this is its own backward.
    """
    y = np.empty([size + before + after for size, (before, after) in zip(x.shape, amounts, strict=True)], x.dtype)
    for index in np.ndindex(y.shape):
        place = tuple(position - before for position, (before, _) in zip(index, amounts, strict=True))
        inside = all(0 <= position < size for position, size in zip(place, x.shape, strict=True))
        y[index] = x[place] if inside else value
    return y
