"""Whether this process is one of several: only then is mpi4py imported."""

import functools
import os

from minigrad.parallel.world import ALONE, ParallelError, World

LAUNCHED = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
"""Variables by which launchers tell a process its number: MPICH's and Intel's mpiexec and Slurm's srun; all with PMIx;
Open MPI's mpiexec."""


@functools.cache
def join() -> World:
    """The ranks that `mpiexec` or `srun` has started together with this process, or this process alone.

    ParallelError if there are others, and mpi4py is missing or finds no MPI.
    """
    if not any(name in os.environ for name in LAUNCHED):
        return ALONE
    try:
        from minigrad.parallel.mpi import MpiWorld

        return MpiWorld()
    except (ImportError, RuntimeError) as error:
        remedy = "pip install -e '.[mpi]' brings mpi4py and an MPI, whose own mpiexec must be what starts this"
        raise ParallelError(f"started by mpiexec, but MPI cannot be had: {error}; {remedy}") from error
