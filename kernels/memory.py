"""Reusable buffers: `empty` makes arrays whose memory is kept for the next one of their size when their last view dies.

A training step needs the same hundreds of megabytes again and again. Handing them back to the operating system means
that it must find, clear and map the same pages a step later, which costs as much as computing on them. So a buffer
waits in a pool instead. Arrays of less than SMALL bytes are NumPy's own: malloc reuses those well by itself.
"""

import bisect
import itertools
import math
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kernels.layout import Array

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
SMALL = 1 << 16
SLACK = 1.25
"""A waiting buffer serves a request if it is at most this many times too large."""


class _Buffer:
    """Memory on loan from a pool. All views of an array keep its buffer alive; with the last one it goes back."""

    def __init__(self, pool: "Pool", memory: Array) -> None:
        self._pool, self._memory = pool, memory
        start = memory.__array_interface__["data"][0]
        self.__array_interface__ = {
            "data": (start + -start % ALIGNMENT, False), "shape": (memory.size - ALIGNMENT,), "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        self._pool.take_back(self._memory)


class Pool:
    """Buffers that wait for their next use, and how many bytes they and those in use have.

    The pool never holds on to more than the program once had in use: a request that no waiting buffer fits frees the
    buffers that have waited longest, as far as needed to stay below that mark. So a change of batch size does not leave
    two sets of buffers behind.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # take_back may run inside of lend, when the garbage collector strikes there
        self._returns = itertools.count()
        self._waiting: list[tuple[int, int, Array]] = []  # size in bytes, number of the return, memory; sorted
        self.bytes_waiting = self.bytes_in_use = self.most_in_use = 0

    def lend(self, nbytes: int) -> Array:
        """Aligned memory of `nbytes` bytes, uint8, with anything in it."""
        with self._lock:
            memory = self._fitting(nbytes + ALIGNMENT)
            self.bytes_in_use += memory.nbytes
            self.most_in_use = max(self.most_in_use, self.bytes_in_use)
        return np.asarray(_Buffer(self, memory))[:nbytes]

    def _fitting(self, nbytes: int) -> Array:
        index = bisect.bisect_left(self._waiting, (nbytes,))
        if index < len(self._waiting) and self._waiting[index][0] <= SLACK * nbytes:
            size = self._waiting[index][0]
            return self._take(bisect.bisect_left(self._waiting, (size + 1,)) - 1)  # the last back may still be cached
        while self._waiting and self.bytes_waiting + self.bytes_in_use + nbytes > self.most_in_use:
            self._take(min(range(len(self._waiting)), key=lambda index: self._waiting[index][1]))
        return np.empty(nbytes, np.uint8)

    def _take(self, index: int) -> Array:
        size, _, memory = self._waiting.pop(index)
        self.bytes_waiting -= size
        return memory

    def take_back(self, memory: Array) -> None:
        """The last view of this memory has died."""
        with self._lock:
            self.bytes_in_use -= memory.nbytes
            self.bytes_waiting += memory.nbytes
            bisect.insort(self._waiting, (memory.nbytes, next(self._returns), memory))


pool = Pool()


def empty(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> Array:
    """An array like `numpy.empty`'s, C-contiguous and aligned to 64 bytes, whose memory goes back to the pool."""
    kind: np.dtype[Any] = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    if nbytes < SMALL:
        return np.empty(shape, kind)
    return pool.lend(nbytes).view(kind).reshape(shape)
