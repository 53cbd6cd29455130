"""Data-parallel training: a process, called a rank, for each share of a batch; MPI joins them, and NCCL their cards.

`mpiexec -n 4 python googlenet.py ...` starts four ranks. Each has the same weights and looks at its own share of each
batch; the gradients are averaged while backward still runs, and so all make the same step. Open first: gradients.py.
"""

from minigrad.parallel.batch_norm import share_statistics
from minigrad.parallel.gradients import GradientAverage
from minigrad.parallel.launch import join
from minigrad.parallel.world import ALONE, ParallelError, World

__all__ = ["ALONE", "GradientAverage", "ParallelError", "World", "join", "share_statistics"]
