"""Several ranks by MPI: exchange with a limit to each wait."""

import faulthandler
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mpi4py
import numpy as np

mpi4py.rc.thread_level = "funneled"  # only the main thread exchanges, and MPI need not lock
from mpi4py import MPI  # noqa: E402

from kernels import is_on_card, threads  # noqa: E402
from kernels.layout import Array  # noqa: E402
from minigrad import device  # noqa: E402
from minigrad.parallel.world import ParallelError, World  # noqa: E402

PATIENCE = 20.0
"""Seconds that ranks wait for each other, and SLOWNESS times as long besides as they have themselves been at work since
they last waited: compiling, a slow backend, or a long step takes others long too."""
SLOWNESS = 10.0
LONG_PATIENCE = 600.0
"""The same where ranks have different things to do: rank 0 reads or writes files, or not all of them test."""
EAGER_SECONDS = 0.002
"""How long a wait turns in circles; afterwards it sleeps between looks, lest it takes a core that others need."""
NAP_SECONDS = 0.0002
LAST_WORDS_SECONDS = 0.5
"""How long a rank that ends all lives on after its message. MPICH's launcher leaves as soon as it hears of the end, and
may hear of it before it has read the message."""


class MpiWorld(World):
    """The ranks of MPI's world communicator."""

    def __init__(self) -> None:
        self._comm = MPI.COMM_WORLD.Dup()
        self.rank, self.size = self._comm.rank, self._comm.size
        here = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = here.rank, here.size
        own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._sharing = here.allgather(own).count(own)  # with whom this rank has its cores in common, itself included
        self._pending: list[Any] = []
        self._card: Any = None
        self._met = time.perf_counter()
        self._patient = False
        self.waited = 0.0

    def threads(self, wanted: int | None) -> int | None:
        return wanted if wanted is not None or self.size == 1 else max(1, threads.available() // self._sharing)

    @contextmanager
    def first(self) -> Iterator[None]:
        if self.rank == 0:
            try:
                yield
            except SystemExit as end:
                if not end.code:  # --help, which the others come to as well
                    self._let_in()
                raise
            self._let_in()
        else:
            self._let_in()
            yield

    def _let_in(self) -> None:
        with self.patiently():
            self._wait(self._comm.Ibcast(np.zeros(1, np.int8)), "rank 0 to prepare the run")

    @contextmanager
    def patiently(self) -> Iterator[None]:
        before, self._patient = self._patient, True
        try:
            yield
        finally:
            self._patient = before

    def sum(self, array: Array) -> Array:
        if is_on_card(array):
            self._cards(array).sum(array)
            return array
        return self._reduced(array, MPI.SUM)

    def maximum(self, array: Array) -> Array:
        return self._reduced(array, MPI.MAX)

    def _reduced(self, array: Array, operation: Any) -> Array:
        self._wait(self._comm.Iallreduce(MPI.IN_PLACE, array, operation), "the others' numbers")
        return array

    def start_sum(self, array: Array) -> None:
        if is_on_card(array):
            self._cards(array).start(array)
        else:
            begin = functools.partial(self._comm.Iallreduce, MPI.IN_PLACE, array, MPI.SUM)
            self._pending.append(self._tried(begin, "the others' gradients"))

    def advance(self) -> None:
        if self._pending:
            self._tried(functools.partial(MPI.Request.Testall, self._pending), "the others' gradients")

    def finish(self) -> None:
        pending, self._pending = self._pending, []
        for request in pending:
            self._wait(request, "the others' gradients")
        if self._card is not None:
            self._card.finish()

    def broadcast(self, array: Array) -> None:
        content = np.ascontiguousarray(device.host(array))
        with self.patiently():
            self._wait(self._comm.Ibcast(content), "what rank 0 has")
        device.assign(array, content)

    def broadcast_bytes(self, content: bytes) -> bytes:
        length = np.array([len(content)], np.int64)
        self.broadcast(length)
        buffer = np.frombuffer(content, np.uint8).copy() if self.rank == 0 else np.empty(length[0], np.uint8)
        self.broadcast(buffer)
        return buffer.tobytes()

    def hand_out(self, array: Array | None) -> Array:
        header = b"" if array is None else json.dumps([array.dtype.str, array.shape]).encode()
        dtype, shape = json.loads(self.broadcast_bytes(header))
        content = np.empty(shape, dtype) if array is None or self.rank else array
        self.broadcast(content)
        return content

    def gather(self, rows: Array) -> Array:
        rows = np.ascontiguousarray(rows)
        counts = np.empty(self.size, np.int64)
        self._wait(self._comm.Iallgather(np.array([len(rows)], np.int64), counts), "the others' results")
        everything = np.empty((counts.sum(), *rows.shape[1:]), rows.dtype)
        bytes_of_row = everything.nbytes // max(1, len(everything))
        sizes = counts * bytes_of_row
        target = [everything.view(np.uint8).reshape(-1), (sizes, np.cumsum(sizes) - sizes), MPI.BYTE]
        self._wait(self._comm.Iallgatherv(rows.view(np.uint8).reshape(-1), target), "the others' results")
        return everything

    def _wait(self, request: Any, what: str) -> None:
        self.wait_for(request.Test, what)

    def wait_for(self, done: Callable[[], bool], what: str) -> None:
        began = time.perf_counter()
        limit = (LONG_PATIENCE if self._patient else PATIENCE) + SLOWNESS * (began - self._met)
        while not self._tried(done, what):
            waited = time.perf_counter() - began
            if waited > limit:
                raise ParallelError(f"waited {waited:.0f} s for {what}, and one of {self.size} ranks did not come")
            if waited > EAGER_SECONDS:
                time.sleep(NAP_SECONDS)
        self._met = time.perf_counter()
        self.waited += self._met - began

    @staticmethod
    def _tried(call: Callable[[], Any], what: str) -> Any:
        try:
            return call()
        except MPI.Exception as error:  # a connection that broke
            raise ParallelError(f"one of the ranks is gone, while this one waited for {what}: {error}") from None

    def _cards(self, array: Array) -> Any:
        if self._card is None:
            from minigrad.parallel.nccl import Cards

            self._card = Cards(self, array)
        return self._card

    def leave(self) -> None:
        with self.patiently():
            self._wait(self._comm.Ibarrier(), "the others to end, too")
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=2)  # for MPI's own end, which is still to come

    def end(self, status: int) -> None:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            time.sleep(LAST_WORDS_SECONDS)
            MPI.COMM_WORLD.Abort(status)
        finally:
            os._exit(status)  # MPICH's Abort comes back before its mpiexec has ended this process
