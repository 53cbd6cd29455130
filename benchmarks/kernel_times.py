"""`python -m benchmarks kernels`: every kernel on the shapes that GoogLeNet gives it."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

import kernels
from benchmarks import machine, report
from benchmarks.cases import at_batch
from benchmarks.googlenet_cases import cases
from benchmarks.measure import measure
from benchmarks.timing import Flush
from minigrad.commands.arguments import at_least


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument(
        "--backend", nargs="+", choices=kernels.BACKENDS, default=kernels.BACKENDS, help="default all", metavar="NAME"
    )
    parser.add_argument("--filter", default="", metavar="NAME", help="only kernels with this in their name")
    parser.add_argument("--batch-size", type=at_least(1), default=128, metavar="N", help="images, default 128")
    parser.add_argument("--image-size", type=at_least(1), default=96, metavar="N", help="pixels, default 96")
    parser.add_argument("--repeats", type=at_least(1), default=5, metavar="N", help="turns of each, default 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def main(options: argparse.Namespace) -> int:
    """Verify, time, print. Returns the exit status: 1 if a kernel was wrong."""
    chosen = {case: n for case, n in cases(options.image_size).items() if options.filter in case.kernel}
    if not chosen:
        print(f"no kernel has {options.filter!r} in its name", file=sys.stderr)
        return 2
    # The table's order goes from slow to fast, so the last is the one to compare with PyTorch.
    backends = [name for name in kernels.BACKENDS if name in options.backend]
    screen, flush = report.console(), Flush()
    measurements = []
    for case, per_step in track(chosen.items(), "timing", console=Console(stderr=True), transient=True):
        measured = measure(case, per_step, backends, options.batch_size, options.repeats, flush)
        measurements.append(measured._replace(case=at_batch(case, options.batch_size)))
    screen.print(report.table(measurements, backends, options.batch_size))
    if machine.find_torch() is None:
        screen.print(report.NO_TORCH, markup=False)
    wrong = sum(bool(measured.faults) for measured in measurements)
    if wrong:
        screen.print(f"[bold red]{wrong} of {len(measurements)} cases are WRONG[/]")
    if options.json:
        figures = [report.as_json(measured, backends[-1]) for measured in measurements]
        settings = {"batch_size": options.batch_size, "image_size": options.image_size, "repeats": options.repeats}
        report.write(options.json, {"machine": machine.describe(), **settings, "kernels": figures})
    return 1 if wrong else 0
