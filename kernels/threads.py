"""How many threads the kernels may use: `with limit(1): ...`.

The cpu backend has Numba's threads, and the reference backend and `Tensor @ Tensor` have those of the BLAS behind
NumPy. Everybody else's threads, PyTorch's among them, are left alone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

import threadpoolctl  # type: ignore[import-untyped]

import kernels

chosen: int | None = None
"""How many threads `limit` allows at the moment; None for all."""


def _numba() -> ModuleType | None:
    """Numba, if the program uses it: importing it takes half a second, which other backends need not wait for."""
    if "numba" not in sys.modules and kernels.backend.current() != "cpu":
        return None
    import numba

    module: ModuleType = numba
    return module


def available() -> int:
    """How many threads kernels can have at most: one for each core that this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    numba = _numba()
    return cores if numba is None else min(cores, numba.config.NUMBA_NUM_THREADS)


@contextmanager
def limit(count: int | None) -> Iterator[None]:
    """`with limit(n): ...`: no kernel uses more than `n` threads. None leaves everything as it is.

    It counts for the whole process, so put it around a program and not into its threads. ValueError if `count` is
    below 1 or more than there are cores.
    """
    global chosen
    if count is None:
        yield
        return
    most = available()
    if not isinstance(count, int) or not 1 <= count <= most:
        raise ValueError(f"count: given {count!r}, expected an integer from 1 to {most}, the cores of this process")
    with ExitStack() as on_leaving:
        on_leaving.enter_context(threadpoolctl.threadpool_limits(count, user_api="blas"))
        numba = _numba()
        if numba is not None:  # for this thread's other functions; the kernels of all threads look at `chosen`
            on_leaving.callback(numba.set_num_threads, numba.get_num_threads())
            numba.set_num_threads(count)
        before, chosen = chosen, count
        try:
            yield
        finally:
            chosen = before
