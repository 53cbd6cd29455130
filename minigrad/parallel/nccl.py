"""Sums over ranks that have a card each, by NVIDIA's NCCL; the ranks have found each other by MPI."""

from typing import Any

import cupy
from cupy.cuda import nccl

from minigrad.parallel.launch import START_PATIENCE, ended_after
from minigrad.parallel.world import World

DTYPES = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64, "int64": nccl.NCCL_INT64}


class Cards:
    """The cards of all ranks; arrays are CuPy's. The cards wait for each other, and the program for the step before: a
    queue of launches that is full would make it wait where there is no limit."""

    def __init__(self, world: World, array: Any) -> None:
        common = world.broadcast_bytes(nccl.get_unique_id() if world.rank == 0 else b"")
        with array.device:
            with ended_after(START_PATIENCE):
                self._communicator = nccl.NcclCommunicator(world.size, common, world.rank)
            self._stream: Any = cupy.cuda.Stream(non_blocking=True)  # beside the one on which backward goes on
        self._world, self._device = world, array.device
        self._begun, self._last = False, self._stream.record()

    def sum(self, array: Any) -> None:
        """Put the sum of all ranks' numbers into `array`, before what is launched after this."""
        with self._device:
            self._launch(array, cupy.cuda.get_current_stream())

    def start(self, array: Any) -> None:
        """Begin to put the sum into `array`, once what was launched before this is done."""
        with self._device:
            if not self._begun:
                self._world.wait_for(lambda: bool(self._last.done), "the others' gradients")
            self._stream.wait_event(cupy.cuda.get_current_stream().record())
            self._launch(array, self._stream)
        self._begun = True

    def finish(self) -> None:
        """What is launched after this finds all sums that were begun."""
        if self._begun:
            with self._device:
                self._last = self._stream.record()
                cupy.cuda.get_current_stream().wait_event(self._last)
            self._begun = False

    def _launch(self, array: Any, stream: Any) -> None:
        kind = DTYPES[array.dtype.name]
        place = array.data.ptr
        self._communicator.allReduce(place, place, array.size, kind, nccl.NCCL_SUM, stream.ptr)
