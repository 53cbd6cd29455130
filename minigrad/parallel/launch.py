"""Whether this process is one of several: only then is mpi4py imported."""

import faulthandler
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from minigrad.parallel.world import ALONE, ParallelError, World

LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""Variables by which launchers tell a process its number: MPICH's and Intel's mpiexec and Slurm's srun; all with PMIx;
Open MPI's mpiexec."""
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""How many processes there are, as far as they tell it."""
START_PATIENCE = 60.0
"""Seconds that a rank waits for the others to start."""


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """The process ends, and says where it stood, if it is in the block for longer. For what waits for other ranks by
    itself, where neither an exception nor a signal can come."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@functools.cache
def join() -> World:
    """The ranks that `mpiexec` or `srun` has started together with this process, or this process alone.

    ParallelError if there are others, and mpi4py is missing or finds no MPI. If the others do not come, the process
    ends, and says where it stood.
    """
    if not any(name in os.environ for name in LAUNCHED):
        return ALONE
    try:
        with ended_after(START_PATIENCE):
            from minigrad.parallel.mpi import MpiWorld

            world = MpiWorld()
    except (ImportError, RuntimeError) as error:
        remedy = "pip install -e '.[mpi]' brings mpi4py and an MPI, whose own mpiexec must be what starts this"
        raise ParallelError(f"started by mpiexec, but MPI cannot be had: {error}; {remedy}") from error
    for started in (int(os.environ[name]) for name in SIZES if name in os.environ):
        if started != world.size:
            what = f"{started} processes were started together, and this one's MPI knows of {world.size}"
            raise ParallelError(f"{what}: they are of two kinds; use the mpiexec beside this Python, {sys.executable}")
    return world
