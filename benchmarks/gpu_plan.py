"""`python -m benchmarks gpu-plan`: what training costs a card on paper, counted on a machine that needs none.

It runs the real training loop on the tests' stand-in for CuPy, which counts launches, waits, copies and memory, and
computes nothing.
"""

import argparse
import importlib
import inspect
import io
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import kernels
from benchmarks import options as shared, report
from benchmarks.measure import CHANGED, flat
from googlenet import GoogLeNet
from minigrad import device
from minigrad.commands.arguments import rate
from minigrad.data import FashionMNIST
from minigrad.training import Config, Trainer

STEPS = 50
BANDWIDTH = 1008.0
CARD = "GeForce RTX 4090"
"""In whose data sheet BANDWIDTH, in GB/s, stands."""
IMAGES = 70_000
"""Of Fashion-MNIST, for training and testing: all of them lie in the card's memory."""
OWN = "CuPy's own"


@dataclass
class Work:
    """What was launched for one kernel of the table. moved: bytes of the launches. fewest: bytes that must move."""

    calls: int = 0
    launches: int = 0
    moved: int = 0
    fewest: int = 0


class Plan(NamedTuple):
    """What STEPS steps cost. kernels: by name in the table; under OWN what none of them launched. peak: in bytes."""

    kernels: dict[str, Work]
    synchronisations: int
    to_device: list[int]
    peak: int

    @property
    def launches(self) -> int:
        """Of kernels and matrix products."""
        return sum(work.launches for work in self.kernels.values())


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    shared.add_shapes(parser, batch_size=128)
    parser.add_argument(
        "--bandwidth", type=rate, default=BANDWIDTH, metavar="GB/S",
        help=f"of the card's memory, default {BANDWIDTH:g}, the data sheet's for a {CARD}",
    )


def plan(images: int, image_size: int) -> Plan:
    """Train GoogLeNet for STEPS steps of so many images, by the usual recipe, and count."""
    with _counting() as counters, tempfile.TemporaryDirectory() as folder:
        random = np.random.default_rng(0)
        count = STEPS * images
        pixels = random.integers(0, 256, (max(IMAGES, count), 28, 28), np.uint8)
        labels = random.integers(0, 10, len(pixels)).astype(np.uint8)
        data = FashionMNIST(pixels[:count], labels[:count], pixels[count:], labels[count:])
        model = GoogLeNet(num_classes=10, image_size=image_size).to("gpu")
        config = Config(network="GoogLeNet", batch_size=images, image_size=image_size)
        trainer = Trainer(model, data, config, Path(folder), Console(file=io.StringIO()), log_every=STEPS)
        counters.reset()
        with _by_kernel(counters) as works:
            trainer.train_epoch()
        return Plan(works, counters.synchronisations, counters.to_device, counters.peak)


@contextmanager
def _counting() -> Iterator[Any]:
    """Inside the block there is a card, which only counts. Yields what it counts."""
    # The tests' stand-in, and none of our own: what is counted here is what the tests prove of the same code.
    standin = importlib.import_module("tests.cupy_standin")
    counters = importlib.import_module("tests.cupy_standin.counters").counters
    with standin.installed():
        counters.dry = True
        try:
            yield counters
        finally:
            counters.dry = False


@contextmanager
def _by_kernel(counters: Any) -> Iterator[dict[str, Work]]:
    """Adds up which kernel of the table launched what inside the block."""
    works: dict[str, Work] = defaultdict(Work)
    table = kernels.load(kernels.CUDA)

    def counting(kernel: str, original: Callable[..., Any]) -> Callable[..., Any]:
        signature, work = inspect.signature(original), works[kernel]

        def call(*args: Any, **keywords: Any) -> Any:
            before = len(counters.launches)
            results = original(*args, **keywords)
            launched = counters.launches[before:]
            work.calls, work.launches = work.calls + 1, work.launches + len(launched)
            work.moved += sum(launch.bytes for launch in launched)
            work.fewest += fewest(kernel, signature.bind(*args, **keywords).arguments, results)
            return results

        return call

    for family in kernels.TABLE.values():
        for kernel in family:  # the table is one of the stand-in's and goes with it, so it needs no putting back
            setattr(table, kernel, counting(kernel, getattr(table, kernel)))
    yield works
    rest = Work(0, len(counters.launches), sum(launch.bytes for launch in counters.launches))
    rest.launches -= sum(work.launches for work in works.values())
    rest.moved -= sum(work.moved for work in works.values())
    works[OWN] = rest


def fewest(kernel: str, arguments: dict[str, Any], results: Any) -> int:
    """Bytes of a call's arguments and results, each once; of what the kernel changes in place, twice."""
    changed = flat([arguments.get(name) for name in CHANGED.get(kernel, ())])
    arrays = {id(value): value for value in flat([*arguments.values(), results])}
    return sum(value.nbytes for value in (*arrays.values(), *changed) if kernels.is_on_card(value))


def main(options: argparse.Namespace) -> int:
    """Count, print. Returns the exit status."""
    if shutil.which("g++") is None:
        raise device.DeviceError("gpu-plan compiles the kernels by g++, which it does not find; install g++")
    planned, screen = plan(options.batch_size, options.image_size), report.console()
    screen.print("\n".join(totals(planned)), highlight=False)
    size = f"{options.image_size}x{options.image_size}"
    screen.print(table(planned, options.bandwidth, f"a training step on paper, batch {options.batch_size}, {size}"))
    return 0


def totals(planned: Plan) -> list[str]:
    """What the steps cost together, a line each."""
    copies = planned.to_device
    return [
        f"launches a step: {planned.launches / STEPS:,.1f}, matrix products included",
        f"waits for the card in {STEPS} steps: {planned.synchronisations}",
        f"copies to the card in {STEPS} steps: {len(copies)}, of {sum(copies):,} bytes",
        f"most memory in arrays: {planned.peak / 2**20:,.0f} MiB, all {IMAGES:,} images of the data set included",
    ]


def table(planned: Plan, bandwidth: float, title: str) -> Table:
    """A row for each kernel that was called, those that move most first. bandwidth: in GB/s."""
    name = f", which the data sheet of a {CARD} promises" if bandwidth == BANDWIDTH else ""
    result = Table(
        "kernel", title=title,
        caption="On paper: counted, not measured. Bytes moved: of the arrays of each launch, once, and twice if they "
        "are updated in place. Fewest: those of the kernel's own arguments and results. Time: of the bytes moved at "
        f"{bandwidth:,g} GB/s{name}; computing may take longer.",
    )
    for heading in ("calls", "launches", "MB moved", "fewest MB", "ratio", "milliseconds"):
        result.add_column(heading, justify="right")
    works = sorted(planned.kernels.items(), key=lambda item: -item[1].moved)
    rows = [(name, work) for name, work in works if work.launches]
    whole = Work(0, planned.launches, sum(work.moved for _, work in rows))
    for name, work in (*rows, ("all", whole)):
        result.add_row(
            name, f"{work.calls / STEPS:g}" if work.calls else "-", f"{work.launches / STEPS:g}",
            f"{work.moved / STEPS / 1e6:,.2f}", f"{work.fewest / STEPS / 1e6:,.2f}" if work.fewest else "-",
            f"{work.moved / work.fewest:.2f}" if work.fewest else "-", f"{work.moved / STEPS / bandwidth / 1e6:.3f}",
        )
    return result
