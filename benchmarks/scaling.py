"""What the second core and the others bring: minigrad's training step beside NumPy's matrix product."""

import statistics
import time
from collections import defaultdict
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks import limits
from benchmarks.competitors import Competitor
from kernels import threads

MATRIX_SIZE = 2048


class Scaling(NamedTuple):
    """Seconds on one thread and on all `threads`, of a training step and of a float32 matrix product."""

    threads: int
    step: tuple[float, float]
    product: tuple[float, float]

    @property
    def step_gain(self) -> float:
        """How many times as fast all threads do the step."""
        return self.step[0] / self.step[1]

    @property
    def product_gain(self) -> float:
        """How many times as fast all threads multiply."""
        return self.product[0] / self.product[1]

    def as_json(self) -> dict[str, Any]:
        """Milliseconds on one thread and on all, and the gains."""
        return {
            "threads": self.threads,
            "step_milliseconds": [seconds * 1e3 for seconds in self.step],
            "product_milliseconds": [seconds * 1e3 for seconds in self.product],
            "step_gain": self.step_gain,
            "product_gain": self.product_gain,
            "ratio_of_gains": self.step_gain / self.product_gain,
        }


def measure(own: Competitor, count: int, repeats: int) -> Scaling:
    """One thread and `count` take turns, after one turn to warm up."""
    runs = {"step": own.train, "product": limits.product(MATRIX_SIZE)}
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(1 + repeats):
        for used in (1, count):
            with threads.limit(used):
                for name, run in runs.items():
                    start = time.perf_counter()
                    run()
                    seconds[name, used].append(time.perf_counter() - start)
    step, product = ([statistics.median(seconds[name, used][1:]) for used in (1, count)] for name in runs)
    return Scaling(count, (step[0], step[1]), (product[0], product[1]))


def table(scaling: Scaling) -> Table:
    """The training step and the matrix product."""
    ratio = scaling.step_gain / scaling.product_gain
    result = Table(
        "what", title="thread scaling, milliseconds",
        caption=f"The step gains {ratio:.2f} times what the matrix product gains.",
    )
    for heading in ("1 thread", f"{scaling.threads} threads", "gain"):
        result.add_column(heading, justify="right")
    size = f"NumPy's product, {MATRIX_SIZE}x{MATRIX_SIZE} float32"
    rows = (("training step", scaling.step, scaling.step_gain), (size, scaling.product, scaling.product_gain))
    for name, seconds, gain in rows:
        result.add_row(name, *(f"{value * 1e3:,.1f}" for value in seconds), f"{gain:.2f}")
    return result
