"""`python -m benchmarks ablation`: what each part of `--recipe best` is worth, on images held out of training.

A short run for every part that is left out or exchanged, the same but for that and what it cannot do without, such as
a lower rate where nothing is normalised. Test images are not looked at. It may be stopped at any time: what is done
already is not done again, and the run that was stopped goes on from its checkpoint. What was done with another recipe
or other options is not counted. Chance makes much of what two runs differ by: --seeds does all with several, and each
is compared with the recipe's own run of the same seed.
"""

import argparse
import hashlib
import itertools
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import googlenet
from benchmarks import machine
from kernels import threads
from minigrad import device
from minigrad.commands import INTERRUPTED
from minigrad.commands.arguments import at_least
from minigrad.training import checkpoint, metrics
from minigrad.training.recipes import RECIPES
from minigrad.training.run_files import alone_in

RESULTS = Path("runs/ablation.jsonl")
HELD_OUT = 5000
UNFINISHED = Path("runs/ablation")
"""Where a run has its folder until it is done."""
Key = tuple[str, int]
"""A change's name, and the seed."""
PLAIN = ("--device", "cpu", "--log-every", "1000000")
SHORT = ("--recipe", "best", "--hold-out", str(HELD_OUT), *PLAIN)
CHANGES: dict[str, tuple[str, ...]] = {
    "best": (),
    "without batch normalisation": ("--norm", "none", "--lr", "0.001"),
    "with mirrored images": ("--flip",),
    "shifts twice as far": ("--shift", "2"),
    "without shifts": ("--shift", "0"),
    "crops of half the area and more for shifts": ("--shift", "0", "--crop", "0.5"),
    "without holes": ("--erase", "0"),
    "without label smoothing": ("--label-smoothing", "0"),
    "without weight decay": ("--weight-decay", "0"),
    "without dropout": ("--dropout", "0"),
    "without holes, smoothing and dropout": ("--erase", "0", "--label-smoothing", "0", "--dropout", "0"),
    "without shifts, holes, smoothing, decay and dropout": (
        "--shift", "0", "--erase", "0", "--label-smoothing", "0", "--weight-decay", "0", "--dropout", "0",
    ),
    "half the learning rate": ("--lr", "0.001"),
    "a constant learning rate": ("--schedule", "constant"),
    "momentum at 0.1 for AdamW": ("--optimizer", "sgd", "--lr", "0.1", "--weight-decay", "5e-4"),
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
    parser.add_argument("--image-size", type=at_least(1), metavar="N", help="pixels, default the recipe's")
    parser.add_argument("--seeds", nargs="+", type=at_least(0), default=[0], metavar="SEED", help="default 0")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE",
                        help=f"where the results are kept, a line each; default {RESULTS}")
    parser.add_argument("--only", nargs="+", choices=CHANGES, metavar="NAME", help=f"of {', '.join(CHANGES)}")


def main(options: argparse.Namespace) -> int:
    """Train what is not in the file yet, then print all that is. Returns the exit status."""
    console, status = Console(), 0
    length = ["--epochs", str(options.epochs), "--train-limit", str(options.train_limit)]
    if options.image_size:
        length += ["--image-size", str(options.image_size)]
    recipe = {name: value for name, value in RECIPES["best"].items() if name != "epochs"}
    runs: dict[Key, dict[str, Any]] = {
        (name, seed): {"name": name, "arguments": [*SHORT, *length, *change, *seeded(seed)], "recipe": recipe}
        for name, change in CHANGES.items()
        for seed in options.seeds
    }

    def done() -> dict[Key, dict[str, Any]]:
        """What is in the file of these runs."""
        records = metrics.read(options.json)
        return {key: record for key, run in runs.items() for record in records if run.items() <= record.items()}

    sys.argv[0] = "googlenet.py"  # a stopped run says what goes on with it by this name; benchmarks has no --resume
    for name, seed in itertools.product(options.only or CHANGES, options.seeds):
        run = runs[name, seed]
        if (name, seed) in done():
            continue
        console.print(f"{name}, seed {seed}: {' '.join(CHANGES[name]) or 'the recipe as it is'}")
        folder = UNFINISHED / hashlib.sha256(json.dumps(run).encode()).hexdigest()[:16]
        last = train(run["arguments"], folder)
        if last is None:
            status = 1
            continue
        made = machine.describe(threads.available(), device.CPU)
        metrics.append(options.json, {**run, **last, "machine": made})
        shutil.rmtree(folder)
    print_table(console, done())
    return status


def seeded(seed: int) -> tuple[str, ...]:
    """The options for a seed; none for the default."""
    return ("--seed", str(seed)) if seed else ()


def train(arguments: Sequence[str], run: Path) -> dict[str, Any] | None:
    """Run googlenet.py in this folder, or go on with what is there of that run.

    Returns what its last epoch came to, with the seconds of all of them, or None if it failed. KeyboardInterrupt if
    the user stopped it; ConfigError if another run is at work in the folder.
    """
    if (run / checkpoint.NAME).exists() or (run / checkpoint.PREVIOUS).exists():
        status = googlenet.main(["--resume", str(run), *PLAIN])
    else:
        with alone_in(run):
            shutil.rmtree(run, ignore_errors=True)  # killed in its first epoch, if it is there at all
        status = googlenet.main([*arguments, "--out", str(run)])
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status != 0:
        return None
    epochs = metrics.read(run / metrics.EPOCHS)
    return {**epochs[-1], "seconds": sum(epoch["seconds"] for epoch in epochs)}


def print_table(console: Console, records: Mapping[Key, dict[str, Any]]) -> None:
    """A line a run: accuracies in per cent on the held-out images, and how far above or below the recipe's of the same
    seed."""
    table = Table("change", title=f"accuracy on {HELD_OUT:,} held-out images, %")
    for column in ("seed", "averaged", "", "raw", "", "seconds"):
        table.add_column(column, justify="right")
    for (name, seed), record in records.items():
        base, cells = records.get(("best", seed)), [str(seed)]
        for key in ("averaged_validation_accuracy", "validation_accuracy"):
            difference = f"{100 * (record[key] - base[key]):+.2f}" if base else ""
            cells += [f"{100 * record[key]:.2f}", difference]
        table.add_row(name, *cells, f"{record['seconds']:.0f}")
    console.print(table)
    if shares := [record["averaged_validation_accuracy"] for (name, _), record in records.items() if name == "best"]:
        right = sum(shares) / len(shares)
        deviation = 100 * (right * (1 - right) / HELD_OUT) ** 0.5
        console.print(f"Which images are held out makes a standard deviation of {deviation:.2f}; seeds come on top.")
