"""`python -m benchmarks drift`: how far apart losses come to be that differ only in how sums are rounded.

Training makes much of a first rounding error, so that later losses of several ranks cannot be those of one process.
How far mere rounding goes another right program shows: PyTorch, which can keep the same images in two formats of
memory, and sums in another order in each.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.table import Table

from benchmarks import launcher, machine, options as shared, report
from benchmarks.measure import TORCH_LAYOUTS
from kernels import threads
from kernels.layout import Array
from minigrad import device
from minigrad.commands.arguments import at_least
from minigrad.data import DataError, FashionMNIST, load
from minigrad.training import metrics

PROGRAM = ["googlenet.py"]
CHECKED = 3
"""Steps in which ranks and one process must agree to TOLERANCE; then seeds begin to differ in how they do."""
TOLERANCE = 1e-4
FIRST = 10
RANKS = {"one process": 0, "2 ranks": 2, "4 ranks": 4}
AMONG_RANKS = [("one process", "2 ranks"), ("one process", "4 ranks")]
WITH_TORCH = [("PyTorch", "PyTorch channels_last"), *AMONG_RANKS, ("PyTorch", "one process")]


class Task(NamedTuple):
    """Momentum on the first images, at a constant rate, without dropout."""

    epochs: int
    images: int = 200
    batch_size: int = 10
    image_size: int = 32
    lr: float = 0.003
    momentum: float = 0.9

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.images // self.batch_size)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument("--seeds", type=at_least(1), default=6, metavar="N", help="runs of each, default 6")
    parser.add_argument("--epochs", type=at_least(1), default=3, metavar="N", help="of 20 steps, default 3")
    shared.add_json(parser)


def losses(ranks: int, task: Task, seed: int) -> Array:
    """(steps,), of so many ranks; 0 for a process without the launcher. RuntimeError with what it said if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = {
            "device": "cpu", "image-size": task.image_size, "batch-size": task.batch_size, "train-limit": task.images,
            "test-limit": 1, "epochs": task.epochs, "optimizer": "sgd", "lr": task.lr, "momentum": task.momentum,
            "schedule": "constant", "dropout": 0, "seed": seed, "out": out,
        }  # fmt: skip
        launcher.run(ranks, [*PROGRAM, *(word for name in options for word in (f"--{name}", str(options[name])))])
        return np.array([record["loss"] for record in metrics.read(out / metrics.STEPS, "loss")])


def distances(
    pairs: list[tuple[str, str]], seeds: int, task: Task, data: FashionMNIST, told: Callable[[str], None]
) -> dict[tuple[str, str], Array]:
    """The relative distances of each pair's losses: (seeds, steps)."""
    found: dict[tuple[str, str], list[Array]] = {pair: [] for pair in pairs}
    for seed in range(seeds):
        told(f"seed {seed}, of {seeds} seeds")
        of = {name: losses(ranks, task, seed) for name, ranks in RANKS.items()}
        if pairs is WITH_TORCH:
            from benchmarks import torch_losses

            of |= {name: torch_losses.losses(last, task, seed, data) for name, last in TORCH_LAYOUTS.items()}
        for one, other in pairs:
            found[one, other].append(np.abs(of[other] / of[one] - 1))
    return {pair: np.stack(rows) for pair, rows in found.items()}


def summary(apart: Array) -> dict[str, float]:
    """Of (seeds, steps): the largest of the first steps; of the later ones the geometric mean (a step multiplies what
    is there, and in a plain mean the largest would count for more than all others), the median, and the largest."""
    first, later = apart[:, :FIRST], np.maximum(apart[:, FIRST:], np.finfo(np.float32).eps)
    typical = np.exp(np.log(later).mean())
    figures = {"first": first.max(), "typical": typical, "median": np.median(later), "largest": later.max()}
    return {name: float(value) for name, value in figures.items()}


def main(options: argparse.Namespace) -> int:
    """Measure, verify, print. Returns the exit status: 1 if ranks do not begin as one process does."""
    screen, task = report.console(), Task(options.epochs)
    for remark in report.remarks(device.CPU):
        screen.print(remark, markup=False)
    pairs = AMONG_RANKS if machine.no_torch(device.CPU) else WITH_TORCH
    try:
        with screen.status("") as status:
            apart = distances(pairs, options.seeds, task, load(), status.update)
    except (RuntimeError, DataError) as error:
        screen.print(f"error: {error}", markup=False)
        return 1
    rows = {f"{one} and {other}": summary(found) for (one, other), found in apart.items()}
    screen.print(_table(rows, task, options.seeds))
    wrong = {other: first for one, other in AMONG_RANKS if (first := apart[one, other][:, :CHECKED].max()) > TOLERANCE}
    for name, first in wrong.items():
        screen.print(f"[bold red]WRONG[/]: {name} are {first:.1e} from one process in the first {CHECKED} steps")
    if options.json:
        settings = {"machine": machine.describe(threads.available(), device.CPU), "seeds": options.seeds}
        report.write(options.json, {**settings, **task._asdict(), "distances": rows})
    return 1 if wrong else 0


def _table(rows: dict[str, dict[str, float]], task: Task, seeds: int) -> Table:
    size = f"{task.image_size}x{task.image_size}"
    table = Table(
        title=f"relative distance of losses: GoogLeNet {size}, batch {task.batch_size}, {seeds} seeds",
        caption="Typical: the geometric mean over steps and seeds.",
    )
    table.add_column("between")
    for heading in (f"steps 1 to {FIRST}: largest", f"{FIRST + 1} to {task.steps}: typical", "median", "largest"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.1e}" for value in row.values()))
    return table
