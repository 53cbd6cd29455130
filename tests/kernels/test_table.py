"""The kernel table: complete, the same everywhere, chosen in one place, and independent of minigrad."""

import contextvars
import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import kernels

ALL = [(family, kernel) for family, names in kernels.TABLE.items() for kernel in names]
X = np.zeros(1, np.float32)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter that sees this clone."""
    root = Path(kernels.__file__).parents[1]
    inherited = {name: value for name, value in os.environ.items() if name != "MINIGRAD_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", kernels.BACKENDS)
@pytest.mark.parametrize(("family", "kernel"), ALL)
def test_every_backend_has_every_kernel_with_the_references_signature(name: str, family: str, kernel: str) -> None:
    served = getattr(kernels.load(name), kernel)
    assert served.__module__ == f"kernels.{name}.{family}"
    assert inspect.signature(served) == inspect.signature(getattr(kernels.load("reference"), kernel))


def test_an_incomplete_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("kernels.naive.pool.avg_pool2d")
    with pytest.raises(AttributeError, match="avg_pool2d"):
        kernels.Kernels("naive")


def test_an_unknown_kernel_is_named_with_its_backend() -> None:
    with pytest.raises(AttributeError, match=r"'naive'.*'conv3d'"):
        _ = kernels.load("naive").conv3d


def test_a_block_selects_and_restores() -> None:
    outside = kernels.backend.current()
    with kernels.backend("naive"):
        assert kernels.serving(X).name == kernels.backend.current() == "naive"
        with kernels.backend("reference"):
            assert kernels.serving(X).name == kernels.backend.current() == "reference"
        assert kernels.serving(X).name == "naive"
    assert kernels.backend.current() == outside


def test_an_error_in_the_block_restores_too() -> None:
    outside = kernels.backend.current()
    other = "naive" if outside == "reference" else "reference"
    with pytest.raises(ZeroDivisionError), kernels.backend(other):
        _ = 1 / 0
    assert kernels.backend.current() == outside


def test_without_a_block_the_choice_stays() -> None:
    def choose() -> list[str]:
        kernels.backend("naive")
        first = kernels.backend.current()
        kernels.backend("reference")
        return [first, kernels.backend.current()]

    outside = kernels.backend.current()
    assert contextvars.copy_context().run(choose) == ["naive", "reference"]  # a context of its own: no trace is left
    assert kernels.backend.current() == outside


def test_the_choice_belongs_to_the_thread() -> None:
    seen = []

    def choose() -> None:
        kernels.backend("naive")
        seen.append(kernels.serving(X).name)

    with kernels.backend("reference"):
        thread = threading.Thread(target=choose)
        thread.start()
        thread.join()
        assert seen == ["naive"]
        assert kernels.serving(X).name == "reference"


@pytest.mark.parametrize("select", [kernels.load, kernels.backend])
def test_a_bad_name_is_refused_and_the_good_ones_are_named(select: type) -> None:
    outside = kernels.backend.current()
    with pytest.raises(ValueError, match=r"'numpy'.*naive, reference, cpu"):
        select("numpy")
    assert kernels.backend.current() == outside


def test_missing_operands_are_passed_over() -> None:
    assert kernels.serving(None, X, None) is kernels.load(kernels.backend.current())


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_the_cpu_backend_leaves_other_dtypes_to_the_reference(dtype: str) -> None:
    with kernels.backend("cpu"):
        assert kernels.serving(X).name == "cpu"
        assert kernels.serving(X, np.zeros(1, dtype)).name == "reference"


@pytest.mark.parametrize("wrong", [[1.0, 2.0], 3.0, "x"])
def test_what_is_no_array_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=type(wrong).__name__):
        kernels.serving(X, wrong)


@pytest.mark.parametrize("name", kernels.BACKENDS)
def test_the_report_names_who_serves_what(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with kernels.backend(name):
        kernels.backend.report()
    first, *lines = capsys.readouterr().out.splitlines()
    assert name in first
    assert [tuple(line.split()) for line in lines] == [
        (family, kernel, f"kernels.{name}.{family}") for family, kernel in ALL
    ]


@pytest.mark.parametrize("name", kernels.BACKENDS)
def test_the_environment_chooses(name: str) -> None:
    run = python("import kernels, numpy; print(kernels.serving(numpy.zeros(1, 'f')).name)", MINIGRAD_BACKEND=name)
    assert (run.stdout.strip(), run.stderr) == (name, "")


@pytest.mark.parametrize("environment", [{}, {"MINIGRAD_BACKEND": ""}])
def test_without_a_choice_the_default_serves(environment: dict[str, str]) -> None:
    run = python("import kernels; print(kernels.backend.current())", **environment)
    assert (run.stdout.strip(), run.stderr) == (kernels.DEFAULT, "")


def test_the_environments_bad_name_is_refused() -> None:
    run = python("import kernels, numpy; kernels.serving(numpy.zeros(1))", MINIGRAD_BACKEND="numpy")
    assert run.returncode != 0
    assert "ValueError" in run.stderr
    assert "naive, reference, cpu" in run.stderr


def test_kernels_import_nothing_of_minigrad() -> None:
    run = python(
        "import sys, kernels\n"
        "for name in kernels.BACKENDS: kernels.load(name)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('minigrad', 'googlenet', 'torch')))"
    )
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
