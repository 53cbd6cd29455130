"""Joining, parting and padding (kernels/reference/shape.py). Numbers are moved and never looked at: so there is no
kernel for each dtype but one for each number of bytes that a thread takes at once.

The kernels read addresses out of structures, as any number of arrays of any dtype may come.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from kernels.cuda.launch import contiguous, launch, over_rows
from kernels.layout import Array, address

TEXT = np.dtype(np.float32)
"""Both texts of a file say the same here; this one is compiled."""
UNITS = {16: np.dtype([("at", np.float32, 4)]), 8: np.dtype(np.int64), 4: np.dtype(np.int32), 1: np.dtype(np.uint8)}
"""How many bytes a thread takes at once, and what the kernels call so many."""
MOST_BLOCKS = 65535
"""Along all but the first axis of a grid."""

PIECES = 32
"""Of cat_split.cu's struct Exchange: how many pieces go through one launch."""
PIECE = np.dtype([("data", np.uint64), ("width", np.int64), ("first", np.int64)])
EXCHANGE = np.dtype([
    ("whole", np.uint64), ("rows", np.int64), ("width", np.int64), ("end", np.int64), ("count", np.int32),
    ("split", np.int32), ("pieces", PIECE, PIECES),
])

AXES = 16
"""Of pad.cu's struct Padding: more than remain of any array when axes that are not padded have joined others."""
AXIS = np.dtype([("x", np.int64), ("y", np.int64), ("before", np.int64)])
PADDING = np.dtype([("x", np.uint64), ("y", np.uint64), ("rows", np.int64), ("count", np.int64), ("axes", AXIS, AXES)])


def unit(*numbers: int) -> int:
    """The most bytes that a thread can take at once, where these are the addresses and all the lengths in bytes."""
    common = math.gcd(*numbers)
    return next(size for size in UNITS if common % size == 0)


def over_matrix(rows: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block where threadIdx.x walks along the rows, which may be of any length, and threadIdx.y down them."""
    (down,), (lanes, lines) = over_rows(rows, width)
    return (-(-width // lanes), min(MOST_BLOCKS, down)), (lanes, lines)


def exchange(whole: Array, pieces: Sequence[Array], axis: int, split: bool) -> None:
    """Copies the pieces of `whole` along `axis` into it, or out of it. All are C-contiguous."""
    rows = math.prod(whole.shape[:axis])
    if rows == 0:
        return
    stops = list(itertools.accumulate(piece.nbytes // rows for piece in pieces))
    firsts = [0, *stops[:-1]]
    size = unit(address(whole), *(address(piece) for piece in pieces), *stops)
    for start in range(0, len(pieces), PIECES):
        chosen = slice(start, start + PIECES)
        first, end = firsts[start] // size, stops[chosen][-1] // size
        arguments = np.zeros(1, EXCHANGE)
        one = arguments[0]
        one["whole"], one["rows"], one["width"], one["end"] = address(whole), rows, stops[-1] // size, end
        one["count"], one["split"] = len(pieces[chosen]), split
        for entry, piece, begin in zip(one["pieces"], pieces[chosen], firsts[chosen], strict=False):
            entry["data"], entry["width"], entry["first"] = address(piece), piece.nbytes // rows // size, begin // size
        grid, block = over_matrix(rows, end - first)
        launch("cat_split", f"cat_split_{size}", TEXT, grid, block, arguments)


def cat(arrays: Sequence[Array], axis: int) -> Array:
    """Arrays of equal shape but for `axis`, one behind the other. Of several dtypes NumPy's common one results.

    ValueError if the shapes differ elsewhere.
    """
    dtype = np.result_type(*(array.dtype for array in arrays))
    pieces = [contiguous(array.astype(dtype, copy=False)) for array in arrays]
    shape = list(pieces[0].shape)
    axis %= len(shape)
    shape[axis] = sum(piece.shape[axis] for piece in pieces)
    if any([*piece.shape[:axis], *piece.shape[axis + 1 :]] != shape[:axis] + shape[axis + 1 :] for piece in pieces):
        raise ValueError(f"cat: shapes {[piece.shape for piece in pieces]} differ in more than axis {axis}")
    joined = cupy.empty(tuple(shape), dtype)
    exchange(joined, pieces, axis, split=False)
    return joined


def split(array: Array, sizes: Sequence[int], axis: int) -> list[Array]:
    """The way back: contiguous pieces of the given sizes along `axis`. ValueError if they do not make it up."""
    axis %= array.ndim
    if sum(sizes) != array.shape[axis]:
        raise ValueError(f"split: sizes {list(sizes)} do not make up the {array.shape[axis]} places of axis {axis}")
    pieces = [cupy.empty((*array.shape[:axis], size, *array.shape[axis + 1 :]), array.dtype) for size in sizes]
    exchange(contiguous(array), pieces, axis, split=True)
    return pieces


def pad(x: Array, amounts: Sequence[tuple[int, int]], value: float) -> Array:
    """`amounts[axis]` = (before, after) places of `value` added; negative amounts cut off instead.

    With all amounts negated and value 0 this is its own backward. The result has x's dtype, whichever it is.
    """
    shape = tuple(size + before + after for size, (before, after) in zip(x.shape, amounts, strict=True))
    x, y = contiguous(x), cupy.empty(shape, x.dtype)
    axes = joined_axes(x.shape, amounts)
    *outer, last = axes
    rows = math.prod(length for _, length, _ in outer)
    size = unit(address(x), address(y), *(length * x.itemsize for length in last))
    arguments = np.zeros(1, PADDING)
    one = arguments[0]
    one["x"], one["y"], one["rows"], one["count"] = address(x), address(y), rows, len(axes)
    axes[-1] = tuple(length * x.itemsize // size for length in last)
    one["axes"][: len(axes)] = axes
    grid, block = over_matrix(rows, axes[-1][1])
    launch("pad", f"pad_{size}", TEXT, grid, block, arguments, repeated(value, x.dtype, size))
    return y


def joined_axes(shape: Sequence[int], amounts: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """For each axis its length before padding, that after it, and what is laid on before.

    Axes that are not padded, as a rule the channels, join the axis before them: that makes long rows.
    """
    axes: list[tuple[int, ...]] = [(1, 1, 0)]
    for size, (before, after) in zip(shape, amounts, strict=True):
        if (before, after) == (0, 0):
            axes[-1] = tuple(length * size for length in axes[-1])
        else:
            axes.append((size, size + before + after, before))
    return axes


def repeated(value: float, dtype: np.dtype, size: int) -> Any:
    """The value as often as it fits into `size` bytes, as an argument of a kernel."""
    bits = np.full(size // dtype.itemsize, value, dtype).view(UNITS[size])
    return bits if UNITS[size].names else bits[0]
