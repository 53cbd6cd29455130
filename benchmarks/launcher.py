"""The launcher of ranks."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mpiexec() -> str | None:
    """Its path: beside this Python, whose mpi4py belongs to it, or else wherever there is one."""
    return shutil.which("mpiexec", path=f"{Path(sys.executable).parent}") or shutil.which("mpiexec")


def run(ranks: int, arguments: Sequence[str]) -> str:
    """What `python ARGUMENTS` prints on so many ranks, 0 for without the launcher. RuntimeError if it fails."""
    command = [sys.executable, *arguments]
    if ranks:
        found = mpiexec()
        if found is None:
            raise RuntimeError("there is no mpiexec: pip install -e '.[mpi]'")
        command = [found, "-n", str(ranks), *command]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {result.stderr.strip()}")
    return result.stdout
