"""The most memory that training takes, by each competitor in a process of its own.

    python -m benchmarks.peak_memory NAME BATCH_SIZE IMAGE_SIZE THREADS BATCH_NORM

is that process; the last argument is 0 or 1. It prints two numbers of bytes, the most until the model and the batch
stood, and the most at the end.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

import kernels
from benchmarks import competitors, launcher, machine
from benchmarks.measure import TORCH_LAYOUTS
from kernels import threads as kernel_threads
from minigrad import device

STEPS = 3
STATUS = Path("/proc/self/status")


class PeakMemory(NamedTuple):
    """Bytes at most in memory. before: the first step. total: after STEPS steps."""

    before: int
    total: int


def peak() -> int:
    """The most bytes that this process has had in memory so far.

    Linux counts a process that was started by a large one as that large in `ru_maxrss` (the mark outlives exec), so
    there it is read from /proc.
    """
    if STATUS.exists():
        (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(name: str, images: int, image_size: int, threads: int, batch_norm: bool = False) -> PeakMemory:
    """Start a process that trains so, and ask it. RuntimeError with what it said if it failed."""
    arguments = ["-m", "benchmarks.peak_memory", name, str(images), str(image_size), str(threads), str(int(batch_norm))]
    before, total = launcher.run(0, arguments).split()
    return PeakMemory(int(before), int(total))


def table(measured: dict[str, PeakMemory], own: str) -> Table:
    """A row for each competitor."""
    result = Table("by", title=f"peak memory of {STEPS} training steps, MiB", caption="Ratio: of the totals.")
    for heading in ("before the first step", "total", "minigrad / this"):
        result.add_column(heading, justify="right")
    for name, memory in measured.items():
        ratio = measured[own].total / memory.total
        result.add_row(name, *(f"{size / 2**20:,.0f}" for size in memory), f"{ratio:.2f}")
    return result


def main(arguments: Sequence[str]) -> None:
    """Train STEPS steps and print the two peaks."""
    name, images, image_size, threads, batch_norm = arguments
    kernels.load(kernels.backend.current())  # what a program imports is not memory of its steps
    (competitor,) = competitors.build([name], int(images), int(image_size), device.CPU, batch_norm == "1").values()
    competitor.set_training(True)
    limited = machine.limited if name in TORCH_LAYOUTS else kernel_threads.limit  # the one imports PyTorch
    with limited(int(threads)):
        before = peak()
        for _ in range(STEPS):
            competitor.train()
    print(before, peak())


if __name__ == "__main__":
    main(sys.argv[1:])
