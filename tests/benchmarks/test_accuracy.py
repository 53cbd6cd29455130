"""The accuracy command: what it compares, and that it tells an algorithm that is too inaccurate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy, algorithms
from benchmarks.__main__ import main
from benchmarks.cases import Case

SIZE = ("--batch-size", "1", "--image-size", "32")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """One convolution of each kernel, with two possible algorithms if there are any."""
    cases = accuracy.convolutions(32, 1)
    kernels = ("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "pointwise_backward")
    chosen = [
        max((c for c in cases if c.kernel == kernel), key=lambda given: len(algorithms.possible(given, "cpu")))
        for kernel in kernels
    ]
    monkeypatch.setattr(accuracy, "convolutions", lambda image_size, images: chosen)
    return chosen


def test_every_convolution_is_compared_once() -> None:
    cases = accuracy.convolutions(96, 2)
    assert len(set(cases)) == len(cases)
    windows = {dict(given.arguments).get("kernel") for given in cases if given.kernel == "conv2d_weight_grad"}
    assert windows == {(3, 3), (5, 5), (7, 7)}
    assert {"conv2d", "pointwise_backward"} <= {given.kernel for given in cases}
    assert all(dict(given.arguments).get("into") is None for given in cases)


def test_errors_are_those_of_float32_against_float64(few: list[Case]) -> None:
    for given in few:
        for found in accuracy.accuracies(given):
            assert 1e-9 < found.error < 1e-4
            assert 1e-9 < found.yardstick < 1e-5


def test_it_passes_and_writes_the_ratios(
    few: list[Case], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accuracy, "LIMIT", 1e3)
    path = tmp_path / "accuracy.json"
    assert main(["accuracy", *SIZE, "--json", str(path)]) == 0
    figures = json.loads(path.read_text())["convolutions"]
    assert len(figures) == 2 + 2 + 2 + 1
    for figure in figures:
        assert figure["ratio"] == figure["error"] / max(figure["yardstick"], accuracy.ROUNDING)
    assert "largest" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [1e-2, np.nan])
def test_an_inaccurate_algorithm_is_told(
    few: list[Case], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: float
) -> None:
    right = accuracy.call

    def call(backend: str, kernel: str, arguments: Any, algorithm: str | None = None) -> Any:
        results = right(backend, kernel, arguments, algorithm)
        return [result + np.float32(wrong) for result in results] if algorithm == "direct" else results

    monkeypatch.setattr(accuracy, "LIMIT", 1e3)
    monkeypatch.setattr(accuracy, "call", call)
    assert main(["accuracy", *SIZE]) == 1
    assert "3 of" in capsys.readouterr().out
