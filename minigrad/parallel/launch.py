"""Whether this process is one of several: only then is mpi4py imported."""

import faulthandler
import functools
import os

from minigrad.parallel.world import ALONE, ParallelError, World

LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""Variables by which launchers tell a process its number: MPICH's and Intel's mpiexec and Slurm's srun; all with PMIx;
Open MPI's mpiexec."""
START_PATIENCE = 60.0
"""Seconds that a rank waits for the others to start. MPI itself would wait for ever, and no signal ends that."""


@functools.cache
def join() -> World:
    """The ranks that `mpiexec` or `srun` has started together with this process, or this process alone.

    ParallelError if there are others, and mpi4py is missing or finds no MPI. If the others do not come, the process
    ends, and says where it stood.
    """
    if not any(name in os.environ for name in LAUNCHED):
        return ALONE
    faulthandler.dump_traceback_later(START_PATIENCE, exit=True, file=2)
    try:
        from minigrad.parallel.mpi import MpiWorld

        return MpiWorld()
    except (ImportError, RuntimeError) as error:
        remedy = "pip install -e '.[mpi]' brings mpi4py and an MPI, whose own mpiexec must be what starts this"
        raise ParallelError(f"started by mpiexec, but MPI cannot be had: {error}; {remedy}") from error
    finally:
        faulthandler.cancel_dump_traceback_later()
