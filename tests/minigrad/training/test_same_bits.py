"""The same command gives the same bits in every weight: five runs, each made in four other ways."""

import os
import pty
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from minigrad.commands import run
from minigrad.training import loop
from tests import background
from tests.minigrad.same_run import assert_same_run
from tests.minigrad.training import five_runs

ROOT = Path(__file__).parents[3]
folder = tempfile.TemporaryDirectory()
made: dict[str, Future[Path]] = {}
"""The five runs as other programs make them."""


def in_background(items: list[Any]) -> None:
    for how, make in {"once": _without_terminal, "on a terminal": _on_terminal}.items():
        made[how] = background.pool.submit(make, Path(folder.name) / how)


def _command(out: Path) -> list[str]:
    return [sys.executable, "-m", "tests.minigrad.training.five_runs", str(out)]


def _without_terminal(out: Path) -> Path:
    environment = {**background.environment, "PYTHONHASHSEED": "1"}
    subprocess.run(_command(out), cwd=ROOT, env=environment, check=True, capture_output=True)
    return out


def _on_terminal(out: Path) -> Path:
    """With bars of progress, which are drawn at other times than lines are printed."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                seen.extend(part)
        except OSError:  # the terminal's other end is closed
            pass

    environment = {**background.environment, "PYTHONHASHSEED": "2", "TERM": "xterm-256color"}
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
def once(request: pytest.FixtureRequest) -> Path:
    """The run of that name, made by another program."""
    return made["once"].result() / request.getfixturevalue("name")


pytestmark = [pytest.mark.usefixtures("cut_data"), pytest.mark.parametrize("name", five_runs.RUNS)]


def test_again(name: str, once: Path, tmp_path: Path) -> None:
    assert five_runs.make(name, tmp_path) == 0
    assert_same_run(once, tmp_path)


def test_with_a_terminal(name: str, once: Path) -> None:
    assert_same_run(once, made["on a terminal"].result() / name)


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
