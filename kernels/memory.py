"""Reusable buffers: `empty` makes arrays whose memory serves the next ones when their last view dies, and `workspace`
those that are not needed any longer than a kernel runs.

A training step needs the same hundreds of megabytes again and again. Handing them back to the operating system means
that it must find, clear and map the same pages a step later, which costs as much as computing on them. So memory waits
in a pool instead. It comes from the system in segments. A request is cut from the smallest free piece that holds it,
and a piece that comes back joins its free neighbours (D. Knuth, "The Art of Computer Programming", volume 1, section
2.5, best fit and boundary tags). After the first steps of a loop that repeats itself, nothing more is asked of the
system. Arrays of less than SMALL bytes are NumPy's own: malloc reuses those well by itself.
"""

import bisect
import itertools
import math
import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kernels.layout import Array

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register
SMALL = 1 << 16
WORKSPACE_BYTES = 1 << 25


class _Piece:
    """Some bytes of a segment, from `start` on, and the pieces before and behind it in the same segment.

    number: the how-manieth return made it free; None while it is in use.
    """

    __slots__ = ("before", "behind", "number", "segment", "size", "start")

    def __init__(self, segment: Array, start: int, size: int) -> None:
        self.segment, self.start, self.size = segment, start, size
        self.before: _Piece | None = None
        self.behind: _Piece | None = None
        self.number: int | None = None

    @property
    def is_whole_segment(self) -> bool:
        return self.before is None and self.behind is None

    def cut(self, size: int) -> "_Piece":
        """Keep the first `size` bytes; returns the rest, which stands behind."""
        rest = _Piece(self.segment, self.start + size, self.size - size)
        rest.before, rest.behind = self, self.behind
        if self.behind is not None:
            self.behind.before = rest
        self.behind, self.size = rest, size
        return rest

    def swallow(self) -> None:
        """Join with the piece behind, which must not be used any more."""
        assert self.behind is not None
        self.size, self.behind = self.size + self.behind.size, self.behind.behind
        if self.behind is not None:
            self.behind.before = self


class _Buffer:
    """A piece on loan from a pool. All views of an array keep its buffer alive; with the last one the piece goes back.

    It only queues up for that: the garbage collector may run this anywhere, and so in the middle of the pool's work.
    """

    def __init__(self, returned: "deque[_Piece]", piece: _Piece) -> None:
        self._returned, self._piece = returned, piece
        self.__array_interface__ = {
            "data": (piece.start, False), "shape": (piece.size,), "typestr": "|u1", "version": 3,
        }

    def __del__(self) -> None:
        self._returned.append(self._piece)


class Pool:
    """Memory that waits for its next use.

    Before the pool asks the system for more, it gives back segments of which no piece is in use, those that have waited
    longest first, until it would hold no more than the program once had in use or no such segment is left. So a change
    of batch size does not leave two sets of buffers behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._returned: deque[_Piece] = deque()
        self._returns = itertools.count()
        self._free: list[tuple[int, int, _Piece]] = []  # size, number of the return, piece; sorted
        self._held = self._in_use = self._most_in_use = 0

    @property
    def bytes_held(self) -> int:
        """All of the segments."""
        with self._lock:
            return self._held

    @property
    def bytes_in_use(self) -> int:
        """All pieces that arrays live in."""
        with self._lock:
            self._sort_in()
            return self._in_use

    @property
    def most_in_use(self) -> int:
        """The largest value that `bytes_in_use` has had when memory was lent."""
        with self._lock:
            return self._most_in_use

    def lend(self, nbytes: int) -> Array:
        """Aligned memory of `nbytes` bytes, uint8, with anything in it."""
        size = -(-nbytes // ALIGNMENT) * ALIGNMENT
        with self._lock:
            self._sort_in()
            piece = self._fitting(size)
            if piece.size > size:
                self._set_free(piece.cut(size), next(self._returns))
            self._in_use += size
            self._most_in_use = max(self._most_in_use, self._in_use)
        return np.asarray(_Buffer(self._returned, piece))[:nbytes]

    def _fitting(self, size: int) -> _Piece:
        """A piece of at least `size` bytes, no longer among the free: an old one, or else a segment from the system."""
        index = bisect.bisect_left(self._free, (size,))
        if index < len(self._free):
            equals = bisect.bisect_left(self._free, (self._free[index][0] + 1,))
            piece = self._free[equals - 1][2]  # of equals the last that came back, which may still be in the cache
            self._take(piece)
            return piece
        self._give_back(size)
        segment = np.empty(size + ALIGNMENT, np.uint8)
        self._held += size
        address = segment.__array_interface__["data"][0]
        return _Piece(segment, address + -address % ALIGNMENT, size)

    def _give_back(self, size: int) -> None:
        """Make room for a new segment, by letting go of idle ones."""
        allowed = max(self._most_in_use, self._in_use + size)
        idle = sorted((number, piece) for _, number, piece in self._free if piece.is_whole_segment)
        for _, piece in idle:
            if self._held + size <= allowed:
                return
            self._take(piece)
            self._held -= piece.size

    def _sort_in(self) -> None:
        """Take up the pieces whose last view has died."""
        while self._returned:
            piece = self._returned.popleft()
            self._in_use -= piece.size
            if piece.behind is not None and piece.behind.number is not None:
                self._take(piece.behind)
                piece.swallow()
            if piece.before is not None and piece.before.number is not None:
                piece = piece.before
                self._take(piece)
                piece.swallow()
            self._set_free(piece, next(self._returns))

    def _set_free(self, piece: _Piece, number: int) -> None:
        piece.number = number
        bisect.insort(self._free, (piece.size, number, piece))

    def _take(self, piece: _Piece) -> None:
        """A free piece is free no longer. Ctrl-C may come between any two lines: at worst the piece is lost."""
        assert piece.number is not None
        place, piece.number = bisect.bisect_left(self._free, (piece.size, piece.number)), None
        del self._free[place]


pool = Pool()


def empty(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> Array:
    """An array like `numpy.empty`'s, C-contiguous and aligned to 64 bytes, whose memory goes back to the pool."""
    kind: np.dtype[Any] = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    if nbytes < SMALL:
        return np.empty(shape, kind)
    return pool.lend(nbytes).view(kind).reshape(shape)


class _Workspace(threading.local):
    memory = np.empty(0, np.uint8)


_workspace = _Workspace()


def workspace(*shapes: tuple[int, ...]) -> list[Array]:
    """float32 arrays for what a kernel needs only while it runs, each aligned to 64 bytes.

    A thread is given the same memory every time, so that it stays in the cache: what the last call gave is overwritten.
    More than WORKSPACE_BYTES would not, and comes from the pool.
    """
    sizes = [-(-4 * math.prod(shape) // ALIGNMENT) * ALIGNMENT for shape in shapes]
    if sum(sizes) > WORKSPACE_BYTES:
        return [empty(shape) for shape in shapes]
    if _workspace.memory.size < sum(sizes) + ALIGNMENT:
        _workspace.memory = np.empty(sum(sizes) + ALIGNMENT, np.uint8)
    memory = _workspace.memory
    begin, arrays = -memory.__array_interface__["data"][0] % ALIGNMENT, []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(memory[begin : begin + 4 * math.prod(shape)].view(np.float32).reshape(shape))
        begin += size
    return arrays
