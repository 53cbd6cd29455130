"""`python -m benchmarks train-step`: whole steps of GoogLeNet, training and inference, beside PyTorch's.

All start from the same weights and must agree before they are timed.
"""

import argparse
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import kernels
from benchmarks import competitors, limits, machine, options as shared, peak_memory, pictures, report, scaling, work
from benchmarks.competitors import Competitor
from benchmarks.googlenet_cases import cases
from benchmarks.limits import Limits
from benchmarks.measure import error
from benchmarks.peak_memory import PeakMemory
from benchmarks.scaling import Scaling
from benchmarks.timing import medians
from minigrad import device
from minigrad.profiler import Profiler
from minigrad.training.config import ConfigError

TOLERANCE = 1e-4
CHECKED_STEPS = 2
"""The first loss verifies forward; the second, after one update, backward and the optimiser."""

FEWEST = 128
"""Pixels over which batch normalisation still leaves losses within TOLERANCE, measured in PyTorch's two formats."""

TRAINING, INFERENCE = "training", "inference"


class Figures(NamedTuple):
    """All that was measured. seconds and shares: by kind of step, then by competitor or by operation.

    multiply_adds: of a training step's convolutions and linear layers, as their definition counts them. memory and
    scaling: of the CPU.
    """

    seconds: dict[str, dict[str, float]]
    shares: dict[str, dict[str, float]]
    multiply_adds: int
    limits: Limits
    memory: dict[str, PeakMemory]
    scaling: Scaling | None

    def rate(self, own: str) -> float:
        """minigrad's FLOP/s in training."""
        return work.FLOP * self.multiply_adds / self.seconds[TRAINING][own]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    shared.add_timing(parser)
    parser.add_argument(
        "--norm", choices=("none", "batch"), default="none",
        help="batch: batch normalisation after each convolution; default none",
    )
    parser.add_argument("--scaling", action="store_true", help="time steps on one thread too, beside a matrix product")


def verify(built: Mapping[str, Competitor], own: str) -> list[str]:
    """What disagrees with minigrad: the outputs of inference, or the losses of the first training steps."""
    faults = []
    for competitor in built.values():
        competitor.set_training(False)
    outputs = {name: competitor.infer() for name, competitor in built.items()}
    for name, output in outputs.items():
        found = error([output], [outputs[own]])
        if found > TOLERANCE:
            faults.append(f"{name}: the outputs differ from minigrad's by {found:.1e} of the largest")
    for competitor in built.values():
        competitor.set_training(True)
    losses = {name: [competitor.train() for _ in range(CHECKED_STEPS)] for name, competitor in built.items()}
    for name, given in losses.items():
        if not np.allclose(losses[own], given, rtol=TOLERANCE, atol=0):
            faults.append(f"{name}: the losses of the first steps are {given}, minigrad's are {losses[own]}")
    return faults


def timed(built: Mapping[str, Competitor], repeats: int) -> dict[str, dict[str, float]]:
    """Seconds of each competitor's steps of training and of inference, the competitors taking turns."""
    seconds = {}
    for kind in (TRAINING, INFERENCE):
        for competitor in built.values():
            competitor.set_training(kind == TRAINING)
        runs = {name: c.train if kind == TRAINING else c.infer for name, c in built.items()}
        seconds[kind] = medians(runs, repeats)
    return seconds


def profiled(own: Any, repeats: int) -> dict[str, dict[str, float]]:
    """The share of each operation in minigrad's time, by kind of step. It disturbs, so it comes after the timing."""
    shares = {}
    for kind in (TRAINING, INFERENCE):
        profiler = Profiler()
        own.set_training(kind == TRAINING)
        own.part = profiler.part
        with profiler.watch():
            for _ in range(repeats):
                own.train() if kind == TRAINING else own.infer()
        shares[kind] = {row.name: row.share for row in profiler.rows()}
    return shares


def main(options: argparse.Namespace) -> int:
    """Verify, time, print. Returns the exit status: 1 if the competitors disagree."""
    place, _ = device.choose(options.device)
    on_cpu = place == device.CPU
    kernels.load(kernels.backend.current())
    screen, own, names = report.console(), competitors.own_name(place), competitors.names(place)
    images, size, batch_norm = options.batch_size, options.image_size, options.norm == "batch"
    if batch_norm and images * math.ceil(size / 32) ** 2 < FEWEST:
        raise ConfigError(
            f"--batch-size: given {images}, expected a batch of {FEWEST} pixels or more where maps are smallest, at "
            f"1/32 of {size}x{size}: normalised over fewer, rounding errors grow past what can be verified"
        )
    with machine.limited(options.threads) as threads:
        described = machine.describe(threads, place)
        built = competitors.build(names, images, size, place, batch_norm)
        faults = verify(built, own)
        for fault in faults:
            screen.print(f"[bold red]WRONG[/]: {fault}")
        if faults:
            return 1
        figures = Figures(
            seconds=timed(built, options.repeats),
            shares=profiled(built[own], options.repeats),
            multiply_adds=work.of_a_step(cases(size), images),
            limits=limits.measure(threads, place),
            scaling=scaling.measure(built[own], threads, options.repeats) if options.scaling and on_cpu else None,
            memory={
                name: peak_memory.measure(name, images, size, threads, batch_norm) for name in names if on_cpu
            },
        )
    network = "GoogLeNet with batch normalisation" if batch_norm else "GoogLeNet"
    title = f"{network}, batch {images}, {size}x{size}, {f'{threads} threads' if on_cpu else described['gpu']['name']}"
    show(screen, figures, own, title)
    for line in report.remarks(place):
        screen.print(line, markup=False)
    if options.json:
        settings = {"machine": described, **shared.settings(options)}
        report.write(options.json, {**settings, **as_json(figures, own)})
    if options.picture:
        milliseconds = as_json(figures, own)["milliseconds"]
        pictures.steps(options.picture, milliseconds, figures.shares, own, title)
    return 0


def show(screen: Console, figures: Figures, own: str, title: str) -> None:
    """Print the tables and what they mean together."""
    for kind, seconds in figures.seconds.items():
        screen.print(_times(seconds, own, f"{kind} step of {title}"))
    screen.print(_shares(figures, own))
    rate, peak = figures.rate(own), figures.limits.peak
    screen.print(
        f"The convolutions and linear layers of a training step are {work.FLOP * figures.multiply_adds / 1e9:,.1f} "
        f"GFLOP, as their definition counts (Winograd does fewer): {rate / 1e9:,.0f} GFLOP/s, {rate / peak:.0%} of the "
        f"matrix product's.",
        highlight=False,
    )
    screen.print(figures.limits.describe(), highlight=False)
    if figures.memory:
        screen.print(peak_memory.table(figures.memory, own))
    else:
        screen.print("A process's peak memory and the scaling by threads are measured on the CPU only.")
    if figures.scaling:
        screen.print(scaling.table(figures.scaling))


def _times(seconds: Mapping[str, float], own: str, title: str) -> Table:
    table = Table("by", title=title, caption="Times as fast: this time / minigrad's; above 1, minigrad is faster.")
    for heading in ("milliseconds", "minigrad is times as fast"):
        table.add_column(heading, justify="right")
    for name, median in seconds.items():
        table.add_row(name, f"{median * 1e3:,.1f}", "-" if name == own else f"{median / seconds[own]:.2f}")
    return table


def _shares(figures: Figures, own: str) -> Table:
    table = Table("operation", title=f"where the time goes: {own}")
    for kind in figures.shares:
        table.add_column(kind, justify="right")
    for operation in figures.shares[TRAINING]:
        row = (shares.get(operation) for shares in figures.shares.values())
        table.add_row(operation, *("-" if share is None else f"{share:.1%}" for share in row))
    return table


def as_json(figures: Figures, own: str) -> dict[str, Any]:
    """The figures in JSON's types; times in milliseconds, memory in bytes."""
    milliseconds = {
        kind: {name: median * 1e3 for name, median in seconds.items()} for kind, seconds in figures.seconds.items()
    }
    times_as_fast = {
        kind: {name: median / seconds[own] for name, median in seconds.items() if name != own}
        for kind, seconds in figures.seconds.items()
    }
    return {
        "milliseconds": milliseconds,
        "times_as_fast": times_as_fast,
        "shares": figures.shares,
        "training_gflop": work.FLOP * figures.multiply_adds / 1e9,
        "training_gflops": figures.rate(own) / 1e9,
        "share_of_peak": figures.rate(own) / figures.limits.peak,
        "limits": figures.limits.as_json(),
        "peak_memory": {name: memory._asdict() for name, memory in figures.memory.items()},
        "scaling": figures.scaling and figures.scaling.as_json(),
    }
