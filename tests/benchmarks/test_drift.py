"""The drift command: what it runs, and that it tells ranks that do not begin as one process does."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import drift, launcher
from benchmarks.__main__ import main
from minigrad.data import fashion_mnist
from tests import cut
from tests.minigrad.parallel.launched import NEEDS_MPI

QUICK = drift.Task(epochs=1, images=24, batch_size=2, image_size=16)


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "FILES", cut.FILES)
    monkeypatch.setenv("MINIGRAD_DATA", str(cut.FOLDER))
    monkeypatch.setenv("MINIGRAD_BACKEND", "reference")
    monkeypatch.setattr(drift, "PROGRAM", ["-m", "tests.minigrad.parallel.program", "googlenet"])
    monkeypatch.setattr(drift, "Task", lambda epochs: QUICK)


@NEEDS_MPI
def test_all_losses_begin_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PyTorch's, too: they have the same weights, images and order."""
    assert main(["drift", "--seeds", "1", "--json", str(tmp_path / "drift.json")]) == 0
    rows = json.loads((tmp_path / "drift.json").read_text())["distances"]
    assert rows.keys() == {" and ".join(pair) for pair in drift.WITH_TORCH}
    assert all(0 < row["first"] < drift.TOLERANCE for row in rows.values())
    said = capsys.readouterr().out
    assert "one process and 4 ranks" in said
    assert "WRONG" not in said


def test_ranks_that_begin_otherwise_are_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drift, "losses", lambda ranks, task, seed: np.full(task.steps, 1 + 1e-3 * (ranks == 4)))
    assert main(["drift", "--seeds", "2"]) == 1
    said = capsys.readouterr().out
    assert "WRONG: 4 ranks are 1.0e-03 from one process in the first 3 steps" in said
    assert said.count("WRONG") == 1


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MINIGRAD_BACKEND", "nonsense")
    assert main(["drift"]) == 1
    assert "given 'nonsense', expected one of" in capsys.readouterr().out


def test_without_a_launcher_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "mpiexec", lambda: None)
    with pytest.raises(RuntimeError, match="there is no mpiexec"):
        launcher.run(2, ["-c", "pass"])
    assert launcher.run(0, ["-c", "print(3)"]) == "3\n"


def test_what_is_typical_is_the_geometric_mean() -> None:
    """Ten first steps, then 1e-6 and 1e-2."""
    figures = drift.summary(np.array([[3e-5] + [0.0] * 9 + [1e-6, 1e-2]]))
    assert figures == pytest.approx({"first": 3e-5, "typical": 1e-4, "median": (1e-6 + 1e-2) / 2, "largest": 1e-2})
