"""What ranks can do together, and how that looks to a process that is alone: there is nothing to do."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from kernels.layout import Array


class ParallelError(RuntimeError):
    """Ranks cannot be had, or no longer work together; the message says why."""


class World:
    """All ranks of a run, which work in step. This one is of a single rank; MpiWorld is of several.

    Each method that exchanges something is called by all ranks, in the same order, or all of them wait until a limit.

    rank: this one's number, from 0 to size - 1. local_rank, local_size: the same among the ranks of this host.
    """

    rank = 0
    size = 1
    local_rank = 0
    local_size = 1
    waited = 0.0

    def share(self, count: int) -> slice:
        """Which of `count` things are this rank's: neighbours, and as many as others have, or one more or less."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def threads(self, wanted: int | None) -> int | None:
        """How many threads this rank's kernels may use; None for all cores. wanted: what the user has asked for."""
        return wanted

    @contextmanager
    def first(self) -> Iterator[None]:
        """Rank 0 goes through the block first, and the others follow if it comes out at its end."""
        yield

    def patiently(self) -> AbstractContextManager[None]:
        """Inside the block waits have a longer limit, for ranks do not all have the same to do there."""
        return nullcontext()

    def sum(self, array: Array) -> Array:
        """The sum of all ranks' arrays, which has taken the place of `array`, C-contiguous, on the CPU or a card."""
        return array

    def maximum(self, array: Array) -> Array:
        """The largest of all ranks' numbers, NumPy's, element by element; otherwise as `sum`."""
        return array

    def start_sum(self, array: Array) -> None:
        """Begin to add up; `array` must be left alone until `finish`. Sums are begun in the same order by all ranks."""

    def advance(self) -> None:
        """Give sums that are begun some time to go on."""

    def finish(self) -> None:
        """Wait until all sums that are begun are done."""

    def broadcast(self, array: Array) -> None:
        """Fill the array, on the CPU or a card, with rank 0's."""

    def broadcast_bytes(self, content: bytes) -> bytes:
        """What rank 0 has given; what others give is ignored."""
        return content

    def hand_out(self, array: Array | None) -> Array:
        """NumPy's array that rank 0 has given; what others give is ignored."""
        assert array is not None
        return array

    def gather(self, rows: Array) -> Array:
        """All ranks' rows, NumPy's (n, ...), one rank after another; n may differ."""
        return rows

    def wait_for(self, done: Callable[[], bool], what: str) -> None:
        """Wait until `done()`, which others have to bring about. ParallelError, naming `what`, after the limit."""

    def leave(self) -> None:
        """Wait for the others at the end of what ranks do together; then nothing can keep this process any more."""

    def end(self, status: int) -> None:
        """End all ranks, now, wherever they are, because this one cannot go on."""


ALONE = World()
