"""The matrix product's innermost loop: a few rows times a few vectors of columns, held in registers from end to end.

    c[row, col] = start[col] + sum over k of a[row, k] * b[k, col]

A core multiplies and adds two vectors a cycle, but only if both operands are there. So the loop keeps a small tile of c
in registers (all but a few of the 32 that AVX-512 has). Each step k loads one vector of b per column vector and one
number of a per row, and uses each of them many times: 14 rows x 2 vectors make 28 multiply-adds of 16 loads
(K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", 2008, section 6).

Compilers do not find this arrangement in plain loops, so here it is written as LLVM instructions, by Python loops that
emit one instruction for every register of the tile. A row of `a` may begin anywhere (`row_offsets`), and `k` may run
over several pieces (`tap_offsets`): rows that are windows of an image need no im2col copy that way (M. Dukhan, "The
indirect convolution algorithm", 2019).

Two products are made of this loop, which differ in how `a` lies in memory: `rows_times_panel` for forward and input
gradients, and `columns_times_rows`, where the sum runs over pixels, for weight gradients.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): its plainest use, a 1x1 convolution's forward (matmul.py), comes to
337 GFLOP/s, 79 % of NumPy's largest matrix product.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from kernels.cpu.vectors import INT, LANES, MANY_REGISTERS, VECTOR, Vectors, number

ROWS = {1: (24, 12), 2: (14, 12, 10)} if MANY_REGISTERS else {1: (12, 6), 2: (6, 5, 4)}
"""Rows of a tile of `rows_times_panel` that is so many vectors wide: as many as the registers hold, or a few fewer."""
TALL = 8 if MANY_REGISTERS else 4
"""Rows of a tile of `columns_times_rows`, up to 3 vectors wide."""
GROUP = 2 * TALL
"""How many floats of a row of its `a` lie together."""

Tile = list[list[ir.Value]]  # [row][vector]


def _loop(builder: ir.IRBuilder, count: ir.Value, tile: Tile, step: Callable[[ir.Value, Tile], Tile]) -> Tile:
    """Emit `for index in range(count): tile = step(index, tile)`, at least once; the tile stays in registers."""
    before, body, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(INT)
    inside = [[builder.phi(VECTOR) for _ in row] for row in tile]
    stepped = step(index, inside)
    next_index = builder.add(index, number(1))
    last = builder.block  # where `step` ended, which may have emitted a loop of its own
    for value, initial, changed in (
        (index, number(0), next_index),
        *((v, i, c) for rows in zip(inside, tile, stepped, strict=True) for v, i, c in zip(*rows, strict=True)),
    ):
        value.add_incoming(initial, before)
        value.add_incoming(changed, last)
    builder.cbranch(builder.icmp_signed("<", next_index, count), body, after)
    builder.position_at_end(after)
    return stepped


def _masks(emit: Vectors, columns: ir.Value, width: int) -> list[ir.Value | None]:
    """For each vector of a row, its lanes that are columns of c. Only in the last one some may not be."""
    before_last = number((width - 1) * LANES)
    return [None] * (width - 1) + [emit.first_lanes(emit.builder.sub(columns, before_last))]


def _multiply_add(
    emit: Vectors, tile: Tile, a: list[ir.Value], b: ir.Value, masks: list[ir.Value | None]
) -> Tile:
    """tile + a (a pointer for each row) times the vectors at b, of which only lanes in the masks are read."""
    vectors = [emit.load(emit.offset(b, number(j * LANES)), mask) for j, mask in enumerate(masks)]
    stepped = []
    for row, pointer in zip(tile, a, strict=True):
        factor = emit.load_splat(pointer)
        stepped.append([emit.multiply_add(factor, v, total) for v, total in zip(vectors, row, strict=True)])
    return stepped


def _rows_times_panel(width: int, rows: int) -> Any:
    @intrinsic
    def rows_times_panel(
        typing: Any, a: Any, row_offsets: Any, tap_offsets: Any, taps: Any, run: Any, b: Any, c: Any, c_offsets: Any,
        start: Any, add: Any, columns: Any, floor: Any,
    ) -> Any:
        """One tile of c = max(start + a @ b, floor), or of c + a @ b if `add`.

        a: address; row r's piece t begins row_offsets[r] + tap_offsets[t] floats behind it and is `run` floats long.
        b: address of a panel, (taps * run, width * LANES) floats. start: address of width * LANES floats.
        c: address; row r begins c_offsets[r] floats behind it, of which `columns` are written.
        """

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            a, row_offsets, tap_offsets, taps, run, b, c, c_offsets, start, add, columns, floor = arguments
            emit = Vectors(builder)
            a, row_offsets, tap_offsets, b, c, c_offsets, start = map(
                emit.pointer, (a, row_offsets, tap_offsets, b, c, c_offsets, start)
            )
            masks = _masks(emit, columns, width)
            a_rows = [emit.offset(a, emit.load_int(row_offsets, number(row))) for row in range(rows)]
            c_rows = [emit.offset(c, emit.load_int(c_offsets, number(row))) for row in range(rows)]
            adds = builder.icmp_signed("!=", add, number(0))
            sources = [builder.select(adds, c_row, start) for c_row in c_rows]
            at = [number(j * LANES) for j in range(width)]
            tile = [
                [emit.load(emit.offset(source, at[j]), masks[j]) for j in range(width)] for source in sources
            ]

            def tap_step(tap: ir.Value, tile: Tile) -> Tile:
                offset = emit.load_int(tap_offsets, tap)
                pieces = [emit.offset(row, offset) for row in a_rows]
                b_piece = emit.offset(b, builder.mul(builder.mul(tap, run), number(width * LANES)))

                def k_step(k: ir.Value, tile: Tile) -> Tile:
                    b_row = emit.offset(b_piece, builder.mul(k, number(width * LANES)))
                    return _multiply_add(emit, tile, [emit.offset(piece, k) for piece in pieces], b_row, [None] * width)

                return _loop(builder, run, tile, k_step)

            tile = _loop(builder, taps, tile, tap_step)
            least = emit.splat(floor)
            for c_row, vectors in zip(c_rows, tile, strict=True):
                for j, vector in enumerate(vectors):
                    emit.store(emit.at_least(vector, least), emit.offset(c_row, at[j]), masks[j])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11, types.float32), generate

    return rows_times_panel


def _columns_times_rows(width: int) -> Any:
    @intrinsic
    def columns_times_rows(
        typing: Any, a: Any, depth: Any, b: Any, b_offsets: Any, c: Any, c_step: Any, rows: Any, columns: Any, add: Any,
        spare: Any,
    ) -> Any:
        """One tile of c = a^T @ b, or of c += a^T @ b if `add`.

        a: address; its row k begins k * GROUP floats behind and has TALL floats. b: address; its row k begins
        b_offsets[k] floats behind. c: address; row r begins r * c_step floats behind, of which `columns` are written.
        Only `rows` of its rows are wanted: the others go to the memory at `spare`, width * LANES floats.
        """

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            a, depth, b, b_offsets, c, c_step, wanted, columns, add, spare = arguments
            emit = Vectors(builder)
            a, b, b_offsets, c, spare = map(emit.pointer, (a, b, b_offsets, c, spare))
            masks = _masks(emit, columns, width)
            adds = builder.icmp_signed("!=", add, number(0))
            c_rows = [
                builder.select(
                    builder.icmp_signed("<", number(row), wanted), emit.offset(c, builder.mul(c_step, number(row))),
                    spare,
                )
                for row in range(TALL)
            ]

            def k_step(k: ir.Value, tile: Tile) -> Tile:
                a_row = emit.offset(a, builder.mul(k, number(GROUP)))
                b_row = emit.offset(b, emit.load_int(b_offsets, k))
                return _multiply_add(emit, tile, [emit.offset(a_row, number(row)) for row in range(TALL)], b_row, masks)

            tile = _loop(builder, depth, [[emit.zero] * width for _ in range(TALL)], k_step)
            for c_row, vectors in zip(c_rows, tile, strict=True):
                for j, vector in enumerate(vectors):
                    place = emit.offset(c_row, number(j * LANES))
                    total = builder.fadd(emit.load(place, masks[j]), vector)
                    emit.store(builder.select(adds, total, vector), place, masks[j])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 10), generate

    return columns_times_rows


rows_times_panel_1 = tuple(_rows_times_panel(1, rows) for rows in ROWS[1])
rows_times_panel_2 = tuple(_rows_times_panel(2, rows) for rows in ROWS[2])
columns_times_rows_1, columns_times_rows_2, columns_times_rows_3 = (_columns_times_rows(width) for width in (1, 2, 3))
