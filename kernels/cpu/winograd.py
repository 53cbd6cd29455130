"""Convolution with fewer multiplications: Winograd's minimal filtering, for 3x3 and 5x5 with stride 1.

A tile of m x m outputs sees n x n inputs, n = m + r - 1. Both the inputs and the filter are transformed to n x n
products of which each is used once, instead of m * m * r * r: for F(4x4, 3x3) that is 36 instead of 144
(winograd_transforms.py). For each of the n * n places the sum over channels is a matrix product, tiles x channels times
channels x filters; at the end the n x n sums of a tile are transformed to its m x m outputs.

The gradients have the same shape: the input gradient is the same convolution with the filter turned around, and the
weight gradient meets the same transformed tiles with transformed gradients, summed over all tiles:

    forward          Y  = A^T [ sum over channels of (G w G^T) * (B^T x B) ] A
    weight gradient  dw = G^T [ sum over tiles of (A dY A^T) * (B^T x B) ] G

What makes it fast: tiles go through in blocks that stay in the L2 cache from the first transform to the last, so the
transforms cost no memory traffic; bias, ReLU, ReLU's mask and the sum with other gradients happen on the way in or out.

Measured, both cores (AMD EPYC Zen 5, 2026-11-22): MEASURED_WINOGRAD
"""

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from kernels.cpu.blocks import Blocks, block_bounds, copy_block, deal, place_offsets, scratch
from kernels.cpu.correlate import padded_start
from kernels.cpu.gemm import MOST_ROWS, column_place, columns_product, multiply_rows, padded, panel_width, vectors_in
from kernels.cpu.jit import compiled, next_part, parallel, workers
from kernels.cpu.microkernel import GROUP
from kernels.cpu.vectors import LANES
from kernels.cpu.weight_grad import LEAST_COLUMNS, add_up, sections
from kernels.cpu.winograd_transforms import matrices, output_transform, transform, transposed
from kernels.geometry import Padding, Pair
from kernels.layout import Array
from kernels.memory import empty

SIZES = ((4, 3), (3, 3), (4, 5), (3, 5))
"""The F(m, r) that are compiled."""
_MATRICES = [matrices(m, r) for m, r in SIZES]
input_0, input_1, input_2, input_3 = (transform(each.input) for each in _MATRICES)
weight_0, weight_1, weight_2, weight_3 = (transform(each.weight) for each in _MATRICES)
output_0, output_1, output_2, output_3 = (output_transform(each.output) for each in _MATRICES)
grad_0, grad_1, grad_2, grad_3 = (transform(transposed(each.output)) for each in _MATRICES)
back_0, back_1, back_2, back_3 = (transform(transposed(each.weight)) for each in _MATRICES)

CACHE_BYTES = 3 << 18
"""What a block's transforms may take: most of a core's L2 cache."""
LEAST_TILES, WEIGHT_TILES = 28, 24
"""Tiles of a block: at least, so that the matrix product's own tiles are full; and for the weight gradient."""
SECTION_TILES = 512


class Plan(NamedTuple):
    """F(m, r), its place in SIZES, and n."""

    kind: int
    m: int
    r: int
    n: int


def serves(kernel: Pair, padding: Padding) -> bool:
    """Whether a stride-1 convolution with this window is done here."""
    square = kernel[0] == kernel[1]
    overlap = all(0 <= side < kernel[0] for sides in padding for side in sides)
    return square and overlap and any(r == kernel[0] for _, r in SIZES)


def plan(places: Pair, r: int) -> Plan:
    """The F(m, r) with the fewest multiplications for so many output rows and columns."""

    def products(m: int) -> int:
        return -(-places[0] // m) * -(-places[1] // m) * (m + r - 1) ** 2

    kind = min((kind for kind, size in enumerate(SIZES) if size[1] == r), key=lambda kind: products(SIZES[kind][0]))
    m = SIZES[kind][0]
    return Plan(kind, m, r, m + r - 1)


def _tiles(plan: Plan, images: int, places: Pair, first: Pair, window: int, wanted: int) -> Blocks:
    """Blocks of tiles: tile (t, u) sees the `window` x `window` pixels from (t * m, u * m) + first."""
    counts = -(-places[0] // plan.m), -(-places[1] // plan.m)
    rows, cols = (range(first[a], first[a] + window) for a in (0, 1))
    return deal(images, counts, (plan.m, plan.m), rows, cols, wanted)


@compiled
def input_transform(kind: int, source: int, row: int, column: int, target: int, step: int, channels: int) -> None:
    """B^T d B of one tile and up to LANES channels."""
    if kind == 0:
        input_0(source, row, column, target, step, channels)
    elif kind == 1:
        input_1(source, row, column, target, step, channels)
    elif kind == 2:
        input_2(source, row, column, target, step, channels)
    else:
        input_3(source, row, column, target, step, channels)


@compiled
def transform_tiles(
    plan: Any, is_grad: bool, grouped: bool, copy: int, copy_offsets: Any, tiles: int, row_step: int, pixel_step: int,
    channels: int, target: int, target_step: int,
) -> None:
    """Transform all tiles of a block to target[place, tile, channel], places target_step floats apart.

    copy: address of the block's copy, whose rows are row_step and whose pixels are pixel_step floats apart.
    is_grad: which of the two transforms. grouped: whether a place's matrix (tiles, channels) lies as
    gemm.column_place has it, instead of in row order.
    """
    for tile in range(tiles):
        source = copy + 4 * copy_offsets[tile]
        for channel in range(0, channels, LANES):
            place = target + 4 * (column_place(channel, tile, tiles) if grouped else tile * channels + channel)
            lanes = channels - channel
            if not is_grad:
                input_transform(plan.kind, source + 4 * channel, row_step, pixel_step, place, target_step, lanes)
            elif plan.kind == 0:
                grad_0(source + 4 * channel, row_step, pixel_step, place, target_step, lanes)
            elif plan.kind == 1:
                grad_1(source + 4 * channel, row_step, pixel_step, place, target_step, lanes)
            elif plan.kind == 2:
                grad_2(source + 4 * channel, row_step, pixel_step, place, target_step, lanes)
            else:
                grad_3(source + 4 * channel, row_step, pixel_step, place, target_step, lanes)


@compiled
def finish_tile(
    plan: Any, source: int, row: int, column: int, target: int, down: int, right: int, rows: int, columns: int,
    spare: int, start: int, add: bool, floor: Any, channels: int,
) -> None:
    """A^T s A of one tile and up to LANES channels, with bias and ReLU, written to the image."""
    if plan.kind == 0:
        output_0(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)
    elif plan.kind == 1:
        output_1(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)
    elif plan.kind == 2:
        output_2(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)
    else:
        output_3(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)


@parallel
def _transform_weight(workers: int, plan: Plan, weight: Array, panels: Array) -> None:
    """G w G^T, packed: (r, r, C, D) -> (n * n, C * vectors_in(D) * LANES), for each place the panels of (C, D)."""
    _, _, depth, columns = weight.shape
    vectors, step = vectors_in(columns), depth * columns
    for c in prange(depth):
        first = 0
        while first < vectors:
            width = panel_width(vectors - first)
            for vector in range(first, first + width):
                source = weight.ctypes.data + 4 * (c * columns + vector * LANES)
                target = panels.ctypes.data + 4 * LANES * (first * depth + c * width + vector - first)
                lanes = columns - vector * LANES
                if plan.kind == 0:
                    weight_0(source, plan.r * step, step, target, panels.shape[1], lanes)
                elif plan.kind == 1:
                    weight_1(source, plan.r * step, step, target, panels.shape[1], lanes)
                elif plan.kind == 2:
                    weight_2(source, plan.r * step, step, target, panels.shape[1], lanes)
                else:
                    weight_3(source, plan.r * step, step, target, panels.shape[1], lanes)
            first += width


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
    blocks = _tiles(chosen, n, (height, width), (-before[0], -before[1]), chosen.n, wanted)
    panels = empty((places, depth * padded_columns))
    _transform_weight(chosen, np.ascontiguousarray(weight), panels)
    _convolve(
        chosen, blocks, blocks.total, source, source if output is None else output, output is not None, panels,
        padded_start(bias, 1, columns)[0], floor, add, out, scratch(workers(), blocks.pixels * depth),
        scratch(workers(), places * blocks.places * depth), scratch(workers(), places * blocks.places * padded_columns),
        np.empty((workers(), 3, blocks.places + MOST_ROWS), np.int64),
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
    transform_tiles(
        plan, False, False, copy.ctypes.data, tables[0], tiles, blocks.source_cols * depth, depth, depth,
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


def weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, before: Pair
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (r, r, C, O) and (O,)."""
    (images, height, width, filters), channels, r = grad.shape, x.shape[3], kernel[0]
    chosen = plan((height, width), r)
    blocks = _tiles(chosen, images, (height, width), (-before[0], -before[1]), chosen.n, WEIGHT_TILES)
    grad_blocks = _tiles(chosen, images, (height, width), (0, 0), chosen.m, WEIGHT_TILES)
    tiles = images * blocks.rows * blocks.cols
    parts = min(sections(tiles, SECTION_TILES), blocks.total)
    splits = 2 if parts == 1 and channels >= LEAST_COLUMNS else 1
    places = chosen.n**2
    sums, bias_sums = empty((parts, places, channels, filters)), empty((parts, filters))
    most = -(-channels // splits)
    _weight_grad(
        chosen, blocks, grad_blocks, blocks.total, splits, grad, grad if output is None else output,
        output is not None, x, sums, bias_sums, scratch(workers(), blocks.pixels * channels),
        scratch(workers(), grad_blocks.pixels * filters), scratch(workers(), places * blocks.places * (most + GROUP)),
        scratch(workers(), places * blocks.places * filters),
        np.empty((workers(), 3, blocks.places + MOST_ROWS), np.int64),
    )
    weight = empty((r, r, channels, filters))
    _transform_back(chosen, add_up(sums).reshape(places, -1), weight.reshape(r * r, -1))
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
    transform_tiles(
        plan, False, True, copy.ctypes.data + 4 * first, tables[0], tiles, blocks.source_cols * channels, channels,
        depth, transformed.ctypes.data, tiles * grouped,
    )
    transform_tiles(
        plan, True, False, grad_copy.ctypes.data, tables[1], tiles, grad_blocks.source_cols * filters, filters, filters,
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


@parallel
def _transform_back(workers: int, plan: Plan, sums: Array, weight: Array) -> None:
    """G^T s G: (n * n, C, O) -> (r * r, C * O), with which a sum over tiles becomes a weight's gradient."""
    size = weight.shape[1]
    for vector in prange((size + LANES - 1) // LANES):
        source = sums.ctypes.data + 4 * vector * LANES
        target = weight.ctypes.data + 4 * vector * LANES
        lanes = size - vector * LANES
        if plan.kind == 0:
            back_0(source, plan.n * size, size, target, size, lanes)
        elif plan.kind == 1:
            back_1(source, plan.n * size, size, target, size, lanes)
        elif plan.kind == 2:
            back_2(source, plan.n * size, size, target, size, lanes)
        else:
            back_3(source, plan.n * size, size, target, size, lanes)
