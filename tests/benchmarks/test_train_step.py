"""The training-step benchmark on two small images."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import competitors, peak_memory, train_step
from benchmarks.__main__ import main
from benchmarks.peak_memory import PeakMemory
from kernels.layout import Array

OPTIONS = ("train-step", "--batch-size", "2", "--image-size", "32", "--repeats", "1")
NAMES = ("PyTorch", "PyTorch channels_last")


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that measure memory take seconds."""
    monkeypatch.setattr(peak_memory, "measure", lambda *_: PeakMemory(1 << 20, 2 << 20))


def test_everything_is_measured_and_written(
    no_processes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    path, picture, own = tmp_path / "figures.json", tmp_path / "steps.png", competitors.own_name("cpu")
    assert main([*OPTIONS, "--scaling", "--json", str(path), "--picture", str(picture)]) == 0
    written = json.loads(path.read_text())
    for kind in ("training", "inference"):
        milliseconds, fast = written["milliseconds"][kind], written["times_as_fast"][kind]
        assert milliseconds.keys() == {*NAMES, own}
        assert fast == {name: pytest.approx(milliseconds[name] / milliseconds[own]) for name in NAMES}
        assert sum(written["shares"][kind].values()) == pytest.approx(1)
        assert {"Conv2d 1x1", "MaxPool2d", "Linear", "rest"} <= written["shares"][kind].keys()
    assert "optimizer" in written["shares"]["training"]
    rate = written["training_gflop"] / written["milliseconds"]["training"][own] * 1e3
    assert written["training_gflops"] == pytest.approx(rate)
    assert written["share_of_peak"] == pytest.approx(rate / written["limits"]["gflops"])
    assert written["peak_memory"].keys() == {*NAMES, own}
    assert all(memory == {"before": 1 << 20, "total": 2 << 20} for memory in written["peak_memory"].values())
    assert written["scaling"]["step_gain"] > 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    for part in ("training step of GoogLeNet, batch 2", "inference step", "where the time goes", "thread scaling"):
        assert part in printed


def test_batch_normalisation_is_timed_beside_pytorchs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    measured = []
    monkeypatch.setattr(peak_memory, "measure", lambda *given: measured.append(given) or PeakMemory(1 << 20, 2 << 20))
    path = tmp_path / "figures.json"
    command = ["train-step", "--batch-size", "32", "--image-size", "64", "--repeats", "1", "--norm", "batch"]
    assert main([*command, "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert written["norm"] == "batch"
    assert all("BatchNorm" in shares for shares in written["shares"].values())
    assert [given[1:] for given in measured] == [(32, 64, measured[0][3], True)] * 3
    assert "training step of GoogLeNet with batch normalisation, batch 32" in capsys.readouterr().out


def test_a_batch_too_small_to_verify_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-step", "--batch-size", "31", "--image-size", "64", "--norm", "batch"]) == 1
    assert "--batch-size: given 31, expected a batch of 128 pixels or more" in capsys.readouterr().err


def test_without_pytorch(
    no_processes: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` raises ImportError
    assert main(list(OPTIONS)) == 0
    printed = capsys.readouterr().out
    assert "PyTorch is not installed" in printed
    assert "thread scaling" not in printed


class Fixed:
    """A competitor with fixed answers."""

    def __init__(self, loss: float = 2.3, logit: float = 1.0) -> None:
        self.loss, self.logits = loss, np.array([[1.0, logit]], np.float32)

    def set_training(self, training: bool) -> None:
        pass

    def train(self) -> float:
        return self.loss

    def infer(self) -> Array:
        return self.logits


OFF = 1 + 2 * train_step.TOLERANCE


@pytest.mark.parametrize(
    ("rival", "fault"),
    [(Fixed(loss=2.3 * OFF), "losses"), (Fixed(logit=OFF), "outputs"), (Fixed(loss=np.nan), "losses"), (Fixed(), None)],
)
def test_competitors_that_disagree_are_told(rival: Fixed, fault: str | None) -> None:
    faults = train_step.verify({"PyTorch": rival, "minigrad": Fixed()}, "minigrad")
    assert len(faults) == (fault is not None)
    assert all(fault in line and line.startswith("PyTorch: ") for line in faults if fault)


def test_what_disagrees_is_not_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def build(*_: Any) -> dict[str, Fixed]:
        return {"PyTorch": Fixed(loss=3.0), competitors.own_name("cpu"): Fixed()}

    monkeypatch.setattr(competitors, "build", build)
    assert main(list(OPTIONS)) == 1
    assert "WRONG: PyTorch: the losses" in capsys.readouterr().out
