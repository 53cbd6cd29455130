"""Matrix products of rows that lie one behind the other: 1x1 convolutions and fully connected layers.

    out (M, D) = max(start + sum over factors of source (M, C) @ b (C, D), floor), or out += that sum

What makes it fast: channels-last images are such a matrix already, a row a pixel. Nothing is unrolled or copied, the
micro-kernel reads the pixels where they lie and finishes bias and ReLU in its registers. Only where ReLU blocks some of
a gradient are its rows copied, a block at a time, with zeros in those places. Several factors are what the input
gradient of 1x1 convolutions of one input is made of: a block of it gets all of them while it is in the cache.

Measured, both cores (AMD EPYC Zen 5, 2026-11-22): in a training step of GoogLeNet at batch 128
all 1x1 convolutions together, forward and backward, do 272 GFLOP/s, 67 % of NumPy's largest matrix product in the same
hour (`python -m benchmarks train-step`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.cpu.blocks import addresses, bring_near, scratch
from kernels.cpu.correlate import NO_FLOOR, padded_start
from kernels.cpu.gemm import BLOCK_ROWS, MOST_ROWS, multiply_rows, packed
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.vector_ops import copy_vector
from kernels.cpu.vectors import LANES
from kernels.layout import Array

SMALL_BLOCK_ROWS = BLOCK_ROWS // 3
ENOUGH_BLOCKS = 32
"""From so many blocks on, threads share them evenly whatever their number; below, blocks are smaller."""


class Factor(NamedTuple):
    """source (M, C), to be taken as 0 where ReLU's `output` is, meets b (C, D), or (D, C) `turned` around."""

    source: Array
    output: Array | None
    b: Array
    turned: bool


def matmul(factors: Sequence[Factor], bias: Array | None, floor: Any, add: bool, out: Array) -> None:
    """Compute out (M, D), or add to it, the sum of all factors. All arrays are C-contiguous."""
    rows, columns = out.shape
    if out.size == 0:
        return
    block_rows = BLOCK_ROWS if rows >= ENOUGH_BLOCKS * BLOCK_ROWS else SMALL_BLOCK_ROWS
    sources, outputs, _, _ = zip(*factors, strict=True)
    depths = np.array([source.shape[1] for source in sources], np.int64)
    panels = [packed(factor.b[None], factor.turned) for factor in factors]
    masked = max((source.shape[1] for source, output, *_ in factors if output is not None), default=0)
    _matmul(
        -(-rows // block_rows), block_rows, addresses(sources), addresses(outputs), depths, addresses(panels),
        padded_start(bias, 1, columns)[0], floor, add, out, *scratch(workers(), block_rows * masked + LANES),
    )


@parallel
def _matmul(
    workers: int, count: int, block_rows: int, sources: Array, outputs: Array, depths: Array, panels: Array,
    start: Array, floor: Any, add: bool, out: Array, copies: Array,
) -> None:
    counter = np.zeros(1, np.int64)
    for worker in prange(workers):
        block = next_part(counter)
        while block < count:
            first = block * block_rows
            rows = min(block_rows, len(out) - first)
            for k in range(len(sources)):
                _matmul_block(
                    first, rows, sources[k], outputs[k], depths[k], panels[k], start,
                    floor if k == len(sources) - 1 else NO_FLOOR, add or k > 0, out, copies[worker],
                )
            block = next_part(counter)


@compiled
def _matmul_block(
    first: int, rows: int, source: int, output: int, depth: int, panels: int, start: Any, floor: Any, add: bool,
    out: Any, copy: Any,
) -> None:
    columns, begin, size = out.shape[1], 4 * first * depth, rows * depth
    a = source + begin
    if output != 0:
        for k in range(0, size, LANES):
            copy_vector(a + 4 * k, output + begin + 4 * k, True, copy.ctypes.data + 4 * k, size - k)
        a = copy.ctypes.data
    else:
        bring_near(a, size, copy)
    offsets = np.empty((2, rows + MOST_ROWS), np.int64)
    for row in range(rows + MOST_ROWS):
        offsets[0, row] = min(row, rows - 1) * depth
        offsets[1, row] = min(row, rows - 1) * columns
    multiply_rows(
        a, offsets[0], rows, np.zeros(1, np.int64), depth, panels, columns, out.ctypes.data + 4 * first * columns,
        offsets[1], start.ctypes.data, add, floor,
    )
