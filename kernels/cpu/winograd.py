"""Convolution with fewer multiplications: Winograd's minimal filtering, for 3x3 and 5x5 with stride 1.

A tile of m x m outputs sees n x n inputs, n = m + r - 1. Both the inputs and the filter are transformed to n x n
products of which each is used once, instead of m * m * r * r: for F(4x4, 3x3) that is 36 instead of 144
(winograd_transforms.py). For each of the n * n places the sum over channels is a matrix product, tiles x channels times
channels x filters; at the end the n x n sums of a tile are transformed to its m x m outputs.

The gradients have the same shape: the input gradient is the same convolution with the filter turned around, and the
weight gradient meets the same transformed tiles with transformed gradients, summed over all tiles:

    forward          Y  = A^T [ sum over channels of (G w G^T) * (B^T x B) ] A
    weight gradient  dw = G^T [ sum over tiles of (A dY A^T) * (B^T x B) ] G

An infinity or a NaN spreads: each output of its tile is a sum in which it occurs with both signs, whether or not the
output's own window holds it. Such a step is lost anyway.

What makes it fast: tiles go through in blocks that stay in the L2 cache from the first transform to the last, so the
transforms cost no memory traffic; bias, ReLU, ReLU's mask and the sum with other gradients happen on the way in or out.

Measured, both cores (AMD EPYC Zen 5, 2026-11-22): in a training step of GoogLeNet at batch 128
the 3x3 convolutions, forward and backward, do 790 GFLOP/s as the definition counts them, 1.79 times NumPy's largest
matrix product in the same run, and the 5x5 ones 436, 0.99 times (`python -m benchmarks train-step`).
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.blocks import Blocks, block_bounds, copy_block, gate, place_offsets
from kernels.cpu.correlate import padded_start
from kernels.cpu.gemm import MOST_ROWS, multiply_rows, padded
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.vectors import LANES
from kernels.cpu.winograd_tiles import (
    SIZES,
    Plan,
    deal_tiles,
    finish_tile,
    plan,
    products,
    transform_inputs,
    transform_weight,
)
from kernels.geometry import Padding, Pair
from kernels.layout import Array
from kernels.memory import workspace

CACHE_BYTES = 3 << 18
"""What a block's transforms may take: most of a core's L2 cache."""
LEAST_TILES = 28
"""Tiles of a block, even if they take more: fewer would not fill the matrix product's own tiles."""
LEAST_SAVING = 2
"""Multiplications that a definition needs for one of Winograd's: below, the transforms cost more than is saved."""


def possible(kernel: Pair, padding: Padding) -> bool:
    """Whether a stride-1 convolution with this window can be done here."""
    square = kernel[0] == kernel[1]
    overlap = all(0 <= side < kernel[0] for sides in padding for side in sides)
    return square and overlap and any(r == kernel[0] for _, r in SIZES)


def pays(kernel: Pair, places: Pair) -> bool:
    """Whether it is worth it, where it is possible: on small maps, tiles reach far over the edge."""
    used = products(places, plan(places, kernel[0]).m, kernel[0])
    return places[0] * places[1] * kernel[0] ** 2 >= LEAST_SAVING * used


def convolve(
    source: Array, output: Array | None, weight: Array, bias: Array | None, before: Pair, floor: Any, add: bool,
    out: Array,
) -> None:
    """out (N, OH, OW, D) = max(bias + source (N, H, W, C) * weight (r, r, C, D), floor), or out += source * weight.

    The source counts as 0 where ReLU's `output` is. before: the padding above and on the left.
    """
    (n, height, width, columns), (r, _, depth, _) = out.shape, weight.shape
    chosen = plan((height, width), r)
    places, padded_columns = chosen.n**2, padded(columns)
    wanted = max(LEAST_TILES, CACHE_BYTES // (4 * places * (depth + padded_columns)))
    blocks = deal_tiles(chosen, n, (height, width), (-before[0], -before[1]), chosen.n, wanted)
    threads = workers()
    panels, *rest = workspace(
        (places, depth * padded_columns), (threads, padded(blocks.pixels * depth)),
        (threads, padded(places * blocks.places * depth)), (threads, places * blocks.places * padded_columns),
    )
    transform_weight(chosen, weight, panels)
    _convolve(
        chosen, blocks, blocks.total, *gate(source, output), panels,
        padded_start(bias, 1, columns)[0], floor, add, out, *rest,
        np.empty((threads, 3, blocks.places + MOST_ROWS), np.int64),
    )


@parallel
def _convolve(
    workers: int, plan: Plan, blocks: Blocks, count: int, source: Array, output: Array, masked: bool, panels: Array,
    start: Array, floor: Any, add: bool, out: Array, copies: Array, transformed: Array, products: Array, tables: Array,
) -> None:
    counter = np.zeros(1, np.int64)
    for worker in prange(workers):
        block = next_part(counter)
        while block < count:
            _convolve_block(
                plan, blocks, block, source, output, masked, panels, start, floor, add, out, copies[worker],
                transformed[worker], products[worker], tables[worker],
            )
            block = next_part(counter)


@compiled
def _convolve_block(
    plan: Any, blocks: Any, index: int, source: Any, output: Any, masked: bool, panels: Any, start: Any, floor: Any,
    add: bool, out: Any, copy: Any, transformed: Any, products: Any, tables: Any,
) -> None:
    image, row, images, rows = block_bounds(blocks, index)
    depth, (_, out_height, out_width, columns) = source.shape[3], out.shape
    width, n, m = start.size, plan.n, plan.m
    copy_block(blocks, image, row, images, rows, source, output, masked, copy)
    tiles = place_offsets(blocks, images, rows, depth, tables[0])
    for tile in range(tables.shape[1]):
        tables[1, tile] = min(tile, tiles - 1) * depth
        tables[2, tile] = min(tile, tiles - 1) * width
    transform_inputs(
        plan, False, copy.ctypes.data, tables[0], tiles, blocks.source_cols * depth, depth, depth,
        transformed.ctypes.data, tiles * depth,
    )
    nothing, one_tap = np.zeros(width, np.float32), np.zeros(1, np.int64)
    for place in range(n * n):
        multiply_rows(
            transformed.ctypes.data + 4 * place * tiles * depth, tables[1], tiles, one_tap, depth,
            panels[place].ctypes.data, width, products.ctypes.data + 4 * place * tiles * width, tables[2],
            nothing.ctypes.data, False, np.float32(-np.inf),
        )
    spare = np.empty(LANES, np.float32)
    tile = 0
    for number in range(image, image + images):
        for t in range(row, row + rows):
            for u in range(blocks.cols):
                pixel = ((number * out_height + t * m) * out_width + u * m) * columns
                for column in range(0, columns, LANES):
                    finish_tile(
                        plan, products.ctypes.data + 4 * (tile * width + column), n * tiles * width, tiles * width,
                        out.ctypes.data + 4 * (pixel + column), out_width * columns, columns, out_height - t * m,
                        out_width - u * m, spare.ctypes.data, start.ctypes.data + 4 * column, add, floor,
                        columns - column,
                    )
                tile += 1
