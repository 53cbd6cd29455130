"""From a text to a running kernel: its compilation (once for each dtype), its grid, its arguments."""

import functools
from typing import Any

import cupy
import numpy as np

from kernels.cuda.text import OPTIONS, text
from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array, address

THREADS = 256
"""Threads of a block, where nothing speaks for another number: enough to hide waits for memory."""
SUM_TILE, SUM_LANES = 32, 8
"""Of common.cuh: channels of a block that adds up rows, and how many rows it adds up at once."""
NULL = np.uint64(0)
"""The pointer to nothing, as an argument: CuPy has no other word for it that a kernel could read."""
WINDOW = np.dtype([("fields", np.int32, 12)])


@functools.cache
def module(file: str, dtype: str) -> Any:
    """The compiled file. CuPy compiles it at the first launch on each kind of card, and keeps the result on disk."""
    return cupy.RawModule(code=text(file, dtype), options=OPTIONS)


@functools.cache
def function(file: str, name: str, dtype: str) -> Any:
    """The kernel `name` of a file, ready to launch."""
    return module(file, dtype).get_function(name)


def launch(file: str, name: str, dtype: np.dtype, grid: tuple[int, ...], block: tuple[int, ...], *args: Any) -> None:
    """Start a kernel. Arguments are CuPy arrays, NumPy scalars of exactly the parameters' types, and structures as
    NumPy arrays of one element: CuPy passes on the bytes that it is given and checks nothing. Without blocks nothing is
    started."""
    if 0 not in grid:
        function(file, name, dtype.name)(grid, block, args)


def over_elements(count: int) -> tuple[tuple[int], tuple[int]]:
    """Grid and block for one thread an element."""
    return (-(-count // THREADS),), (THREADS,)


def over_rows(rows: int, width: int) -> tuple[tuple[int], tuple[int, int]]:
    """Grid and block where threadIdx.x walks along a row of `width` elements, and short rows share a block."""
    lanes = 16
    while lanes < min(width, THREADS):
        lanes *= 2
    return (-(-rows // (THREADS // lanes)),), (lanes, THREADS // lanes)


def contiguous(array: Array) -> Array:
    """The array itself if it is C-contiguous, otherwise a copy that is."""
    return array if array.flags.c_contiguous else array.copy(order="C")


def pack_size(dtype: np.dtype, lengths: tuple[int, ...], *arrays: Array) -> int:
    """How many numbers a thread can take at once: a pack of 16 bytes if all lengths and addresses allow it, or one."""
    pack = 16 // dtype.itemsize
    fits = all(length % pack == 0 for length in lengths) and all(address(array) % 16 == 0 for array in arrays)
    return pack if fits else 1


@functools.lru_cache(maxsize=1024)
def window(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, outputs: Pair | None = None
) -> Any:
    """common.cuh's struct Window."""
    outputs = outputs or output_size(size, kernel, stride, padding, dilation)
    fields = (*size, *outputs, *kernel, *stride, padding[0][0], padding[1][0], *dilation)
    return np.array([(fields,)], WINDOW)
