"""`train --tensorboard`: what the event files have, beside what the run's own have."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.commands import run
from minigrad.training import tensorboard
from minigrad.training.progress import Reporter
from tests.minigrad.event_files import in_json, points
from tests.small_net import SmallNet

OPTIONS = ("--image-size", "28", "--batch-size", "40", "--test-limit", "40", "--epochs", "2", "--train-limit", "160")

pytestmark = pytest.mark.usefixtures("cut_data")

def test_what_tensorboard_shows_is_what_the_run_notes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(SmallNet, [*OPTIONS, "--device", "cpu", "--out", str(out), "--tensorboard"]) == 0
    shown, beginnings = points(out)
    assert {"step/loss", "step/accuracy", "step/lr", "epoch/train_loss", "epoch/test_accuracy"} <= shown.keys()
    assert shown == in_json(out)
    assert [*shown["step/loss"]] == [*range(1, 9)]
    assert [*shown["epoch/test_loss"]] == [4, 8]
    assert beginnings == [1]


@pytest.mark.parametrize("when", ["epoch 2", "test"])
def test_a_resumed_run_adds_no_point_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    """It is killed where its file has points that no checkpoint covers, and stopped in a test."""
    out = tmp_path / "run"
    show = Reporter.show

    def interrupt(self: Reporter, done: int, text: str) -> None:
        show(self, done, text)
        if self.title.startswith(when):
            if when == "test":
                os.kill(os.getpid(), signal.SIGINT)
            elif done == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "show", interrupt)
        command = [*OPTIONS, "--device", "cpu", "--log-every", "1", "--out", str(out), "--tensorboard"]
        assert run(SmallNet, command) == 130
    begun, _ = points(out)
    assert max(begun["step/loss"]) == {"epoch 2": 6, "test": 4}[when]
    assert ("--tensorboard" in capsys.readouterr().out) == (when == "test"), "how to go on"
    assert run(SmallNet, ["--device", "cpu", "--resume", str(out), "--tensorboard"]) == 0
    shown, beginnings = points(out)
    assert shown == in_json(out)
    assert [*shown["step/loss"]] == [*range(1, 9)]
    assert beginnings == [1, 5]


def test_without_the_library_it_is_one_line_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert run(SmallNet, [*OPTIONS, "--device", "cpu", "--out", str(tmp_path / "run"), "--tensorboard"]) == 1
    assert capsys.readouterr().err == (
        "error: --tensorboard: tensorboardX is not installed: pip install -e '.[tensorboard]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_what_is_written_is_soon_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lest TensorBoard lags behind, or a kill takes more than a second's points."""
    now = 100.0
    monkeypatch.setattr("time.time", lambda: now)
    board = tensorboard.Board(tmp_path, 0)
    board.add("step", {"step": 1, "loss": 0.5})
    assert points(tmp_path)[0] == {}
    now = 101.0
    board.add("step", {"step": 2, "loss": 0.25})
    assert points(tmp_path)[0] == {"step/loss": {1: 0.5, 2: 0.25}}
    board.add("step", {"step": 3, "loss": 0.125})
    board.close()
    assert points(tmp_path)[0] == {"step/loss": {1: 0.5, 2: 0.25, 3: 0.125}}


def test_a_disk_that_is_full_for_a_while_costs_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real ones are in test_run_files.py; here it takes a part of a message, of many more than a buffer holds."""
    monkeypatch.setattr(tensorboard, "FLUSH_SECONDS", 0.0)
    board = tensorboard.Board(tmp_path, 0)
    (path,) = tmp_path.iterdir()
    _, usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, usual))
        for step in range(1, 1001):
            with pytest.raises(OSError, match="File too large"):
                board.add("step", {"step": step, "loss": step / 2})
        assert points(tmp_path)[0] == {}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, usual))
    board.add("step", {"step": 1001, "loss": 500.5})
    assert points(tmp_path)[0] == {"step/loss": {step: step / 2 for step in range(1, 1002)}}


def test_the_library_does_not_bring_pytorch_in() -> None:
    """tensorboardX imports it if it is there, which would cost seconds and hundreds of megabytes."""
    code = (
        "import sys; from minigrad.training import tensorboard as t; t.check(); "
        "print([name for name in ('torch', 'tensorboardX') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "['tensorboardX']\n"
