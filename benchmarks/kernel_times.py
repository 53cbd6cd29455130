"""`python -m benchmarks kernels`: every kernel on the shapes that GoogLeNet gives it, on the CPU or on a card."""

import argparse
import sys

from rich.console import Console
from rich.progress import track

import kernels
from benchmarks import limits, machine, options as shared, pictures, report
from benchmarks.googlenet_cases import cases
from benchmarks.measure import measure
from benchmarks.timing import place
from minigrad import device


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument(
        "--backend", nargs="+", choices=kernels.BACKENDS, metavar="NAME", help="on the CPU, default all; a card has one"
    )
    parser.add_argument("--filter", default="", metavar="NAME", help="only kernels with this in their name")
    shared.add_timing(parser)


def main(options: argparse.Namespace) -> int:
    """Verify, time, print. Returns the exit status: 1 if a kernel was wrong."""
    name, _ = device.choose(options.device)
    if name != device.CPU and options.backend:
        raise device.DeviceError(f"--backend: given beside --device {options.device}, and only the CPU has several")
    chosen = {case: n for case, n in cases(options.image_size).items() if options.filter in case.kernel}
    if not chosen:
        print(f"no kernel has {options.filter!r} in its name", file=sys.stderr)
        return 2
    # The table's order goes from slow to fast, so the last is the one to compare with PyTorch.
    asked = options.backend or kernels.BACKENDS
    backends = [backend for backend in kernels.BACKENDS if backend in asked] if name == device.CPU else [kernels.CUDA]
    for backend in backends:
        kernels.load(backend)  # before the threads are limited: those of a library that comes later would not be
    screen, where, measurements = report.console(), place(name), []
    with machine.limited(options.threads) as threads:
        described, most = machine.describe(threads, name), limits.measure(threads, name)
        for case, per_step in track(chosen.items(), "timing", console=Console(stderr=True), transient=True):
            measurements.append(measure(case, per_step, backends, options.batch_size, options.repeats, where))
    screen.print(report.table(measurements, backends, options.batch_size, most))
    screen.print(most.describe(), highlight=False)
    for line in report.remarks(name):
        screen.print(line, markup=False)
    wrong = sum(bool(measured.faults) for measured in measurements)
    if wrong:
        screen.print(f"[bold red]{wrong} of {len(measurements)} cases are WRONG[/]")
    if options.json:
        figures = [report.as_json(measured, backends[-1], most) for measured in measurements]
        settings = {"machine": described, "limits": most.as_json(), **shared.settings(options)}
        report.write(options.json, {**settings, "kernels": figures})
    if options.picture:
        pictures.roofline(options.picture, measurements, backends[-1], most)
    return 1 if wrong else 0
