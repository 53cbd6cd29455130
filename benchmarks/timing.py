"""Fair clocks: competitors take turns, so that whatever else the machine does strikes all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine
from minigrad import device

FLUSH_BYTES = 64 << 20
"""What pushes everything out of the caches; where the largest one holds more, as much as that."""


class Flush:
    """Calling it pushes everything out of the caches, where in training a kernel would not find its arrays either."""

    def __init__(self) -> None:
        self._ballast = np.zeros(max(FLUSH_BYTES, machine.largest_cache()), np.uint8)

    def __call__(self) -> None:
        self._ballast += 1


def nothing() -> None:
    """What has to be done where nothing has."""


class Place(NamedTuple):
    """Where kernels are timed, a device's name. flush: empties its caches. wait: until it has done what it was told."""

    name: str
    flush: Callable[[], Any]
    wait: Callable[[], Any]


def place(name: str) -> Place:
    """The CPU, or a card that is the current one."""
    if name == device.CPU:
        return Place(name, Flush(), nothing)
    from benchmarks import card

    return Place(name, card.Flush(), card.wait)


def medians(
    runs: Mapping[str, Callable[[], Any]], repeats: int, before: Callable[[], Any] = nothing,
    after: Callable[[], Any] = nothing,
) -> dict[str, float]:
    """Seconds that each takes, the median of `repeats` turns after one to warm up.

    before: runs before each turn. after: runs at the end of each, and its time counts.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            before()
            start = time.perf_counter()
            run()
            after()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(turns) for name, turns in seconds.items()}
