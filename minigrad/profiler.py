"""Where the time goes: a profiler that watches the tape.

    profiler = Profiler()
    with profiler.watch():
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        with profiler.part("optimizer"):
            optimizer.step()
    for row in profiler.rows():
        print(row.name, row.seconds)
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kernels import is_on_card
from kernels.layout import Array
from minigrad import device
from minigrad.function import Function
from minigrad.observe import Observer, observe
from minigrad.ops.conv import Conv2d

REST = "rest"


class Row(NamedTuple):
    """One line of the report, in seconds. forward and backward are None for what is not an operation.

    calls: how often forward ran, or the part was entered; 0 for the rest. share: of the whole, 0 to 1.
    """

    name: str
    forward: float | None
    backward: float | None
    seconds: float
    calls: int
    share: float


@dataclass
class _Times:
    forward: float = 0.0
    backward: float = 0.0
    calls: int = 0


class Profiler(Observer):
    """Adds up the seconds of each operation, forward and backward apart. One thread at a time.

    On a card an operation is over when the card has done it and not when it was asked to, so the clock waits for that.

    seconds: the whole, all that went by inside `watch`.
    """

    needs_own_gradients = False  # what is measured is how a program runs that nobody watches

    def __init__(self) -> None:
        self.seconds = 0.0
        self._operations: dict[str, _Times] = defaultdict(_Times)
        self._parts: dict[str, _Times] = defaultdict(_Times)
        self._began = 0.0
        self._counted = 0.0  # seconds that belong to an operation or a part
        self._there: Array | None = None  # a number on the card, if there is one: what tells which card to wait for

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Measure what this thread does inside the block."""
        began = time.perf_counter()
        try:
            with observe(self):
                yield
        finally:
            self.seconds += self._now() - began

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Inside `watch`: the block is a line of its own, without the operations and parts that run inside it."""
        times, began, counted = self._parts[name], self._now(), self._counted
        try:
            yield
        finally:
            own = self._now() - began - (self._counted - counted)
            times.forward, times.calls = times.forward + own, times.calls + 1
            self._counted += own

    def rows(self) -> list[Row]:
        """Operations and parts, the slowest first, then the rest: the whole without all of them."""
        whole = self.seconds

        def row(name: str, forward: float | None, backward: float | None, seconds: float, calls: int) -> Row:
            return Row(name, forward, backward, seconds, calls, seconds / whole if whole else 0.0)

        rows = [row(name, t.forward, t.backward, t.forward + t.backward, t.calls)
                for name, t in self._operations.items()]
        rows += [row(name, None, None, t.forward, t.calls) for name, t in self._parts.items()]
        rows.sort(key=lambda row: -row.seconds)
        return [*rows, row(REST, None, None, whole - self._counted, 0)]

    def before_forward(self, function: Function, inputs: tuple[Array | float | None, ...]) -> None:
        self._began = self._now()

    def after_forward(self, function: Function, output: Array) -> None:
        if self._there is None and is_on_card(output):
            self._there = device.beside(output, np.zeros(1, np.uint8))
        seconds, times = self._lap(), self._operations[_name(function)]
        times.forward, times.calls = times.forward + seconds, times.calls + 1

    def before_backward(self, function: Function, gradient: Array) -> None:
        self._began = self._now()

    def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
        seconds = self._lap()
        self._operations[_name(function)].backward += seconds

    def _lap(self) -> float:
        """Seconds since the operation began; of several that run together, the first to end has all of them."""
        now = self._now()
        seconds, self._began = now - self._began, now
        self._counted += seconds
        return seconds

    def _now(self) -> float:
        """The time; on a card, when that has done all that it was told."""
        device.synchronize(self._there)
        return time.perf_counter()


def _name(function: Function) -> str:
    """Convolutions of different windows are different work, and have different algorithms."""
    if isinstance(function, Conv2d):
        return f"{function.name} " + "x".join(map(str, function.kernel_size))
    return function.name
