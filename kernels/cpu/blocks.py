"""Blocks: the part of an image batch that one thread works on at a time, copied to where all of it stays in its cache.

A block is some output rows of one image, or, where maps are small, some whole images. What its windows see of the
source is copied once, with zeros where they look over the edge. So no loop behind it has to ask where the edge is, and
every window row is one contiguous run. Where ReLU blocks a gradient, the copy has zeros too: that is the mask "applied
where the gradient is read".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from kernels.cpu.jit import compiled
from kernels.cpu.vector_ops import read_number
from kernels.layout import Array
from kernels.memory import workspace

LINE = 16
"""Floats in a cache line."""


class Blocks(NamedTuple):
    """How a sliding window's places are dealt into blocks, and what a block sees.

    Output place (t, u), 0 <= t < rows, meets with its tap (i, j) the source at (t * row_step + row_shift_i,
    u * col_step + col_shift_j). A block is `block_images` images of `block_rows` rows of places.
    first_row, first_col: the smallest shifts. source_rows, source_cols: what a whole block sees.
    """

    images: int
    rows: int
    cols: int
    block_images: int
    block_rows: int
    row_step: int
    col_step: int
    first_row: int
    first_col: int
    source_rows: int
    source_cols: int

    @property
    def total(self) -> int:
        """How many blocks there are."""
        return -(-self.images // self.block_images) * -(-self.rows // self.block_rows)

    @property
    def places(self) -> int:
        """Places in a whole block."""
        return self.block_images * self.block_rows * self.cols

    @property
    def pixels(self) -> int:
        """Source pixels that a whole block sees."""
        return self.block_images * self.source_rows * self.source_cols


def deal(
    images: int, places: tuple[int, int], steps: tuple[int, int], row_shifts: Sequence[int],
    col_shifts: Sequence[int], wanted: int,
) -> Blocks:
    """Blocks of about `wanted` places each."""
    rows, cols = places
    if rows * cols >= wanted:
        block_images, block_rows = 1, -(-rows // max(1, min(rows, round(rows * cols / wanted))))
    else:
        even = max(1, -(-images * rows * cols // (2 * wanted))) * 2  # blocks: an even number, for two cores
        block_images, block_rows = max(1, -(-images // even)), rows
    return Blocks(
        images, rows, cols, block_images, block_rows, *steps, min(row_shifts), min(col_shifts),
        (block_rows - 1) * steps[0] + max(row_shifts) - min(row_shifts) + 1,
        (cols - 1) * steps[1] + max(col_shifts) - min(col_shifts) + 1,
    )


@compiled
def block_bounds(blocks: Any, index: int) -> tuple[int, int, int, int]:
    """Block number `index`: its first image and row, and how many of each."""
    row_blocks = (blocks.rows + blocks.block_rows - 1) // blocks.block_rows
    image = index // row_blocks * blocks.block_images
    row = index % row_blocks * blocks.block_rows
    return image, row, min(blocks.block_images, blocks.images - image), min(blocks.block_rows, blocks.rows - row)


@compiled
def place_offsets(blocks: Any, images: int, rows: int, channels: int, offsets: Any) -> int:
    """For each place of a block, where its window begins in the block's copy, in floats; returns how many places.

    The last place is repeated to the end of `offsets`.
    """
    count = 0
    for image in range(images):
        for row in range(rows):
            begin = (image * blocks.source_rows + row * blocks.row_step) * blocks.source_cols
            for col in range(blocks.cols):
                offsets[count] = (begin + col * blocks.col_step) * channels
                count += 1
    for beyond in range(count, offsets.size):
        offsets[beyond] = offsets[count - 1]
    return count


@compiled
def copy_passed(target: Any, source: Any, output: Any, masked: bool) -> None:
    """target = source; 0 where `masked` and output is not above 0 (it passes at NaN). Flat; source is no longer."""
    if masked:
        for k in range(source.size):
            target[k] = np.float32(0) if output[k] <= 0 else source[k]
    else:
        for k in range(source.size):
            target[k] = source[k]


@compiled
def copy_block(
    blocks: Any, image: int, row: int, images: int, rows: int, source: Any, output: Any, masked: bool, copy: Any
) -> None:
    """Copy what the block sees of the source (N, H, W, C): (images, source_rows, source_cols, C), flat in `copy`."""
    _, height, width, channels = source.shape
    flat, flat_output = source.reshape(source.size), output.reshape(output.size)
    run = blocks.source_cols * channels
    left = min(max(0, -blocks.first_col), blocks.source_cols)
    inside = max(0, min(width - max(0, blocks.first_col), blocks.source_cols - left))
    seen = (rows - 1) * blocks.row_step + blocks.source_rows - (blocks.block_rows - 1) * blocks.row_step
    for number in range(images):
        for r in range(seen):
            line = copy[(number * blocks.source_rows + r) * run : (number * blocks.source_rows + r + 1) * run]
            source_row = row * blocks.row_step + blocks.first_row + r
            here = inside if 0 <= source_row < height else 0
            begin = (((image + number) * height + source_row) * width + max(0, blocks.first_col)) * channels
            end = begin + here * channels
            for k in range(left * channels):
                line[k] = np.float32(0)
            copy_passed(line[left * channels :], flat[begin:end], flat_output[begin:end], masked)
            for k in range((left + here) * channels, run):
                line[k] = np.float32(0)


@compiled
def bring_near(address: int, floats: int, spare: Any) -> None:
    """Read one number of each cache line of so many floats, in order.

    The processor fetches such a run ahead, at several times the speed at which a matrix product, which visits some rows
    at once, would come by. The sum goes to spare[0], so that the compiler cannot leave out the reading.
    """
    total = np.float32(0)
    for line in range(floats // LINE):
        total += read_number(address + 4 * line * LINE)
    spare[0] = total


def gate(source: Array, output: Array | None) -> tuple[Array, Array, bool]:
    """A gradient with the output of the ReLU that it has to pass, as kernels take them: source, output, `masked`.

    Numba wants an array where there is no ReLU too: the source stands in.
    """
    return (source, source, False) if output is None else (source, output, True)


def scratch(workers: int, *floats: int) -> list[Array]:
    """Memory for each worker while a kernel runs: (workers, floats rounded up to cache lines) for each of the sizes."""
    return workspace(*((workers, -(-size // LINE) * LINE) for size in floats))


def addresses(arrays: Sequence[Array | None]) -> Array:
    """Where these arrays lie, 0 for None: (len(arrays),) int64. Whoever reads there must keep the arrays alive."""
    return np.array([0 if array is None else array.ctypes.data for array in arrays], np.int64)
