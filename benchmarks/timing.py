"""Fair clocks: competitors take turns, so that whatever else the machine does strikes all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

FLUSH_BYTES = 64 << 20


class Flush:
    """Calling it pushes everything out of the caches, where in training a kernel would not find its arrays either."""

    def __init__(self) -> None:
        self._ballast = np.zeros(FLUSH_BYTES, np.uint8)

    def __call__(self) -> None:
        self._ballast += 1


def medians(runs: Mapping[str, Callable[[], Any]], repeats: int, before: Callable[[], Any]) -> dict[str, float]:
    """Seconds that each takes, the median of `repeats` turns after one to warm up. `before` runs before each turn."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            before()
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(turns) for name, turns in seconds.items()}
