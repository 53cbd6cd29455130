"""What a user with a card runs: what it reports, that a failing part stops no other, what it says without a card."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check
from benchmarks.__main__ import main
from minigrad.commands import run
from minigrad.data import FashionMNIST
from minigrad.training import metrics
from tests import on_card
from tests.minigrad.test_device import MISSING
from tests.small_net import SmallNet

pytestmark = on_card.NEEDS_GPP
Check = Callable[..., tuple[int, str]]
PARTS = ("the machine", "the tests", "training beside the CPU", "kernels", "steps")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The processes that the check has started, all of which are well: none of them is real, which takes minutes."""
    asked: list[tuple[str, ...]] = []

    def python(*arguments: str) -> tuple[int, str]:
        asked.append(arguments)
        if "googlenet.py" in arguments:
            run = Path(arguments[arguments.index("--out") + 1])
            run.mkdir()
            for step in range(1, 13):
                metrics.append(run / metrics.STEPS, {"step": step, "loss": 1 / step})
            metrics.append(run / metrics.EPOCHS, {"epoch": 1, "test_loss": 0.25, "images_per_second": 1234.5})
        if "--json" in arguments:
            Path(arguments[-1]).write_text(json.dumps({"figure of": arguments[2]}))
        return 0, "".join(f"line {number} of {arguments[-1]}\n" for number in range(300))

    monkeypatch.setattr(gpu_check, "python", python)
    return asked


@pytest.fixture
def check(card: Any, asked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the check, and gives its exit status and its report."""

    def run() -> tuple[int, str]:
        path = tmp_path / "report.md"
        status = main(["gpu-check", "--report", str(path)])
        assert f"all of it is in {path}" in capsys.readouterr().out
        return status, path.read_text()

    return run


def results(report: str) -> dict[str, str]:
    """What the table at the report's head says of each part."""
    rows = [line.strip("| ").split(" | ") for line in report.splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in rows if row[0] in PARTS}


def test_all_is_well(check: Check, asked: list[tuple[str, ...]]) -> None:
    status, report = check()
    assert status == 0
    assert results(report) == dict.fromkeys(PARTS, "well")
    for words in (
        '"name": "Stand-in 4000"', '"cuda_of_the_driver": "13.0"', "line 299 of --tb=short",
        "| loss of step 10 | 0.1000000 | 0.1000000 |", "| images_per_second | 1234.5 | 1234.5 |",
        "differ by at most 0.0e+00", '{"figure of": "kernels"}', '{"figure of": "train-step"}',
    ):  # fmt: skip
        assert words in report
    assert "line 0 of --tb=short" not in report
    assert "loss of step 11" not in report
    assert [arguments[:3] for arguments in asked] == [
        ("-m", "pytest", "-rfE"), ("googlenet.py", "--device", "cpu"), ("googlenet.py", "--device", "gpu"),
        ("-m", "benchmarks", "kernels"), ("-m", "benchmarks", "train-step"),
    ]  # fmt: skip
    assert all("--device gpu" in " ".join(arguments) for arguments in asked[2:])


@pytest.mark.parametrize(
    ("words", "part"),
    [(("-m", "pytest"), 1), (("--device", "gpu", "--out"), 2), (("benchmarks", "kernels"), 3), (("train-step",), 4)],
)
def test_a_process_that_fails(check: Check, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], part: int) -> None:
    right = gpu_check.python

    def python(*arguments: str) -> tuple[int, str]:
        if " ".join(words) in " ".join(arguments):
            return 3, "what went wrong\n"
        return right(*arguments)

    monkeypatch.setattr(gpu_check, "python", python)
    status, report = check()
    assert status == 1
    assert results(report) == dict.fromkeys(PARTS, "well") | {PARTS[part]: "FAILED"}
    assert f"## {PARTS[part]}: FAILED" in report
    assert "what went wrong" in report


def test_an_error_is_in_the_report(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check.machine, "describe", lambda used, place: 1 / 0)
    status, report = check()
    assert status == 1
    assert results(report) == dict.fromkeys(PARTS, "well") | {"the machine": "FAILED"}
    assert "ZeroDivisionError: division by zero" in report


@pytest.mark.parametrize(("change", "is_well"), [(1 + 5e-5, True), (1 - 2e-4, False), (float("nan"), False)])
def test_losses_that_differ(
    asked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: float, is_well: bool
) -> None:
    """The seventh may be off by 1e-4 of it; the eleventh by more."""
    read = metrics.read

    def changed(path: Path) -> list[dict[str, Any]]:
        records = read(path)
        if path.parent.name == "gpu" and path.name == metrics.STEPS:
            records[6]["loss"] *= change
            records[10]["loss"] *= 2
        return records

    monkeypatch.setattr(metrics, "read", changed)
    assert gpu_check.training(tmp_path)[0] == is_well


def test_the_options_are_those_of_the_training_command(
    card: Any, cut_data: FashionMNIST, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On fewer and smaller images, and a small network: tests/test_gpu_training.py trains GoogLeNet."""
    small = ("--image-size", "32", "--batch-size", "2", "--train-limit", "22", "--test-limit", "2")

    def python(program: str, *arguments: str) -> tuple[int, str]:
        assert program == "googlenet.py"
        return run(SmallNet, [*arguments, *small]), "printed"

    monkeypatch.setattr(gpu_check, "python", python)
    is_well, text = gpu_check.training(tmp_path)
    assert is_well, text
    for name in ("train_loss", "test_loss", "images_per_second"):
        assert f"| {name} |" in text


def test_processes_are_shown_and_kept(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(5)"
    assert gpu_check.python("-c", code) == (5, "one\ntwo\n")
    assert capfd.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize(("cupy", "message"), MISSING)
def test_without_a_card_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, cupy: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    report = tmp_path / "report.md"
    assert main(["gpu-check", "--report", str(report)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("error: ")
    assert not report.exists()
    assert re.search(message, printed.err)
