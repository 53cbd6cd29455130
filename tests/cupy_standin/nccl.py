"""NCCL between the cards of ranks that mpiexec has started; here MPI does it, at once."""

import ctypes
import os
from typing import Any

import numpy as np

from tests.cupy_standin import devices
from tests.cupy_standin.array import refuse
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import nccl, public

ID_BYTES = 128
nccl.available = True
NUMBERS = {"NCCL_SUM": 0, "NCCL_INT64": 4, "NCCL_FLOAT32": 7, "NCCL_FLOAT64": 8}
for _name, _number in NUMBERS.items():
    setattr(nccl, _name, _number)
DTYPES = {4: np.int64, 7: np.float32, 8: np.float64}


@public(nccl)
def get_unique_id() -> bytes:
    return os.urandom(ID_BYTES)


@public(nccl)
class NcclCommunicator:
    """cupy.cuda.nccl.NcclCommunicator: as many ranks as were announced, with the same number of one of them."""

    def __init__(self, ndev: int, commId: bytes, rank: int) -> None:  # noqa: N803  (CuPy's name)
        from mpi4py import MPI  # only ranks need it

        self._comm: Any = MPI.COMM_WORLD.Dup()
        self._card = devices.current()
        if (ndev, rank) != (self._comm.size, self._comm.rank) or len(set(self._comm.allgather(commId))) != 1:
            raise ValueError("ranks that do not belong together")
        if len(commId) != ID_BYTES or len(set(self._comm.allgather(self._card))) != ndev:
            raise ValueError("a broken number, or two ranks on one card")

    def allReduce(  # noqa: N802
        self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, stream: int
    ) -> None:
        if devices.current() != self._card or counters.owner(recvbuf) is None or (sendbuf, op) != (recvbuf, 0):
            refuse("allReduce: an array of another card, or none, or something else than a sum in its place")
        dtype = np.dtype(DTYPES[datatype])
        memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(recvbuf)
        array = np.frombuffer(memory, dtype)
        counters.launch("allReduce", array)
        (told,) = [each for each in devices.streams if each.ptr == stream]
        told._history.append("allReduce")
        from mpi4py import MPI

        self._comm.Allreduce(MPI.IN_PLACE, array)
