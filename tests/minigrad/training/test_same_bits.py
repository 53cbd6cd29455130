"""The same command gives the same bits in every weight: five runs, each made in four other ways."""

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from minigrad.commands import run
from minigrad.training import loop
from tests.minigrad.same_run import assert_same_run
from tests.minigrad.training import five_runs

ROOT = Path(__file__).parents[3]


def _command(out: Path) -> list[str]:
    return [sys.executable, "-m", "tests.minigrad.training.five_runs", str(out)]


@pytest.fixture(scope="module")
def all_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five runs as another program makes them."""
    out = tmp_path_factory.mktemp("once")
    subprocess.run(_command(out), cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "1"}, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def all_on_a_terminal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So they are made with bars of progress, which are drawn at other times than lines are printed."""
    out = tmp_path_factory.mktemp("on a terminal")
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                seen.extend(part)
        except OSError:  # the terminal's other end is closed
            pass

    environment = {**os.environ, "PYTHONHASHSEED": "2", "TERM": "xterm-256color"}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(_command(out), cwd=ROOT, env=environment, **streams) as program:
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
    reader.join()
    os.close(ours)
    assert program.returncode == 0, seen.decode(errors="replace")
    assert b"\x1b[" in seen  # a bar was drawn
    return out


@pytest.fixture
def once(all_once: Path, name: str) -> Path:
    """The run of that name, made by another program."""
    return all_once / name


pytestmark = [pytest.mark.usefixtures("cut_data"), pytest.mark.parametrize("name", five_runs.RUNS)]


def test_again(name: str, once: Path, tmp_path: Path) -> None:
    assert five_runs.make(name, tmp_path) == 0
    assert_same_run(once, tmp_path)


def test_with_a_terminal(name: str, once: Path, all_on_a_terminal: Path) -> None:
    assert_same_run(once, all_on_a_terminal / name)


def test_on_one_thread(name: str, once: Path, tmp_path: Path) -> None:
    assert five_runs.make(name, tmp_path, "--threads", "1") == 0
    assert_same_run(once, tmp_path)


def test_resumed_in_the_midst_of_an_epoch(
    name: str, once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off in step 4 without a word, so that it goes on from the checkpoint after step 2."""
    step = loop.Trainer._step

    def broken_off(trainer: loop.Trainer, *batch: Any) -> None:
        if trainer.position.step == 3:
            raise KeyboardInterrupt
        step(trainer, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_step", broken_off)
        assert five_runs.make(name, tmp_path / "run") == 130
    assert run(five_runs.RUNS[name].builder, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 0
    assert_same_run(once, tmp_path / "run")
