"""Peak memory: a mark of the process itself, and processes of their own that do not know each other."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import competitors, launcher, peak_memory

MIB = 1 << 20
SMALL = ("2", "32", "1", "0")


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=launcher.ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_the_peak_rises_with_what_is_used_and_stays() -> None:
    code = (
        "import numpy as np; from benchmarks.peak_memory import peak; before = peak(); "
        "array = np.ones(64 << 20, np.uint8); during = peak(); del array; print(during - before, peak() - during)"
    )
    rise, later = map(int, python(code).split())
    assert 63 * MIB < rise < 80 * MIB
    assert abs(later) < MIB  # Linux counts in steps


def test_a_large_parent_does_not_count() -> None:
    """In `ru_maxrss` it would."""
    large = np.ones(1024 * MIB, np.uint8)
    assert int(python("from benchmarks.peak_memory import peak; print(peak())")) < 400 * MIB < large.nbytes


def test_training_minigrad_does_not_load_pytorch() -> None:
    arguments = [competitors.own_name("cpu"), *SMALL]
    code = f"import sys; from benchmarks.peak_memory import main; main({arguments}); print('torch' in sys.modules)"
    marks, loaded = python(code).splitlines()
    before, total = map(int, marks.split())
    assert 10 * MIB < before < total
    assert loaded == "False"


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGRAD_BACKEND", "nonsense")
    with pytest.raises(RuntimeError, match="given 'nonsense', expected one of"):
        peak_memory.measure("minigrad", 2, 32, 1)
