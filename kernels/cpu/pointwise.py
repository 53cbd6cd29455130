"""Backward of 1x1 convolutions that see one input, all of it in one pass over the gradients.

    x_grad = sum over convolutions of grad (M, O) @ weight^T (O, C)          (or added to what is there)
    weight_grad (C, O) = x^T (C, M) @ grad (M, O)        bias_grad (O,) = sum over rows of grad

A row is a pixel; where ReLU blocked an output its gradient counts as 0. What makes it fast: at these sizes the matrix
products wait for memory, so a block of rows gets everything while it is in the cache. Its gradients are copied once,
without what ReLU blocked, in the order that the weight's product reads them in. The input's product reads the same
copy: GROUP columns of a row lie together, and the micro-kernel takes a row in such pieces.

The sum over rows is cut into sections as in weight_grad.py, and where there are few rows, the columns of x are shared
out too. So the result does not depend on the number of threads.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): 35 % of the roofline over a training step's shapes, from 14 % where
few channels meet many pixels to 64 %. In a step, whose caches are not cold, it is part of matmul.py's figure.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.blocks import addresses, bring_near, scratch
from kernels.cpu.correlate import NO_FLOOR
from kernels.cpu.gemm import BLOCK_ROWS, MOST_ROWS, columns_product, multiply_rows, packed, padded
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.microkernel import GROUP
from kernels.cpu.sums import add_up, turned_sum
from kernels.cpu.vectors import LANES
from kernels.cpu.weight_grad import copy_columns, shares
from kernels.layout import Array
from kernels.memory import empty

ROWS = max(BLOCK_ROWS // 2, 72)
"""Rows of a block: of these, x, its gradient and the copies stay in the L2 cache."""
ENOUGH_TASKS = 4
"""Fewer than for a weight alone, because each share of the columns copies the gradients anew."""
PANEL = 2 * LANES
"""Columns of a packed panel: where the columns of x may be cut."""


def backward(
    grads: Sequence[Array], outputs: Sequence[Array | None], weights: Sequence[Array], x: Array, x_grad: Array,
    add: bool,
) -> list[tuple[Array, Array]]:
    """Write or add to x_grad (M, C), and return each weight's gradient (C, O) and each bias's (O,).

    grads (M, O), outputs of the ReLU or None, weights (C, O), x (M, C); all C-contiguous.
    """
    rows, depth = x.shape
    if rows == 0:
        return [(np.zeros_like(weight), np.zeros(weight.shape[1], np.float32)) for weight in weights]
    filters = [weight.shape[1] for weight in weights]
    starts = np.cumsum([0, *filters])
    count = -(-rows // ROWS)
    parts, splits = shares(rows, count, depth, ENOUGH_TASKS)
    panels = -(-depth // PANEL)
    bounds = np.array([*(PANEL * (split * panels // splits) for split in range(splits)), depth])
    turned = [packed(_whole(weight)[None], True) for weight in weights]
    sums, bias_sums = empty((parts, int(starts[-1]), depth)), empty((parts, int(starts[-1])))
    _backward(
        count, bounds, addresses(grads), addresses(outputs), starts, addresses(turned), x, x_grad, add, sums,
        bias_sums, *scratch(workers(), ROWS * (int(starts[-1]) + len(filters) * GROUP)),
    )
    bias_grad = add_up(bias_sums)
    return [
        (turned_sum(sums, start, width), bias_grad[start : start + width])
        for start, width in zip(starts.tolist(), filters, strict=False)
    ]


def _whole(weight: Array) -> Array:
    """(C, O) -> (C, O rounded up to GROUP), zeros behind: a row is taken in whole pieces, and these count nothing."""
    missing = -weight.shape[1] % GROUP
    return np.pad(weight, ((0, 0), (0, missing))) if missing else weight


@parallel
def _backward(
    workers: int, count: int, bounds: Array, grads: Array, outputs: Array, starts: Array, panels: Array, x: Array,
    x_grad: Array, add: bool, sums: Array, bias_sums: Array, columns: Array,
) -> None:
    counter, (parts, total, _), splits = np.zeros(1, np.int64), sums.shape, len(bounds) - 1
    for worker in prange(workers):
        tables, spare = np.empty((2, ROWS + MOST_ROWS), np.int64), np.empty(total, np.float32)
        task = next_part(counter)
        while task < parts * splits:
            part, split = task // splits, task % splits
            bias_sum = bias_sums[part] if split == 0 else spare
            bias_sum[:] = np.float32(0)
            for block in range(part * count // parts, (part + 1) * count // parts):
                _backward_block(
                    block * ROWS, bounds[split], bounds[split + 1], grads, outputs, starts, panels, x, x_grad,
                    add, sums[part], bias_sum, block > part * count // parts, columns[worker], tables,
                )
            task = next_part(counter)


@compiled
def _backward_block(
    first: int, begin: int, end: int, grads: Any, outputs: Any, starts: Any, panels: Any, x: Any, x_grad: Any,
    add: bool, total: Any, bias_total: Any, add_weights: bool, columns: Any, tables: Any,
) -> None:
    """All of the block's rows, and columns `begin` to `end` of x."""
    depth, rows = x.shape[1], min(ROWS, len(x) - first)
    x_rows = x.ctypes.data + 4 * first * depth
    row_offsets, x_offsets = tables
    start = np.zeros(padded(end - begin), np.float32)
    for row in range(rows + MOST_ROWS):
        row_offsets[row] = min(row, rows - 1) * GROUP
        x_offsets[row] = min(row, rows - 1) * depth
    if end - begin == depth:
        bring_near(x_rows, rows * depth, np.empty(1, np.float32))
    for k in range(len(grads)):
        filters, row = starts[k + 1] - starts[k], starts[k]
        at, copy = 4 * first * filters, columns.ctypes.data + 4 * rows * (row + k * GROUP)
        copy_columns(
            grads[k] + at, outputs[k] + at if outputs[k] != 0 else 0, filters, rows, filters, copy,
            bias_total[row : row + filters],
        )
        columns_product(
            copy, rows, filters, x_rows + 4 * begin, x_offsets, end - begin,
            total.ctypes.data + 4 * (row * depth + begin), depth, add_weights,
        )
    for k in range(len(grads)):
        filters, row = starts[k + 1] - starts[k], starts[k]
        copy = columns.ctypes.data + 4 * rows * (row + k * GROUP)
        piece = rows * GROUP
        pieces = np.arange(0, piece * ((filters + GROUP - 1) // GROUP), piece)
        multiply_rows(
            copy, row_offsets, rows, pieces, GROUP, panels[k] + 4 * begin * len(pieces) * GROUP, end - begin,
            x_grad.ctypes.data + 4 * (first * depth + begin), x_offsets, start.ctypes.data, add or k > 0, NO_FLOOR,
        )
