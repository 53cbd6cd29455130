"""Matrix products of rows that lie one behind the other: 1x1 convolutions and fully connected layers.

    out (M, D) = max(start + source (M, C) @ b (C, D), floor), or out += source @ b

What makes it fast: channels-last images are such a matrix already, a row a pixel. Nothing is unrolled or copied, the
micro-kernel reads the pixels where they lie and finishes bias and ReLU in its registers. Only where ReLU blocks some of
a gradient are its rows copied, a block at a time, with zeros in those places.

Measured, both cores (AMD EPYC Zen 5, 2026-11-22): in a training step of GoogLeNet at batch 128
all 1x1 convolutions together, forward and backward, do 306 GFLOP/s, 69 % of NumPy's largest matrix product in the same
run (`python -m benchmarks train-step`). pointwise.py has the backward of those whose input needs a gradient.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.blocks import bring_near, copy_passed, gate, scratch
from kernels.cpu.correlate import padded_start
from kernels.cpu.gemm import BLOCK_ROWS, MOST_ROWS, multiply_rows, packed
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.layout import Array

SMALL_BLOCK_ROWS = BLOCK_ROWS // 3
ENOUGH_BLOCKS = 32
"""From so many blocks on, threads share them evenly whatever their number; below, blocks are smaller."""


def matmul(
    source: Array, output: Array | None, b: Array, turned: bool, bias: Array | None, floor: Any, add: bool, out: Array
) -> None:
    """Compute out (M, D), or add to it, from source (M, C), 0 where ReLU's `output` is, and b (C, D), or (D, C) turned.

    All arrays are C-contiguous.
    """
    rows, depth = source.shape
    if out.size == 0:
        return
    if depth == 0:  # sums of nothing, of which the micro-kernel would take one step
        if not add:
            out[:] = np.maximum(0 if bias is None else bias, floor)
        return
    block_rows = BLOCK_ROWS if rows >= ENOUGH_BLOCKS * BLOCK_ROWS else SMALL_BLOCK_ROWS
    _matmul(
        -(-rows // block_rows), block_rows, *gate(source, output),
        packed(b[None], turned)[0], padded_start(bias, 1, out.shape[1])[0], floor, add, out,
        *scratch(workers(), 1 if output is None else block_rows * depth),
    )


@parallel
def _matmul(
    workers: int, count: int, block_rows: int, source: Array, output: Array, masked: bool, panels: Array, start: Array,
    floor: Any, add: bool, out: Array, copies: Array,
) -> None:
    counter = np.zeros(1, np.int64)
    for worker in prange(workers):
        block = next_part(counter)
        while block < count:
            _matmul_block(
                block * block_rows, min(block_rows, len(source) - block * block_rows), source, output, masked, panels,
                start, floor, add, out, copies[worker],
            )
            block = next_part(counter)


@compiled
def _matmul_block(
    first: int, rows: int, source: Any, output: Any, masked: bool, panels: Any, start: Any, floor: Any, add: bool,
    out: Any, copy: Any,
) -> None:
    depth, columns = source.shape[1], out.shape[1]
    a = source.ctypes.data + 4 * first * depth
    if masked:
        begin, end = first * depth, (first + rows) * depth
        copy_passed(
            copy[: rows * depth], source.reshape(source.size)[begin:end], output.reshape(output.size)[begin:end], True
        )
        a = copy.ctypes.data
    else:
        bring_near(a, rows * depth, copy)
    offsets = np.empty((2, rows + MOST_ROWS), np.int64)
    for row in range(rows + MOST_ROWS):
        offsets[0, row] = min(row, rows - 1) * depth
        offsets[1, row] = min(row, rows - 1) * columns
    multiply_rows(
        a, offsets[0], rows, np.zeros(1, np.int64), depth, panels.ctypes.data, columns,
        out.ctypes.data + 4 * first * columns, offsets[1], start.ctypes.data, add, floor,
    )
