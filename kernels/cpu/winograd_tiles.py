"""Winograd's tiles: which F(m, r) is used, and its transforms over blocks of tiles.

Numba compiles a call per transform, so each function here says which by `plan.kind`, the F(m, r)'s place in SIZES.
"""

import functools
from typing import Any, NamedTuple

from numba import prange

from kernels.cpu.blocks import Blocks, deal
from kernels.cpu.gemm import column_place, panel_width, vectors_in
from kernels.cpu.jit import compiled, parallel
from kernels.cpu.vectors import LANES
from kernels.cpu.winograd_transforms import matrices, output_transform, transform, transposed
from kernels.geometry import Pair
from kernels.layout import Array

SIZES = ((4, 3), (3, 3), (2, 5))
"""The F(m, r) that are compiled. Larger tiles save more products and lose more digits: F(4x4, 5x5) lost two."""
F_43, F_33, F_25 = (matrices(m, r) for m, r in SIZES)
input_6, input_5 = transform(F_43.input), transform(F_33.input)  # F(2, 5) has F(4, 3)'s points, and so its B^T
weight_43, weight_33, weight_25 = (transform(each.weight) for each in (F_43, F_33, F_25))
output_43, output_33, output_25 = (output_transform(each.output) for each in (F_43, F_33, F_25))
grad_43, grad_33, grad_25 = (transform(transposed(each.output)) for each in (F_43, F_33, F_25))
back_43, back_33, back_25 = (transform(transposed(each.weight)) for each in (F_43, F_33, F_25))


class Plan(NamedTuple):
    """F(m, r), its place in SIZES, and n = m + r - 1."""

    kind: int
    m: int
    r: int
    n: int


def products(places: Pair, m: int, r: int) -> int:
    """Multiplications for one image, one channel and one filter with tiles of F(m, r)."""
    return -(-places[0] // m) * -(-places[1] // m) * (m + r - 1) ** 2


@functools.lru_cache(maxsize=4096)
def plan(places: Pair, r: int) -> Plan:
    """The F(m, r) with the fewest multiplications for so many output rows and columns."""
    kinds = [kind for kind, size in enumerate(SIZES) if size[1] == r]
    kind = min(kinds, key=lambda kind: products(places, *SIZES[kind]))
    m = SIZES[kind][0]
    return Plan(kind, m, r, m + r - 1)


@functools.lru_cache(maxsize=4096)
def deal_tiles(plan: Plan, images: int, places: Pair, first: Pair, window: int, wanted: int) -> Blocks:
    """Blocks of tiles: tile (t, u) sees the `window` x `window` pixels from (t * m, u * m) + first."""
    counts = -(-places[0] // plan.m), -(-places[1] // plan.m)
    rows, cols = (range(first[a], first[a] + window) for a in (0, 1))
    return deal(images, counts, (plan.m, plan.m), rows, cols, wanted)


@compiled
def transform_inputs(
    plan: Any, grouped: bool, copy: int, copy_offsets: Any, tiles: int, row_step: int, pixel_step: int, channels: int,
    target: int, target_step: int,
) -> None:
    """B^T d B of all tiles of a block: target[place, tile, channel], places target_step floats apart.

    copy: address of the block's copy, whose rows are row_step and whose pixels are pixel_step floats apart.
    grouped: whether a place's matrix (tiles, channels) lies as gemm.column_place has it, instead of in row order.
    """
    for tile in range(tiles):
        for channel in range(0, channels, LANES):
            source = copy + 4 * (copy_offsets[tile] + channel)
            place = target + 4 * (column_place(channel, tile, tiles) if grouped else tile * channels + channel)
            if plan.n == 6:
                input_6(source, row_step, pixel_step, place, target_step, channels - channel)
            else:
                input_5(source, row_step, pixel_step, place, target_step, channels - channel)


@compiled
def transform_grads(
    plan: Any, copy: int, copy_offsets: Any, tiles: int, row_step: int, channels: int, target: int, target_step: int
) -> None:
    """A g A^T of all tiles of a block: as `transform_inputs`, in row order."""
    for tile in range(tiles):
        for channel in range(0, channels, LANES):
            source = copy + 4 * (copy_offsets[tile] + channel)
            place = target + 4 * (tile * channels + channel)
            if plan.kind == 0:
                grad_43(source, row_step, channels, place, target_step, channels - channel)
            elif plan.kind == 1:
                grad_33(source, row_step, channels, place, target_step, channels - channel)
            else:
                grad_25(source, row_step, channels, place, target_step, channels - channel)


@compiled
def finish_tile(
    plan: Any, source: int, row: int, column: int, target: int, down: int, right: int, rows: int, columns: int,
    spare: int, start: int, add: bool, floor: Any, channels: int,
) -> None:
    """A^T s A of one tile and up to LANES channels, with bias and ReLU, written to the image."""
    if plan.kind == 0:
        output_43(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)
    elif plan.kind == 1:
        output_33(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)
    else:
        output_25(source, row, column, target, down, right, rows, columns, spare, start, add, floor, channels)


@parallel
def transform_weight(workers: int, plan: Plan, weight: Array, panels: Array) -> None:
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
                    weight_43(source, plan.r * step, step, target, panels.shape[1], lanes)
                elif plan.kind == 1:
                    weight_33(source, plan.r * step, step, target, panels.shape[1], lanes)
                else:
                    weight_25(source, plan.r * step, step, target, panels.shape[1], lanes)
            first += width


@parallel
def transform_back(workers: int, plan: Plan, sums: Array, weight: Array) -> None:
    """G^T s G: (n * n, C, O) -> (r * r, C * O), with which a sum over tiles becomes a weight's gradient."""
    size = weight.shape[1]
    for vector in prange((size + LANES - 1) // LANES):
        source = sums.ctypes.data + 4 * vector * LANES
        target = weight.ctypes.data + 4 * vector * LANES
        lanes = size - vector * LANES
        if plan.kind == 0:
            back_43(source, plan.n * size, size, target, size, lanes)
        elif plan.kind == 1:
            back_33(source, plan.n * size, size, target, size, lanes)
        else:
            back_25(source, plan.n * size, size, target, size, lanes)
