"""`python -m benchmarks gpu-check`: everything that only a machine with a card can show, in one report to send in.

Each part is a process of its own: an error on a card spoils all that the same process does on it afterwards.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from benchmarks import machine
from kernels import threads
from minigrad import device
from minigrad.training import metrics

ROOT = Path(__file__).parents[1]
STEPS, BATCH_SIZE, TEST_IMAGES = 200, 64, 2000
TRAINING = (
    "--train-limit", str(STEPS * BATCH_SIZE), "--batch-size", str(BATCH_SIZE), "--test-limit", str(TEST_IMAGES),
    "--optimizer", "sgd", "--lr", "3e-4", "--epochs", "1", "--seed", "0",
)  # fmt: skip
COMPARED, TOLERANCE = 10, 1e-4
"""So many losses from the beginning must be the CPU's, but for a share; later ones drift apart, as rounding adds up."""
LAST_LINES = 200
"""Of pytest's, which end with its failures."""


class Part(NamedTuple):
    """What a part of the check found. text: in Markdown."""

    title: str
    is_well: bool
    text: str

    @property
    def result(self) -> str:
        """In a word."""
        return "well" if self.is_well else "FAILED"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument(
        "--report", type=Path, default=Path("gpu-check.md"), metavar="FILE", help="default gpu-check.md"
    )


def main(options: argparse.Namespace) -> int:
    """Check, write the report. Returns the exit status: 1 if a part was not well."""
    missing = device.missing_for_gpu()
    if missing:
        raise device.DeviceError(missing)
    screen = Console(highlight=False, soft_wrap=True)
    parts: list[Part] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checks: dict[str, Callable[[], tuple[bool, str]]] = {
            "the machine": the_machine,
            "the tests": the_tests,
            "training beside the CPU": lambda: training(folder),
            "kernels": lambda: figures("kernels", folder),
            "steps": lambda: figures("train-step", folder),
        }
        for title, check in checks.items():
            screen.rule(title)
            parts.append(checked(title, check))
            options.report.write_text(markdown(parts), encoding="utf-8")  # what is found so far survives Ctrl-C
    screen.rule()
    for part in parts:
        screen.print(f"{part.title}: {part.result}")
    screen.print(f"all of it is in {options.report}")
    return 0 if all(part.is_well for part in parts) else 1


def checked(title: str, check: Callable[[], tuple[bool, str]]) -> Part:
    """Run one part. An error makes it fail, and the others go on."""
    try:
        return Part(title, *check())
    except Exception:  # whatever it is, it belongs into the report
        return Part(title, False, _block(traceback.format_exc()))


def python(*arguments: str) -> tuple[int, str]:
    """Run Python with these arguments in the project's folder, and show what it prints: exit status and print."""
    printed = []
    command = [sys.executable, "-u", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            printed.append(line)
    return process.returncode, "".join(printed)


def the_machine() -> tuple[bool, str]:
    """The card, its driver, and all versions."""
    return True, _block(json.dumps(machine.describe(threads.available(), "gpu"), indent=1))


def the_tests() -> tuple[bool, str]:
    """The whole suite, of which some tests run only where there is a card."""
    status, printed = python("-m", "pytest", "-rfE", "--tb=short")
    return status == 0, _block("\n".join(printed.splitlines()[-LAST_LINES:]))


def training(folder: Path) -> tuple[bool, str]:
    """STEPS steps on the card and on the CPU, from the same seed."""
    runs = {"cpu": folder / "cpu", "gpu": folder / "gpu"}
    for place, run in runs.items():
        status, printed = python("googlenet.py", "--device", place, "--out", str(run), *TRAINING)
        if status:
            return False, f"`--device {place}` ended with status {status}.\n\n{_block(printed)}"
    losses = [[record["loss"] for record in metrics.read(run / metrics.STEPS)] for run in runs.values()]
    errors = [abs(gpu / cpu - 1) for cpu, gpu in zip(*losses, strict=True)]
    largest = float(np.max(errors[:COMPARED]))
    rows = [
        "| | " + " | ".join(runs) + " |", "|---" * (1 + len(runs)) + "|",
        *(f"| loss of step {step + 1} | {losses[0][step]:.7f} | {losses[1][step]:.7f} |" for step in range(COMPARED)),
    ]  # fmt: skip
    cpu, gpu = (metrics.read(run / metrics.EPOCHS)[-1] for run in runs.values())
    rows += [f"| {name} | {cpu[name]:.7g} | {gpu[name]:.7g} |" for name in cpu if name not in ("epoch", "step")]
    verdict = f"The first {COMPARED} losses differ by at most {largest:.1e} of the CPU's; {TOLERANCE:g} is allowed."
    return largest <= TOLERANCE, "\n".join([verdict, "", *rows, ""])


def figures(command: str, folder: Path) -> tuple[bool, str]:
    """One of the benchmarks on the card, which verifies before it times."""
    path = folder / f"{command}.json"
    status, printed = python("-m", "benchmarks", command, "--device", "gpu", "--json", str(path))
    text = _block(printed)
    if path.exists():
        dense = json.dumps(json.loads(path.read_text(encoding="utf-8")))
        text += f"\n<details><summary>all figures</summary>\n\n{_block(dense)}\n</details>\n"
    return status == 0, text


def markdown(parts: Sequence[Part]) -> str:
    """The report."""
    results = [f"| {part.title} | {part.result} |" for part in parts]
    texts = [f"## {part.title}: {part.result}\n\n{part.text}" for part in parts]
    return "\n".join(["# minigrad on a card", "", "| part | result |", "|---|---|", *results, "", *texts])


def _block(text: str) -> str:
    return f"````\n{text.strip()}\n````\n"
