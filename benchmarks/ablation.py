"""`python -m benchmarks ablation`: what each part of `--recipe best` is worth, on images held out of training.

A short run for every part that is left out or exchanged, the same but for that. Test images are not looked at. What is
done already is not done again, so it may be stopped at any time.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import googlenet
from benchmarks import machine
from kernels import threads
from minigrad import device
from minigrad.commands.arguments import at_least
from minigrad.training import metrics

RESULTS = Path("benchmarks/results/ablation.jsonl")
SHORT = ("--recipe", "best", "--hold-out", "5000", "--device", "cpu", "--log-every", "1000000")
CHANGES: dict[str, tuple[str, ...]] = {
    "best": (),
    "another seed": ("--seed", "1"),
    "without batch normalisation": ("--norm", "none", "--lr", "0.01"),
    "without mirrored images": ("--no-flip",),
    "without shifts": ("--shift", "0"),
    "crops of half the area and more for shifts": ("--shift", "0", "--crop", "0.5"),
    "without holes": ("--erase", "0"),
    "without label smoothing": ("--label-smoothing", "0"),
    "without weight decay": ("--weight-decay", "0"),
    "without dropout": ("--dropout", "0"),
    "half the learning rate": ("--lr", "0.05"),
    "AdamW at 0.002 for SGD": ("--optimizer", "adamw", "--lr", "0.002", "--weight-decay", "0.05"),
    "auxiliary classifiers": ("--aux", "--image-size", "65"),
    "images of 48x48": ("--image-size", "48"),
    "images of 96x96": ("--image-size", "96"),
}
"""What is changed, and the options that do it. The averaged weights and the raw ones come out of the same run."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument("--epochs", type=at_least(1), default=10, metavar="N", help="of each run, default 10")
    parser.add_argument("--train-limit", type=at_least(1), default=15000, metavar="N",
                        help="training images of each run, default 15000")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE",
                        help=f"where the results are kept, a line each; default {RESULTS}")
    parser.add_argument("--only", nargs="+", choices=CHANGES, metavar="NAME", help=f"of {', '.join(CHANGES)}")


def main(options: argparse.Namespace) -> int:
    """Train what is not in the file yet, then print all that is. Returns the exit status."""
    console = Console()
    length = ("--epochs", str(options.epochs), "--train-limit", str(options.train_limit))
    for name in options.only or CHANGES:
        if name in {record["name"] for record in metrics.read(options.json)}:
            continue
        console.print(f"{name}: {' '.join(CHANGES[name]) or 'the recipe as it is'}")
        arguments = [*SHORT, *length, *CHANGES[name]]
        last = train(arguments)
        if last is None:
            return 1
        made = machine.describe(threads.available(), device.CPU)
        metrics.append(options.json, {"name": name, "arguments": arguments, **last, "machine": made})
    print_table(console, metrics.read(options.json))
    return 0


def train(arguments: Sequence[str]) -> dict[str, Any] | None:
    """Run googlenet.py; what its last epoch came to, with the seconds of all of them, or None if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        if googlenet.main([*arguments, "--out", str(run)]) != 0:
            return None
        epochs = metrics.read(run / metrics.EPOCHS)
        return {**epochs[-1], "seconds": sum(epoch["seconds"] for epoch in epochs)}


def print_table(console: Console, records: Sequence[dict[str, Any]]) -> None:
    """A line a run: accuracies in per cent on the held-out images, and how far above or below the recipe's."""
    table = Table("change", title="accuracy on held-out images, %")
    for column in ("averaged", "", "raw", "", "seconds"):
        table.add_column(column, justify="right")
    base = next((record for record in records if record["name"] == "best"), None)
    for record in records:
        cells = []
        for key in ("averaged_validation_accuracy", "validation_accuracy"):
            difference = f"{100 * (record[key] - base[key]):+.2f}" if base else ""
            cells += [f"{100 * record[key]:.2f}", difference]
        table.add_row(record["name"], *cells, f"{record['seconds']:.0f}")
    console.print(table)
