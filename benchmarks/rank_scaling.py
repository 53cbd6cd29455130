"""`python -m benchmarks scaling`: two ranks beside one process, and on paper as many as a cluster has.

Two ranks of one thread take turns with one process of two threads. From what they exchange, and how much of that
backward hides, a model on paper follows for other numbers of ranks and a network of given bandwidth and latency: it is
arithmetic, and no measurement.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from benchmarks import launcher, machine, options as shared, report
from benchmarks.rank_steps import CHECKED_STEPS
from minigrad import device
from minigrad.commands.arguments import at_least, rate

RANKS = 2
MOST = 1024
TOLERANCE = 1e-4
BACKWARD_SHARE = 2 / 3
"""Of a step's time: backward multiplies twice what forward does."""


class Measured(NamedTuple):
    """Medians in seconds. together: a step of RANKS ranks. alone: of one process. exchange: all sums by themselves.
    waited: of them in a step, what backward did not hide."""

    together: float
    alone: float
    exchange: float
    waited: float

    @property
    def efficiency(self) -> float:
        """1 if the ranks are as fast as one process on the same cores."""
        return self.alone / self.together

    @property
    def exposed(self) -> float:
        """The share of the exchange that backward does not hide."""
        return min(1.0, self.waited / self.exchange)


class Network(NamedTuple):
    """bandwidth: bytes a second that a rank can send while it receives as many. latency: seconds of a message."""

    bandwidth: float
    latency: float

    def seconds(self, ranks: int, buckets: Sequence[int]) -> float:
        """How long all sums take: each is scattered and gathered again, in halves (R. Thakur, R. Rabenseifner,
        W. Gropp, "Optimization of collective communication operations in MPICH", 2005, section 4.5)."""
        if ranks == 1:
            return 0.0
        moved = 2 * (ranks - 1) / ranks * sum(buckets) / self.bandwidth
        return moved + 2 * math.ceil(math.log2(ranks)) * self.latency * len(buckets)


def efficiency(step: float, exchange: float, exposed: float) -> float:
    """Of a rank whose step takes so long alone, beside an exchange of which that share is exposed, and besides all that
    is longer than backward."""
    return step / (step + max(exposed * exchange, exchange - BACKWARD_SHARE * step))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    shared.add_shapes(parser, batch_size=128)
    parser.add_argument("--repeats", type=at_least(1), default=15, metavar="N", help="turns of each, default 15")
    parser.add_argument("--bandwidth", type=rate, default=10.0, metavar="F",
                        help="of the network on paper, Gbit/s for each rank, default 10")
    parser.add_argument("--latency", type=rate, default=20.0, metavar="F", help="of its messages, us, default 20")
    shared.add_json(parser)


def ranks(images: int, image_size: int, repeats: int) -> dict[str, Any]:
    """What benchmarks.rank_steps finds. RuntimeError with what it said if it failed."""
    arguments = ["-m", "benchmarks.rank_steps", *map(str, (images, image_size, repeats))]
    found: dict[str, Any] = json.loads(launcher.run(RANKS, arguments))
    return found


def main(options: argparse.Namespace) -> int:
    """Measure, verify, print. Returns the exit status: 1 if ranks and process disagree."""
    screen = report.console()
    try:
        found = ranks(options.batch_size, options.image_size, options.repeats)
    except RuntimeError as error:
        screen.print(f"error: {error}", markup=False)
        return 1
    together, alone = (np.array(found["losses"][name])[:CHECKED_STEPS] for name in ("together", "alone"))
    if not np.allclose(together, alone, rtol=TOLERANCE, atol=0):
        screen.print(f"[bold red]WRONG[/]: {RANKS} ranks have losses {together}, one process has {alone}")
        return 1
    measured = Measured(**{name: statistics.median(found["seconds"][name]) for name in Measured._fields})
    buckets, network = found["bucket_bytes"], Network(options.bandwidth * 1e9 / 8, options.latency * 1e-6)
    size = f"{options.image_size}x{options.image_size}"
    screen.print(_measured_table(measured, buckets, f"batch {options.batch_size}, {size}"))
    rows = on_paper(measured, buckets, network, options.batch_size)
    screen.print(_paper_table(rows, options))
    if options.json:
        settings = {"machine": machine.describe(1, device.CPU), **shared.settings(options)}
        settings |= {"gigabits_per_second": options.bandwidth, "latency_microseconds": options.latency}
        figures = {"efficiency": measured.efficiency, "exposed": measured.exposed, "seconds": found["seconds"]}
        report.write(options.json, {**settings, **figures, "bucket_bytes": buckets, "on_paper": rows})
    return 0


def on_paper(measured: Measured, buckets: Sequence[int], network: Network, images: int) -> list[dict[str, Any]]:
    """For 1, 2, 4 ... MOST ranks: seconds of the exchange, and the efficiency where each rank has as many images as the
    ranks that were measured, and where they share out one batch of so many (None if it has fewer images than ranks)."""
    one_rank = measured.together - measured.waited
    rows = []
    for power in range(int(math.log2(MOST)) + 1):
        count = 2**power
        exchange = network.seconds(count, buckets)
        shared_out = one_rank * RANKS / count
        rows.append({
            "ranks": count, "exchange": exchange, "own_batch": efficiency(one_rank, exchange, measured.exposed),
            "one_batch": efficiency(shared_out, exchange, measured.exposed) if count <= images else None,
        })  # fmt: skip
    return rows


def _measured_table(measured: Measured, buckets: Sequence[int], title: str) -> Table:
    table = Table("", title=f"{RANKS} ranks of 1 thread, 1 process of {RANKS}; GoogLeNet, {title}")
    table.add_column("measured", justify="right")
    for name, value in (
        ("step, one process", f"{measured.alone * 1e3:,.1f} ms"),
        (f"step, {RANKS} ranks", f"{measured.together * 1e3:,.1f} ms"),
        ("efficiency: the first / the second", f"{measured.efficiency:.2f}"),
        ("gradients a step and rank", f"{sum(buckets) / 1e6:,.1f} MB in {len(buckets)} buckets"),
        ("their sums, with nothing else to do", f"{measured.exchange * 1e3:,.1f} ms"),
        ("of that not hidden behind backward", f"{measured.waited * 1e3:,.1f} ms, {measured.exposed:.0%}"),
    ):
        table.add_row(name, value)
    return table


def _paper_table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> Table:
    each = -(-options.batch_size // RANKS)
    table = Table(
        title=f"a model on paper: {options.bandwidth:g} Gbit/s a rank, {options.latency:g} us a message",
        caption="Arithmetic from the figures above, and no measurement: ranks as fast as these, nobody late, a network "
        "that all can use at once.",
    )
    for heading in ("ranks", "exchange ms", f"efficiency, {each} images a rank", f"one batch of {options.batch_size}"):
        table.add_column(heading, justify="right")
    for row in rows:
        one = "-" if row["one_batch"] is None else f"{row['one_batch']:.2f}"
        table.add_row(f"{row['ranks']:,}", f"{row['exchange'] * 1e3:,.1f}", f"{row['own_batch']:.2f}", one)
    return table
