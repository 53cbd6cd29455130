"""Matrix products of any size out of the micro-kernel's tiles.

The right-hand matrix is packed once per call into panels that are a tile wide, so that the innermost loop reads it
front to back. The left-hand one is read where it lies. Blocks of BLOCK_ROWS rows meet one panel after the other: the
panel stays in the L1 cache, the block in L2.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.jit import compiled, parallel
from kernels.cpu.microkernel import (
    GROUP,
    ROWS,
    TALL,
    columns_times_rows_1,
    columns_times_rows_2,
    columns_times_rows_3,
    rows_times_panel_1,
    rows_times_panel_2,
)
from kernels.cpu.vector_ops import copy_vector
from kernels.cpu.vectors import LANES
from kernels.layout import Array
from kernels.memory import empty

MOST_ROWS = max(max(rows) for rows in ROWS.values())
BLOCK_ROWS = int(np.lcm.reduce([rows[0] for rows in ROWS.values()]))
"""A multiple of every tile's rows."""
BLOCK_DEPTH = 256
"""Rows of a panel that stay in the L1 cache, 32 KB."""

tall_1, short_1 = rows_times_panel_1
tall_2, middle_2, short_2 = rows_times_panel_2
TALL_1, SHORT_1 = ROWS[1]
TALL_2, MIDDLE_2, SHORT_2 = ROWS[2]


@compiled
def vectors_in(columns: int) -> int:
    """How many vectors hold so many floats."""
    return (columns + LANES - 1) // LANES


@compiled
def padded(columns: int) -> int:
    """`columns` rounded up to whole vectors."""
    return vectors_in(columns) * LANES


@compiled
def panel_width(vectors_left: int) -> int:
    """Vectors in the next panel: 2, and 1 if only one is left."""
    return min(2, vectors_left)


def packed(b: Array, turned: bool) -> Array:
    """Panels of b (groups, K, D), or of its matrices turned around, (groups, D, K): (groups, K * padded(D)).

    A panel has all K rows of its columns, one behind the other, and zeros behind the last column.
    """
    groups, depth, columns = (b.shape[0], b.shape[2], b.shape[1]) if turned else b.shape
    panels = empty((groups, depth * padded(columns)))
    for matrix, target in zip(np.ascontiguousarray(b), panels, strict=True):
        _pack(matrix, turned, depth, columns, target)
    return panels


@parallel
def _pack(workers: int, matrix: Array, turned: bool, depth: int, columns: int, panels: Array) -> None:
    for first in prange((vectors_in(columns) + 1) // 2):
        pack_panel(matrix, turned, depth, columns, 2 * LANES * first, panels)


@compiled
def pack_panel(matrix: Any, turned: bool, depth: int, columns: int, start: int, panels: Any) -> None:
    """The panel that begins with column `start`."""
    width = panel_width(vectors_in(columns - start)) * LANES
    panel = panels[start * depth : (start + width) * depth]
    if turned:
        lines = matrix[start : min(start + width, columns)]
        for k in range(depth):
            row = panel[k * width : (k + 1) * width]
            for n in range(len(lines)):
                row[n] = lines[n, k]
            for n in range(len(lines), width):
                row[n] = np.float32(0)
    else:
        for k in range(depth):
            for n in range(0, width, LANES):
                source = matrix.ctypes.data + 4 * (k * columns + start + n)
                copy_vector(source, source, False, panel.ctypes.data + 4 * (k * width + n), columns - start - n)


@compiled
def panel_rows(
    width: int, rows: int, a: int, a_table: int, tap_table: int, taps: int, run: int, panel: int, c: int, c_table: int,
    start: int, add: bool, columns: int, floor: float,
) -> None:
    """`rows_times_panel` over all rows, in tiles of the height that wastes least of the last one."""
    height = TALL_2 if width == 2 else TALL_1
    for other in (MIDDLE_2, SHORT_2) if width == 2 else (SHORT_1, SHORT_1):
        if -rows % other < -rows % height:
            height = other
    for row in range(0, rows, height):
        a_rows, c_rows = a_table + 8 * row, c_table + 8 * row
        if width == 1 and height == TALL_1:
            tall_1(a, a_rows, tap_table, taps, run, panel, c, c_rows, start, add, columns, floor)
        elif width == 1:
            short_1(a, a_rows, tap_table, taps, run, panel, c, c_rows, start, add, columns, floor)
        elif height == TALL_2:
            tall_2(a, a_rows, tap_table, taps, run, panel, c, c_rows, start, add, columns, floor)
        elif height == MIDDLE_2:
            middle_2(a, a_rows, tap_table, taps, run, panel, c, c_rows, start, add, columns, floor)
        else:
            short_2(a, a_rows, tap_table, taps, run, panel, c, c_rows, start, add, columns, floor)


@compiled
def multiply_rows(
    a: int, row_offsets: Any, rows: int, tap_offsets: Any, run: int, panels: int, columns: int, c: int,
    c_offsets: Any, start: int, add: bool, floor: float,
) -> None:
    """c = max(start + a @ panels, floor), or c += a @ panels: all panels, all rows, and long runs piece by piece.

    a, panels, c, start are addresses. Both tables of offsets go on behind `rows` with copies of the last row's, as far
    as a tile may reach.
    """
    vectors, taps = vectors_in(columns), tap_offsets.size
    a_table, c_table, tap_table = row_offsets.ctypes.data, c_offsets.ctypes.data, tap_offsets.ctypes.data
    pieces = (run + BLOCK_DEPTH - 1) // BLOCK_DEPTH if taps == 1 else 1
    first = 0
    while first < vectors:
        width = panel_width(vectors - first)
        begin = 4 * first * LANES
        panel = panels + begin * taps * run
        for piece in range(pieces):
            k, end = piece * run // pieces, (piece + 1) * run // pieces
            panel_rows(
                width, rows, a + 4 * k, a_table, tap_table, taps, end - k, panel + 4 * k * width * LANES, c + begin,
                c_table, start + begin, add or k > 0, columns - first * LANES,
                floor if end == run else np.float32(-np.inf),
            )
        first += width


@compiled
def column_place(column: int, row: int, rows: int) -> int:
    """Where a left-hand matrix (rows, columns) that is summed over its rows has an element: GROUP columns together."""
    return (column // GROUP * rows + row) * GROUP + column % GROUP


@compiled
def columns_product(
    a: int, depth: int, a_columns: int, b: int, b_offsets: Any, columns: int, c: int, c_step: int, add: bool
) -> None:
    """c = a^T @ b, or c += a^T @ b: `columns_times_rows` over all columns of both.

    a, b, c are addresses; a (depth, a_columns) lies as `column_place` has it. b's row k begins b_offsets[k] floats
    behind b.
    """
    vectors, table = vectors_in(columns), b_offsets.ctypes.data
    spare = np.empty(3 * LANES, np.float32).ctypes.data
    for first in range(0, vectors, 3):
        begin = 4 * first * LANES
        here = columns - first * LANES
        for row in range(0, a_columns, TALL):
            tile, target = a + 4 * column_place(row, 0, depth), c + 4 * row * c_step + begin
            wanted = a_columns - row
            if vectors - first >= 3:
                columns_times_rows_3(tile, depth, b + begin, table, target, c_step, wanted, here, add, spare)
            elif vectors - first == 2:
                columns_times_rows_2(tile, depth, b + begin, table, target, c_step, wanted, here, add, spare)
            else:
                columns_times_rows_1(tile, depth, b + begin, table, target, c_step, wanted, here, add, spare)
