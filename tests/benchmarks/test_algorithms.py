"""The kernel benchmark's algorithms, limits and options, on three convolutions."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

import kernels
from benchmarks import algorithms, kernel_times, limits, measure
from benchmarks.cases import Case
from benchmarks.limits import Limits


@pytest.fixture
def few(small_cases: dict[Case, int], run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command again, on the first 3x3 convolution of each kernel."""

    chosen = {}
    for kernel in ("conv2d", "conv2d_input_grad", "conv2d_weight_grad"):
        of_kernel = (given for given in small_cases if given.kernel == kernel)
        given = next(given for given in of_kernel if algorithms.possible(given, "cpu")[0] == "winograd")
        chosen[given] = small_cases[given]
    monkeypatch.setattr(kernel_times, "cases", lambda image_size: chosen)
    return run


def test_each_algorithm_is_timed_beside_the_others(few: Any, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    status, printed = few("--backend", "cpu", "--json", str(path))
    assert status == 0
    assert printed.count("cpu: direct") == 3
    assert printed.count("(winograd)") == 3
    for figure in json.loads(path.read_text())["kernels"]:
        assert figure["algorithms"] == ["winograd", "direct"]
        assert figure["milliseconds"].keys() >= {"cpu", "cpu: direct"}


def test_a_wrong_algorithm_is_told(few: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right, insisted = kernels.load("cpu").conv2d, []

    def wrong(*args: Any, **keywords: Any) -> Any:
        return right(*args, **keywords) + (insisted[-1:] == ["direct"])

    def insisting(backend: str, name: str | None) -> Any:
        insisted.append(name)
        return contextlib.nullcontext()

    monkeypatch.setattr(kernels.load("cpu"), "conv2d", wrong)
    monkeypatch.setattr(algorithms, "insisting", insisting)
    status, printed = few("--backend", "cpu")
    assert status == 1
    assert "WRONG: cpu: direct differs from reference" in printed
    assert "1 of 3 cases are WRONG" in printed


def test_the_share_of_the_limit(few: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One convolution by hand: (1, 8, 8, 64) with 192 filters of 3x3, once limited by each of the two."""
    path = tmp_path / "figures.json"
    flop = 2 * 8 * 8 * 9 * 64 * 192
    moved = 4 * (8 * 8 * 64 + 9 * 64 * 192 + 192 + 8 * 8 * 192)
    for machine_limits, shortest in ((Limits(1e9, 1e15, ""), flop / 1e9), (Limits(1e15, 1e9, ""), moved / 1e9)):
        monkeypatch.setattr(limits, "measure", lambda threads, place, given=machine_limits: given)
        few("--backend", "cpu", "--json", str(path))
        written = json.loads(path.read_text())
        figures = [f for f in written["kernels"] if f["arguments"].get("x", {}).get("shape") == [1, 8, 8, 64]]
        (figure,) = (f for f in figures if f["kernel"] == "conv2d")
        assert figure["share_of_limit"] == pytest.approx(shortest / (figure["milliseconds"]["cpu"] / 1e3))
        assert written["limits"]["gflops"] == machine_limits.peak / 1e9


def test_a_picture(few: Any, tmp_path: Path) -> None:
    path = tmp_path / "roofline.png"
    assert few("--backend", "cpu", "--picture", str(path))[0] == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_threads_are_limited_pytorchs_too(few: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    torch, seen = pytest.importorskip("torch"), []
    torch.set_num_threads(2)

    def note(*arguments: Any) -> Any:
        seen.append((numba.get_num_threads(), torch.get_num_threads()))
        return measure.measure(*arguments)

    before = numba.get_num_threads()
    monkeypatch.setattr(kernel_times, "measure", note)
    assert few("--backend", "cpu", "--threads", "1")[0] == 0
    assert set(seen) == {(1, 1)}
    assert (numba.get_num_threads(), torch.get_num_threads()) == (before, 2)
