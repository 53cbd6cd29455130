"""A run's folder through kills, full and broken disks, and damaged files: nothing is lost that was saved."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.commands import run
from minigrad.training import checkpoint
from tests.minigrad.same_run import assert_same_run
from tests.minigrad.training.interrupted import BROKEN, OPTIONS
from tests.small_net import SmallNet

ROOT = Path(__file__).parents[3]
KILLS = 50


def interrupted(*arguments: str | int | Path, alone: bool = False) -> subprocess.CompletedProcess[str]:
    """tests.minigrad.training.interrupted, with the same results on one thread; alone: with file systems of its own."""
    command = [sys.executable, "-m", "tests.minigrad.training.interrupted", *map(str, arguments)]
    chosen = {"MINIGRAD_BACKEND": "reference", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    wrapped = ["unshare", "--map-root-user", "--mount", *command] if alone else command
    return subprocess.run(wrapped, env=os.environ | chosen, cwd=ROOT, capture_output=True, text=True, timeout=400)


def can_mount() -> bool:
    """Whether a process may have file systems of its own here."""
    if not shutil.which("unshare"):
        return False
    command = ["unshare", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_fifty_of_fifty_killed_runs_end_with_the_same_bits(tmp_path: Path) -> None:
    """Every third in the midst of a save, the others at any moment."""
    result = interrupted("killed", tmp_path, KILLS)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["same"] == KILLS
    assert found["in_saves"] >= 12
    assert found["killed"] >= 30  # a busy machine may be late, and find a run at its end


FAULTS = {"full": "No space left on device", "read-only": "Read-only file system", "limited": "File too large"}


def broken(fault: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    if fault != "limited" and not can_mount():
        pytest.skip("needs `unshare` and the right to mount a file system")
    return interrupted(fault, *arguments, alone=fault != "limited")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_breaks_for_a_while_costs_nothing(fault: str, tmp_path: Path) -> None:
    result = broken(fault, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    text = " ".join(result.stdout.split())
    # A full disk has room for a few lines where the file's last block has.
    for name in (checkpoint.NAME,) if fault == "full" else ("steps.jsonl", "TensorBoard's file", checkpoint.NAME):
        assert f"{name} is not written: " in text
    assert FAULTS[fault] in text
    saved = f"the last good checkpoint is {tmp_path / 'run' / checkpoint.NAME}, of step {BROKEN - 1}. The run goes on"
    assert saved.replace(" ", "") in text.replace(" ", "")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_disk_that_stays_broken_is_an_error_at_the_end(fault: str, tmp_path: Path) -> None:
    result = broken(fault, tmp_path, "for-ever")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: the run is at its end, but not all is written: ")
    assert FAULTS[fault] in line
    assert line.endswith(f"the last good checkpoint is {tmp_path / 'run' / checkpoint.NAME}, of step {BROKEN - 1}")


@pytest.mark.usefixtures("cut_data")
@pytest.mark.parametrize("damage", ["cut short", "a bit"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(name: str, *options: str) -> int:
        return run(SmallNet, [*OPTIONS, "--out", str(tmp_path / name), *options])

    assert start("whole") == 0
    assert start("run") == 0
    path = tmp_path / "run" / checkpoint.NAME
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content if damage == "a bit" else content[:-1])
    capsys.readouterr()
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("damaged: its content does not have the checksum" in printed) == (damage == "a bit")
    assert "it is set aside as" in printed
    assert path.with_suffix(".damaged").exists()
    assert_same_run(tmp_path / "whole", tmp_path / "run")
    previous = path.with_name(checkpoint.PREVIOUS)
    for each in (path, previous):
        each.write_bytes(b"")
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for each in (path, previous):
        assert f"{each}: not a readable safetensors file" in line
