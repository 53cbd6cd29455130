"""Starting several ranks from a test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.launcher import mpiexec

ROOT = Path(__file__).parents[3]
MPIEXEC = mpiexec()
NEEDS_MPI = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec: pip install -e '.[mpi]'")
LIMIT = 30.0
"""Seconds within which all ranks must have ended after one has."""
PROGRAM = "tests.minigrad.parallel.program"


def command(ranks: int, *arguments: str | int | Path, module: str = PROGRAM) -> list[str]:
    """The command line of `python -m MODULE ARGUMENTS` on so many ranks; 0 for without mpiexec."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    return [*launcher, sys.executable, "-m", module, *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    """That of the tests, with the reference backend, which is there at once, on one thread."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    chosen = {"MINIGRAD_BACKEND": "reference", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
    return os.environ | chosen | variables


def ranks(
    count: int, *arguments: str | int | Path, module: str = PROGRAM, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program on so many ranks to its end, which must have that status."""
    result = subprocess.run(
        command(count, *arguments, module=module), env=environment(**variables), cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == status, result.stdout + result.stderr
    return result


def children(launcher: int) -> list[int]:
    """The ranks that mpiexec has started; Hydra's proxy is between them."""
    found = [launcher]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return [process for process in found if b"parallel.program" in arguments_of(process) and process != launcher]


def arguments_of(process: int) -> bytes:
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
    return b"" if line.split(b"\0")[0].endswith((b"mpiexec", b"proxy")) else line


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
