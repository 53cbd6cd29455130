"""Gradients of a convolution's weight and bias, directly: gradients meet pixels, summed over all places.

    weight_grad[k, d] = sum over places p of window[p, k] * grad[p, d],       bias_grad[d] = sum over p of grad[p, d]

where k counts the taps and channels of a window. What makes it fast: this is a matrix product whose sum runs over the
places, grad^T @ window, so a place's window is read where it lies and no column matrix is needed. Only where its pieces
are shorter than two vectors, as in an image's first convolution, they are put together first. A block's gradients are
copied in the order in which the micro-kernel reads them, with zeros where ReLU blocked them, and the bias gradient is
summed on the way.

The sum is cut into sections of the batch whose number follows from the shapes alone. Each is summed by one thread in
memory of its own, and the sections are added in their order: so the result does not depend on the number of threads.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): the stem's 7x7 at 81 GFLOP/s, 19 % of the roofline. 1x1 weight
gradients are in pointwise.py, or, where the input needs none, here.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.blocks import Blocks, block_bounds, bring_near, copy_block, deal, gate, place_offsets, scratch
from kernels.cpu.correlate import Phase, tap_runs
from kernels.cpu.gemm import BLOCK_ROWS, MOST_ROWS, column_place, columns_product
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.microkernel import GROUP
from kernels.cpu.sums import add_up, turned_sum
from kernels.cpu.vector_ops import add_vector, copy_vector
from kernels.cpu.vectors import LANES
from kernels.layout import Array
from kernels.memory import empty

SECTION_PLACES = 512
"""Places that a section has at least: below, writing its sum and reading it again would cost more than it saves."""
MOST_SECTIONS, ENOUGH_TASKS = 16, 8
"""What threads share: sections, and where these are fewer than enough, also the columns of the result."""
LEAST_COLUMNS = 96
"""Columns that a thread takes at least."""


def sections(places: int, least: int = SECTION_PLACES) -> int:
    """How many sections so many places make: a power of two, so that two or four threads share them evenly."""
    count = 1
    while count < MOST_SECTIONS and places >= 2 * count * least:
        count *= 2
    return count


def weight_grad(phase: Phase, grad: Array, output: Array | None, x: Array, groups: int) -> tuple[Array, Array]:
    """(N, OH, OW, O) and (N, H, W, C) -> (taps * C/groups, O) and (O,)."""
    filters = grad.shape[3]
    blocks = deal(len(x), phase.places, phase.steps, phase.row_shifts, phase.col_shifts, BLOCK_ROWS)
    tap_offsets, run = tap_runs(phase, blocks.source_cols, x.shape[3], groups)
    depth = len(tap_offsets) * run
    joined = run < 2 * LANES
    parts = min(sections(len(x) * phase.places[0] * phase.places[1]), blocks.total)
    sums, bias_sums = empty((parts, filters, depth)), empty((parts, filters))
    threads = workers()
    _weight_grad(
        blocks, blocks.total, *gate(grad, output), x, tap_offsets, run,
        joined, groups, sums, bias_sums,
        *scratch(
            threads, blocks.pixels * x.shape[3] + LANES, blocks.places * (depth if joined else 0) + LANES,
            blocks.places * (filters // groups + GROUP),
        ),
        np.empty((threads, blocks.places + MOST_ROWS), np.int64),
    )
    return turned_sum(sums), add_up(bias_sums)


@parallel
def _weight_grad(
    workers: int, blocks: Blocks, count: int, grad: Array, output: Array, masked: bool, x: Array, tap_offsets: Array,
    run: int, joined: bool, groups: int, sums: Array, bias_sums: Array, copies: Array, windows: Array, columns: Array,
    tables: Array,
) -> None:
    counter, parts = np.zeros(1, np.int64), len(sums)
    for worker in prange(workers):
        part = next_part(counter)
        while part < parts:
            bias_sums[part] = np.float32(0)
            for block in range(part * count // parts, (part + 1) * count // parts):
                _weight_grad_block(
                    blocks, block, grad, output, masked, x, tap_offsets, run, joined, groups, sums[part],
                    bias_sums[part], block > part * count // parts, copies[worker], windows[worker], columns[worker],
                    tables[worker],
                )
            part = next_part(counter)


@compiled
def _weight_grad_block(
    blocks: Any, index: int, grad: Any, output: Any, masked: bool, x: Any, tap_offsets: Any, run: int, joined: bool,
    groups: int, total: Any, bias_total: Any, add: bool, copy: Any, windows: Any, columns: Any, offsets: Any,
) -> None:
    image, row, images, rows = block_bounds(blocks, index)
    channels, filters = x.shape[3], grad.shape[3]
    copy_block(blocks, image, row, images, rows, x, x, False, copy)
    places = place_offsets(blocks, images, rows, channels, offsets)
    first = (image * blocks.rows + row) * blocks.cols
    share, group_filters, depth = channels // groups, filters // groups, total.shape[1]
    row_offsets = np.arange(0, places * depth, depth)
    for group in range(groups):
        column = group * group_filters
        begin = 4 * (first * filters + column)
        copy_columns(
            grad.ctypes.data + begin, output.ctypes.data + begin if masked else 0, filters, places, group_filters,
            columns.ctypes.data, bias_total[column : column + group_filters],
        )
        target = total.ctypes.data + 4 * column * depth
        if joined:
            for place in range(places):
                for tap in range(tap_offsets.size):  # a piece's vector reaches into the next one, which comes after it
                    source = copy.ctypes.data + 4 * (offsets[place] + tap_offsets[tap] + group * share)
                    for k in range(0, run, LANES):
                        place_k = windows.ctypes.data + 4 * (place * depth + tap * run + k)
                        copy_vector(source + 4 * k, source, False, place_k, run - k)
            columns_product(
                columns.ctypes.data, places, group_filters, windows.ctypes.data, row_offsets, depth, target, depth, add
            )
        else:
            for tap in range(tap_offsets.size):
                columns_product(
                    columns.ctypes.data, places, group_filters,
                    copy.ctypes.data + 4 * (tap_offsets[tap] + group * share), offsets, run, target + 4 * tap * run,
                    depth, add,
                )


@compiled
def copy_columns(grad: int, output: int, step: int, rows: int, columns: int, target: int, total: Any) -> None:
    """Rows of a gradient as `column_place` has them, 0 where ReLU blocks; `total` (columns,) gets their sum added.

    grad, output (0 if there is no ReLU) and target are addresses; a row begins `step` floats behind the last one. What
    is behind the last column in its group becomes 0.
    """
    sums, masked = np.zeros(columns + GROUP, np.float32), output != 0
    for row in range(rows):
        for start in range(0, (columns + GROUP - 1) // GROUP * GROUP, LANES):
            at, place = 4 * (row * step + start), target + 4 * column_place(start, row, rows)
            copy_vector(grad + at, output + at, masked, place, columns - start)
            add_vector(place, sums.ctypes.data + 4 * start)
    for k in range(columns):
        total[k] += sums[k]


def shares(rows: int, blocks: int, columns: int, enough: int) -> tuple[int, int]:
    """How so many rows, in blocks, are dealt among threads: sections, and shares of the columns if these are few."""
    parts = min(sections(rows), blocks)
    return parts, max(1, min(columns // LEAST_COLUMNS, enough // parts))


def product_weight_grad(grad: Array, output: Array | None, x: Array) -> tuple[Array, Array]:
    """The same for matrices, one place a row: (M, O) and (M, C) -> (C, O) and (O,)."""
    (rows, filters), depth = grad.shape, x.shape[1]
    count = -(-rows // BLOCK_ROWS)
    parts, splits = shares(rows, count, depth, ENOUGH_TASKS)
    sums, bias_sums = empty((parts, filters, depth)), empty((parts, filters))
    _product_weight_grad(
        count, splits, *gate(grad, output), x, sums, bias_sums, *scratch(workers(), BLOCK_ROWS * (filters + GROUP)),
    )
    return turned_sum(sums), add_up(bias_sums)


@parallel
def _product_weight_grad(
    workers: int, count: int, splits: int, grad: Array, output: Array, masked: bool, x: Array, sums: Array,
    bias_sums: Array, columns: Array,
) -> None:
    counter, (parts, filters, depth) = np.zeros(1, np.int64), sums.shape
    for worker in prange(workers):
        offsets, spare = np.arange(0, BLOCK_ROWS * depth, depth), np.empty(1, np.float32)
        task = next_part(counter)
        while task < parts * splits:
            part, split = task // splits, task % splits
            begin, end = split * depth // splits, (split + 1) * depth // splits
            bias_sum = bias_sums[part] if split == 0 else np.empty(filters, np.float32)
            bias_sum[:] = np.float32(0)
            for block in range(part * count // parts, (part + 1) * count // parts):
                first = block * BLOCK_ROWS
                rows, at = min(BLOCK_ROWS, len(x) - first), 4 * first * filters
                x_rows = x.ctypes.data + 4 * first * depth
                copy_columns(
                    grad.ctypes.data + at, output.ctypes.data + at if masked else 0, filters, rows, filters,
                    columns[worker].ctypes.data, bias_sum,
                )
                if splits == 1:
                    bring_near(x_rows, rows * depth, spare)
                columns_product(
                    columns[worker].ctypes.data, rows, filters, x_rows + 4 * begin, offsets, end - begin,
                    sums[part].ctypes.data + 4 * begin, depth, block > part * count // parts,
                )
            task = next_part(counter)
