"""What this machine can do at most, measured and not read in a data sheet: the roofline's two lines.

No kernel multiplies faster than the best matrix product, nor moves bytes faster than memory gives them out (S.
Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model", 2009).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]

from benchmarks import machine
from benchmarks.work import FLOP
from minigrad import device

REPEATS = 7
PAUSE = 0.05
"""Seconds between two: where the system has put two threads on one core, a pause lets it choose again."""
MATRIX_SIZES = (1024, 2048, 4096)
MATRIX_SECONDS = 2.0
"""A matrix size is left out where it would take longer."""
COPY_BYTES = 256 << 20
"""Of the array that is copied: several times what most caches hold; where the largest one holds more than half, twice
as much as that."""


class Limits(NamedTuple):
    """peak: of float32 matrix products, FLOP/s. bandwidth: of memory, bytes/s read and written. blas: who multiplies.
    of: whose limits they are."""

    peak: float
    bandwidth: float
    blas: str
    of: str = "this machine"

    def seconds(self, multiply_adds: int, moved: int) -> float:
        """The shortest time in which so many multiply-adds and bytes can be done: min(peak, intensity * bandwidth)."""
        return max(FLOP * multiply_adds / self.peak, moved / self.bandwidth)

    def describe(self) -> str:
        """Both in a line."""
        return (
            f"limits of {self.of}: {self.peak / 1e9:,.0f} GFLOP/s (float32 matrix product, {self.blas}), "
            f"{self.bandwidth / 1e9:,.1f} GB/s (copying, read + written)"
        )

    def as_json(self) -> dict[str, Any]:
        """In the units of `describe`."""
        return {"gflops": self.peak / 1e9, "gb_per_second": self.bandwidth / 1e9, "blas": self.blas}


def measure(threads: int, place: str) -> Limits:
    """Both limits of a device, of the CPU for so many threads; NumPy's BLAS must have been limited to them by
    `kernels.threads.limit`."""
    if place != device.CPU:
        from benchmarks import card  # not above, for it takes Limits from here

        return card.limits()
    return Limits(_peak(), _bandwidth(threads), _blas())


def product(size: int) -> Callable[[], Any]:
    """NumPy's product of two float32 matrices (size, size), ready to run."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out)


def fastest(run: Callable[[], Any], wait: Callable[[], Any] = lambda: None) -> float:
    """The seconds of the fastest of REPEATS runs, after one to warm up. wait: until a card has done it."""
    run()
    wait()
    seconds = []
    for _ in range(REPEATS):
        time.sleep(PAUSE)
        start = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _peak() -> float:
    best = 0.0
    for size in MATRIX_SIZES:
        work = FLOP * size**3
        if best and work / best > MATRIX_SECONDS:
            break
        best = max(best, work / fastest(product(size)))
    return best


def _bandwidth(threads: int) -> float:
    """Each thread copies its share: NumPy lets go of the interpreter while it copies."""
    size = max(COPY_BYTES, 2 * machine.largest_cache())
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    pairs = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        seconds = fastest(lambda: list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs)))
    return 2 * size / seconds


def _blas() -> str:
    """The name of the BLAS behind NumPy, and for which kind of processor its kernels are."""
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            return f"{library['internal_api']} {library.get('architecture', '')}".strip()
    return "unknown BLAS"
