"""Arrays (..., C) as rows of channels, and how the rows are dealt into parts, of which a thread takes one at a time."""

import math

import numpy as np

from kernels.layout import Array

CHUNK = 1 << 15  # elements in one part
LONG = 1 << 8  # elements of a row


def as_rows(x: Array, together: int = 1) -> Array:
    """(..., C) -> (M / together, together * C), contiguous."""
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]) // together, together * x.shape[-1])


def rows_together(count: int, channels: int) -> int:
    """How many of `count` rows are treated as one long row, so that the innermost loop is not short."""
    together = 1
    while count % (2 * together) == 0 and 2 * together * channels <= LONG and count:
        together *= 2
    return together


def in_parts(rows: Array, most: int | None = None) -> tuple[int, int]:
    """Rows in one part, and the number of parts, at most `most`."""
    length = max(CHUNK // max(1, rows.shape[1]), 1 if most is None else -(-len(rows) // most), 1)
    return length, -(-len(rows) // length)
