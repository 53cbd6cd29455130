"""`import minigrad` is quick, brings in nothing heavy, and notices a foreign package named `kernels`."""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ["numba", "cupy", "matplotlib", "torch", "requests", "rich", "scipy", "safetensors", "filelock", "platformdirs"]


def python(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter that finds packages in `paths` first, then in the project."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, ROOT]))}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=(*paths, ROOT)[0], capture_output=True, text=True, check=False)


def test_import_takes_less_than_300_milliseconds() -> None:
    code = "import time; start = time.process_time(); import minigrad; print(time.process_time() - start)"
    seconds = [float(python(code).stdout) for _ in range(5)]
    assert statistics.median(seconds) < 0.3, seconds


@pytest.mark.parametrize("module", ["minigrad", "googlenet"])
def test_import_brings_in_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code).stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["minigrad.tensor", "minigrad.function", "minigrad.ops", "minigrad.nn.init"])
def test_any_module_may_be_imported_first(module: str) -> None:
    result = python(f"import {module}")
    assert result.returncode == 0, result.stderr


def test_a_foreign_package_named_kernels_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("", encoding="utf-8")
    result = python("import minigrad", tmp_path)
    assert result.returncode != 0
    assert "ImportError: `kernels` was imported from" in result.stderr
    assert "which is not minigrad's: another package has that name" in result.stderr
    assert "pip install -e ." in result.stderr
