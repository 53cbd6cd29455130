"""The evaluate and summary commands."""

import json
from pathlib import Path

import pytest

import googlenet
from minigrad.commands import run
from tests.small_net import SmallNet

pytestmark = pytest.mark.usefixtures("cut_data")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    out = tmp_path / "run"
    assert run(SmallNet, ["--device", "cpu", "--image-size", "28", "--out", str(out)]) == 0
    return out


def test_evaluate_repeats_the_last_test_of_the_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((trained / "metrics.jsonl").read_text())
    capsys.readouterr()
    assert run(SmallNet, ["evaluate", str(trained), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert f"loss {record['test_loss']:.4f}, accuracy {record['test_accuracy']:.4f} on 200 images" in text
    assert "Ankle boot" in text


def test_evaluate_says_what_is_wrong(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SmallNet, ["evaluate", str(tmp_path / "nowhere")]) == 1
    assert "expected the folder of a training run" in capsys.readouterr().err
    (trained / "checkpoint.safetensors").write_bytes(b"broken")
    assert run(SmallNet, ["evaluate", str(trained), "--device", "cpu"]) == 1
    assert "not a readable safetensors file" in capsys.readouterr().err


def test_summary_prints_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert googlenet.main(["summary", "--image-size", "224", "--in-channels", "3", "--num-classes", "1000"]) == 0
    text = capsys.readouterr().out
    for part in ("64 x 112 x 112", "192 x 28 x 28", "1024 x 7 x 7", "1024 x 1 x 1", "6,998,552"):
        assert part in text
