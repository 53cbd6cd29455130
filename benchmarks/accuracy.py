"""`python -m benchmarks accuracy`: the rounding errors of the cpu backend's convolution algorithms.

Each is compared with the reference run in float64 on the same numbers, and so is a yardstick in float32: the ratio of
the two errors says what an algorithm costs in accuracy, whatever the sum's length. Winograd's yardstick is the direct
sum, which adds up the same products in float32; that of the direct sums is the reference.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import algorithms, options as shared, report
from benchmarks.arguments import filled
from benchmarks.cases import Case, at_batch, describe
from benchmarks.googlenet_cases import googlenet_calls
from benchmarks.measure import call, error

LIMIT = 10.0
"""The largest ratio that is accepted: rounding then costs one decimal digit more than the yardstick's."""

ROUNDING = float(np.finfo(np.float32).eps) / 2
"""No float32 result is nearer than its own rounding, so the yardstick's error counts as at least that."""


class Accuracy(NamedTuple):
    """Largest errors as shares of the largest value, of an algorithm and of its yardstick, both in float32."""

    case: Case
    algorithm: str
    error: float
    yardstick: float

    @property
    def ratio(self) -> float:
        """The algorithm's error as a multiple of its yardstick's."""
        return self.error / max(self.yardstick, ROUNDING)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    shared.add_shapes(parser, batch_size=32)
    shared.add_json(parser)


def convolutions(image_size: int, images: int) -> list[Case]:
    """GoogLeNet's convolutions, forward and backward, each once; what a gradient is added to is left out."""
    cases = []
    for given in googlenet_calls(image_size):
        if given.kernel.startswith(("conv2d", "pointwise")):
            arguments = ((name, None if name == "into" else value) for name, value in given.arguments)
            cases.append(at_batch(Case(given.kernel, tuple(arguments)), images))
    return sorted(dict.fromkeys(cases), key=lambda case: case.kernel)


def accuracies(case: Case) -> Iterator[Accuracy]:
    """One for each algorithm that can compute the case."""
    arguments = filled(case)
    exact = call("reference", case.kernel, {name: _in_float64(value) for name, value in arguments.items()})
    reference = error(call("reference", case.kernel, arguments), exact)
    names = algorithms.possible(case, "cpu")
    errors = {
        name: error(call("cpu", case.kernel, arguments, name if len(names) > 1 else None), exact) for name in names
    }
    for name, found in errors.items():
        yield Accuracy(case, name, found, errors["direct"] if name == "winograd" else reference)


def _in_float64(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_float64(each) for each in value]
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def main(options: argparse.Namespace) -> int:
    """Compare, print. Returns the exit status: 1 if an error is more than LIMIT times its yardstick's."""
    cases = convolutions(options.image_size, options.batch_size)
    bar = track(cases, "comparing", console=Console(stderr=True), transient=True)
    found = [accuracy for case in bar for accuracy in accuracies(case)]
    screen = report.console()
    screen.print(_table(found, options.batch_size))
    screen.print(_summary(found))
    if options.json:
        figures = [report.case_as_json(a.case) | _figures(a) for a in found]
        report.write(options.json, {**shared.settings(options), "limit": LIMIT, "convolutions": figures})
    inaccurate = sum(not accuracy.ratio <= LIMIT for accuracy in found)
    if inaccurate:
        screen.print(f"[bold red]{inaccurate} of {len(found)} have more than {LIMIT:g} times their yardstick[/]")
    return 1 if inaccurate else 0


def _figures(accuracy: Accuracy) -> dict[str, Any]:
    return {
        "algorithm": accuracy.algorithm, "error": accuracy.error, "yardstick": accuracy.yardstick,
        "ratio": accuracy.ratio,
    }


def _table(found: list[Accuracy], images: int) -> Table:
    table = Table(
        "kernel", "case", "algorithm", title=f"errors against float64, batch {images}",
        caption="Largest error as a share of the largest value. Ratio: the algorithm's / the yardstick's: for Winograd "
        "the direct sum in float32, for the others the reference in float32.",
    )
    for heading in ("error", "yardstick's", "ratio"):
        table.add_column(heading, justify="right")
    for accuracy in found:
        ratio = f"{accuracy.ratio:.2f}" if accuracy.ratio <= LIMIT else f"[bold red]{accuracy.ratio:.2f}[/]"
        table.add_row(
            accuracy.case.kernel, describe(accuracy.case), accuracy.algorithm, f"{accuracy.error:.1e}",
            f"{accuracy.yardstick:.1e}", ratio,
        )
    return table


def _summary(found: list[Accuracy]) -> Table:
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for accuracy in found:
        ratios[accuracy.case.kernel, accuracy.algorithm].append(accuracy.ratio)
    table = Table("kernel", "algorithm", title="ratios")
    for heading in ("convolutions", "median", "largest"):
        table.add_column(heading, justify="right")
    for (kernel, algorithm), values in ratios.items():
        table.add_row(kernel, algorithm, str(len(values)), f"{np.median(values):.2f}", f"{max(values):.2f}")
    return table
