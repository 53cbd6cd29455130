"""The training-step benchmark on two small images."""

import json
from pathlib import Path

import pytest

from benchmarks import train_step
from benchmarks.__main__ import main

OPTIONS = ("train-step", "--batch-size", "2", "--image-size", "32", "--repeats", "1")


def test_both_layouts_of_pytorch_agree_with_minigrad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    path = tmp_path / "figures.json"
    assert main([*OPTIONS, "--json", str(path)]) == 0
    assert json.loads(path.read_text())["milliseconds"].keys() > {"PyTorch", "PyTorch channels_last"}
    assert "PyTorch channels_last" in capsys.readouterr().out


def test_losses_that_disagree_are_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(train_step, "torch_step", lambda *_: lambda: 2.3)
    monkeypatch.setattr(train_step, "own_step", lambda *_: lambda: 2.3 * (1 + 2 * train_step.TOLERANCE))
    assert main(list(OPTIONS)) == 1
    assert "WRONG" in capsys.readouterr().out
