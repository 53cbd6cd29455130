"""Convolution and its input gradient, directly: every output row is a row of a matrix product.

    out[n, t*, u*, d] = start[d] + sum over taps (i, j) and channels c of
                        source[n, t * row_step + row_shift_i, u * col_step + col_shift_j, c] * b[i, j, c, d]

Forward, row_step is the stride and a shift is i * dilation - padding. The input gradient is the same sum: the gradient
is the source, the weight's two channel axes change places, and the taps are walked backwards. With a stride, only
every stride-th tap meets a given input pixel, so the pixels fall into stride x stride phases, each with its own taps
and each a correlation of its own; t* = phase + t * stride.

What makes it fast: no matrix of columns is ever written. In a block's padded copy (blocks.py) the window row of a
pixel is one contiguous run, so the micro-kernel reads the "columns" where they lie, tap row by tap row. Bias, ReLU and
the sum with what others sent to the same input are finished in registers.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): GoogLeNet's stem, 7x7 with stride 2, runs forward at 130 GFLOP/s, 31
% of the roofline: with one input channel a window row is only 7 numbers long.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.cpu.blocks import Blocks, block_bounds, copy_block, deal, gate, place_offsets, scratch
from kernels.cpu.gemm import BLOCK_ROWS, MOST_ROWS, multiply_rows, packed, padded
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.geometry import Padding, Pair
from kernels.layout import Array

NO_FLOOR = np.float32(-np.inf)


class Phase(NamedTuple):
    """The output pixels first, first + step, ... along both axes: how many, and the taps they meet.

    row_taps and col_taps number the weight's taps in the order of their shifts.
    """

    first: Pair
    step: Pair
    places: Pair
    steps: Pair
    row_taps: list[int]
    row_shifts: list[int]
    col_taps: list[int]
    col_shifts: list[int]


def forward_phase(
    places: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Phase:
    """All outputs of a convolution."""
    shifts = [[tap * dilation[a] - padding[a][0] for tap in range(kernel[a])] for a in (0, 1)]
    rows, cols = (list(range(kernel[a])) for a in (0, 1))
    return Phase((0, 0), (1, 1), places, stride, rows, shifts[0], cols, shifts[1])


def input_phases(size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Iterator[Phase]:
    """The pixels of a convolution's input, dealt by the taps that they meet; phases that meet none are left out."""
    for row in range(min(stride[0], size[0])):
        for col in range(min(stride[1], size[1])):
            taps, shifts = [], []
            for axis, first in enumerate((row, col)):
                ahead = [first + padding[axis][0] - tap * dilation[axis] for tap in range(kernel[axis])]
                meeting = [tap for tap in reversed(range(kernel[axis])) if ahead[tap] % stride[axis] == 0]
                taps.append(meeting)
                shifts.append([ahead[tap] // stride[axis] for tap in meeting])
            if taps[0] and taps[1]:
                places = -(-(size[0] - row) // stride[0]), -(-(size[1] - col) // stride[1])
                yield Phase((row, col), stride, places, (1, 1), taps[0], shifts[0], taps[1], shifts[1])


def tap_runs(phase: Phase, source_cols: int, channels: int, groups: int) -> tuple[Array, int]:
    """Where the pieces of a window lie in a block's copy, in floats, and how long they are.

    A window row is one piece if its taps are neighbours and see all channels; otherwise each tap is one.
    """
    first_row, first_col = min(phase.row_shifts), min(phase.col_shifts)
    joined = groups == 1 and phase.col_shifts == list(range(first_col, first_col + len(phase.col_shifts)))
    cols = [first_col] if joined else phase.col_shifts
    offsets = [
        ((row - first_row) * source_cols + col - first_col) * channels for row in phase.row_shifts for col in cols
    ]
    return np.array(offsets, np.int64), (len(phase.col_taps) if joined else 1) * channels // groups


def padded_start(bias: Array | None, groups: int, columns: int) -> Array:
    """What each column's sum begins with, group by group, zeros behind: (groups, padded(columns))."""
    start = np.zeros((groups, padded(columns)), np.float32)
    if bias is not None:
        start[:, :columns] = bias.reshape(groups, columns)
    return start


def correlate(
    phase: Phase, source: Array, output: Array | None, b: Array, bias: Array | None, floor: Any, add: bool, out: Array
) -> None:
    """Compute `out` at the phase's places, or add to it. b: (groups, taps * C/groups, D/groups)."""
    groups, _, columns = b.shape
    blocks = deal(
        len(source), phase.places, phase.steps, phase.row_shifts, phase.col_shifts, BLOCK_ROWS
    )
    tap_offsets, run = tap_runs(phase, blocks.source_cols, source.shape[3], groups)
    threads = workers()
    _correlate(
        blocks, blocks.total, *gate(source, output), tap_offsets, run,
        packed(b, False), padded_start(bias, groups, columns), floor, add, out, phase.first, phase.step,
        *scratch(threads, blocks.pixels * source.shape[3]),
        np.empty((threads, 2, blocks.places + MOST_ROWS), np.int64),
    )


@parallel
def _correlate(
    workers: int, blocks: Blocks, count: int, source: Array, output: Array, masked: bool, tap_offsets: Array, run: int,
    panels: Array, start: Array, floor: Any, add: bool, out: Array, first: Pair, step: Pair, copies: Array,
    tables: Array,
) -> None:
    counter = np.zeros(1, np.int64)
    for worker in prange(workers):
        block = next_part(counter)
        while block < count:
            _correlate_block(
                blocks, block, source, output, masked, tap_offsets, run, panels, start, floor, add, out, first, step,
                copies[worker], tables[worker, 0], tables[worker, 1],
            )
            block = next_part(counter)


@compiled
def _correlate_block(
    blocks: Any, index: int, source: Any, output: Any, masked: bool, tap_offsets: Any, run: int, panels: Any,
    start: Any, floor: Any, add: bool, out: Any, first: Any, step: Any, copy: Any, offsets: Any, out_offsets: Any,
) -> None:
    image, row, images, rows = block_bounds(blocks, index)
    channels, groups = source.shape[3], len(panels)
    copy_block(blocks, image, row, images, rows, source, output, masked, copy)
    places = place_offsets(blocks, images, rows, channels, offsets)
    _, height, width, out_channels = out.shape
    count = 0
    for n in range(image, image + images):
        for t in range(row, row + rows):
            for u in range(blocks.cols):
                pixel = (n * height + first[0] + t * step[0]) * width + first[1] + u * step[1]
                out_offsets[count] = pixel * out_channels
                count += 1
    for beyond in range(count, out_offsets.size):
        out_offsets[beyond] = out_offsets[count - 1]
    share, out_share = channels // groups, out_channels // groups
    for group in range(groups):
        multiply_rows(
            copy.ctypes.data + 4 * group * share, offsets, places, tap_offsets, run, panels[group].ctypes.data,
            out_share, out.ctypes.data + 4 * group * out_share, out_offsets, start[group].ctypes.data, add, floor,
        )
