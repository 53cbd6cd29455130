"""The weight gradient from Winograd's transforms (winograd.py).

    dw = G^T [ sum over tiles of (A dY A^T) * (B^T x B) ] G

For each of the n x n places this is a matrix product whose sum runs over the tiles, channels x tiles times tiles x
filters. What makes it fast: the same savings as forward, and blocks of so few tiles that both transforms stay in the L2
cache until they have met. The sums are cut into sections as in weight_grad.py.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): 81 % of the roofline for 3x3 and 83 % for 5x5 windows, by the
multiplications of the definition.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels.cpu.blocks import Blocks, block_bounds, copy_block, gate, place_offsets, scratch
from kernels.cpu.gemm import MOST_ROWS, columns_product
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.microkernel import GROUP
from kernels.cpu.sums import add_up
from kernels.cpu.weight_grad import LEAST_COLUMNS, sections
from kernels.cpu.winograd_tiles import Plan, deal_tiles, plan, transform_back, transform_grads, transform_inputs
from kernels.geometry import Pair
from kernels.layout import Array
from kernels.memory import empty

BLOCK_TILES, SECTION_TILES = 24, 512
"""Tiles of a block, and of a section at least."""


def weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, before: Pair
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (r, r, C, O) and (O,)."""
    (images, height, width, filters), channels, r = grad.shape, x.shape[3], kernel[0]
    chosen = plan((height, width), r)
    blocks = deal_tiles(chosen, images, (height, width), (-before[0], -before[1]), chosen.n, BLOCK_TILES)
    grad_blocks = deal_tiles(chosen, images, (height, width), (0, 0), chosen.m, BLOCK_TILES)
    tiles = images * blocks.rows * blocks.cols
    parts = min(sections(tiles, SECTION_TILES), blocks.total)
    splits = 2 if parts == 1 and channels >= LEAST_COLUMNS else 1
    places = chosen.n**2
    sums, bias_sums = empty((parts, places, channels, filters)), empty((parts, filters))
    most = -(-channels // splits)
    threads = workers()
    _weight_grad(
        chosen, blocks, grad_blocks, blocks.total, splits, *gate(grad, output), x, sums, bias_sums,
        *scratch(
            threads, blocks.pixels * channels, grad_blocks.pixels * filters,
            places * blocks.places * (most + GROUP), places * blocks.places * filters,
        ),
        np.empty((threads, 3, blocks.places + MOST_ROWS), np.int64),
    )
    weight = empty((r, r, channels, filters))
    transform_back(chosen, add_up(sums).reshape(places, -1), weight.reshape(r * r, -1))
    return weight, add_up(bias_sums)


@parallel
def _weight_grad(
    workers: int, plan: Plan, blocks: Blocks, grad_blocks: Blocks, count: int, splits: int, grad: Array, output: Array,
    masked: bool, x: Array, sums: Array, bias_sums: Array, copies: Array, grad_copies: Array, transformed: Array,
    transformed_grads: Array, tables: Array,
) -> None:
    counter, parts, channels = np.zeros(1, np.int64), len(sums), x.shape[3]
    for worker in prange(workers):
        task = next_part(counter)
        while task < parts * splits:
            part, split = task // splits, task % splits
            first = split * channels // splits
            end = (split + 1) * channels // splits
            if split == 0:
                bias_sums[part] = np.float32(0)
            for block in range(part * count // parts, (part + 1) * count // parts):
                _weight_grad_block(
                    plan, blocks, grad_blocks, block, first, end, grad, output, masked, x, sums[part], bias_sums[part],
                    block > part * count // parts, copies[worker], grad_copies[worker], transformed[worker],
                    transformed_grads[worker], tables[worker],
                )
            task = next_part(counter)


@compiled
def _weight_grad_block(
    plan: Any, blocks: Any, grad_blocks: Any, index: int, first: int, end: int, grad: Any, output: Any, masked: bool,
    x: Any, total: Any, bias_total: Any, add: bool, copy: Any, grad_copy: Any, transformed: Any, transformed_grad: Any,
    tables: Any,
) -> None:
    image, row, images, rows = block_bounds(blocks, index)
    channels, filters, depth = x.shape[3], grad.shape[3], end - first
    grouped = (depth + GROUP - 1) // GROUP * GROUP
    copy_block(blocks, image, row, images, rows, x, x, False, copy)
    copy_block(grad_blocks, image, row, images, rows, grad, output, masked, grad_copy)
    tiles = place_offsets(blocks, images, rows, channels, tables[0])
    place_offsets(grad_blocks, images, rows, filters, tables[1])
    if first == 0:
        for number in range(images):
            begin = number * grad_blocks.source_rows * grad_blocks.source_cols * filters
            add_pixels(grad_copy[begin:], rows * plan.m * grad_blocks.source_cols, bias_total)
    transform_inputs(
        plan, True, copy.ctypes.data + 4 * first, tables[0], tiles, blocks.source_cols * channels, channels,
        depth, transformed.ctypes.data, tiles * grouped,
    )
    transform_grads(
        plan, grad_copy.ctypes.data, tables[1], tiles, grad_blocks.source_cols * filters, filters,
        transformed_grad.ctypes.data, tiles * filters,
    )
    for tile in range(tiles):
        tables[2, tile] = tile * filters
    for place in range(plan.n * plan.n):
        columns_product(
            transformed.ctypes.data + 4 * place * tiles * grouped, tiles, depth,
            transformed_grad.ctypes.data + 4 * place * tiles * filters, tables[2], filters,
            total.ctypes.data + 4 * (place * channels + first) * filters, filters, add,
        )


@compiled
def add_pixels(pixels: Any, count: int, total: Any) -> None:
    """total (O,) += the sum of the first `count` pixels, flat."""
    run = np.zeros(total.size, np.float32)
    for pixel in range(count):
        line = pixels[pixel * total.size : (pixel + 1) * total.size]
        for k in range(total.size):
            run[k] += line[k]
    for k in range(total.size):
        total[k] += run[k]
