"""The scaling command: its arithmetic on paper against answers worked out by hand, and a small run of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rank_scaling
from benchmarks.__main__ import main
from benchmarks.rank_scaling import Measured, Network
from benchmarks.torch_googlenet import TorchGoogLeNet
from tests.minigrad.parallel.launched import NEEDS_MPI

SLOW = Network(bandwidth=1e6, latency=1e-3)
MEASURED = Measured(together=0.5, alone=0.4, exchange=0.2, waited=0.1)


@pytest.mark.parametrize(
    ("ranks", "buckets", "seconds"),
    [
        (1, [1_000_000], 0.0),
        (2, [1_000_000], 1.0 + 2e-3),  # half is scattered, half is gathered; a message each
        (4, [1_000_000], 1.5 + 4e-3),  # three quarters, twice; two messages, twice
        (4, [500_000, 500_000], 1.5 + 8e-3),
        (5, [1_000_000], 1.6 + 6e-3),
    ],
)
def test_seconds_of_an_exchange(ranks: int, buckets: list[int], seconds: float) -> None:
    assert SLOW.seconds(ranks, buckets) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("step", "exchange", "exposed", "expected"),
    [
        (3.0, 0.0, 0.5, 1.0),
        (3.0, 1.0, 0.0, 1.0),  # all behind a backward of 2 s
        (3.0, 1.0, 0.5, 3 / 3.5),
        (3.0, 10.0, 0.5, 3 / 11),  # 8 s are longer than backward, and more than the half that is exposed
        (3.0, 10.0, 0.9, 3 / 12),
    ],
)
def test_efficiency_of_a_step(step: float, exchange: float, exposed: float, expected: float) -> None:
    assert rank_scaling.efficiency(step, exchange, exposed) == pytest.approx(expected)


def test_on_paper() -> None:
    """A rank's own work is 0.4 s, and half of an exchange is exposed."""
    rows = {row["ranks"]: row for row in rank_scaling.on_paper(MEASURED, [100_000], SLOW, images=8)}
    assert list(rows) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert rows[1]["own_batch"] == rows[1]["one_batch"] == 1.0
    assert rows[4]["exchange"] == pytest.approx(0.154)
    assert rows[4]["own_batch"] == pytest.approx(0.4 / (0.4 + 0.077))
    assert rows[4]["one_batch"] == pytest.approx(0.2 / (0.2 + 0.077))
    assert rows[8]["one_batch"] is not None
    assert rows[16]["one_batch"] is None


@NEEDS_MPI
def test_ranks_are_measured_beside_a_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIGRAD_BACKEND", "reference")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    file = tmp_path / "scaling.json"
    options = ["--batch-size", "3", "--image-size", "16", "--repeats", "2", "--json", str(file)]
    assert main(["scaling", *options]) == 0
    found = json.loads(file.read_text())
    assert sum(found["bucket_bytes"]) == 4 * sum(weight.numel() for weight in TorchGoogLeNet().parameters())
    assert all(len(times) == 2 and min(times) >= 0 for times in found["seconds"].values())
    assert 0 <= found["exposed"] <= 1
    said = capsys.readouterr().out
    assert "2 ranks of 1 thread, 1 process of 2" in said
    assert "no measurement" in said
    assert "1,024" in said


def test_ranks_with_other_losses_are_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: dict[str, Any] = {"losses": {"together": [2.3, 2.2, 2.1], "alone": [2.3, 2.2, 2.101]}}
    monkeypatch.setattr(rank_scaling, "ranks", lambda *_: found)
    assert main(["scaling"]) == 1
    assert "WRONG: 2 ranks have losses" in capsys.readouterr().out


def test_ranks_that_fail_say_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("benchmarks.launcher.mpiexec", lambda: None)
    assert main(["scaling"]) == 1
    assert "error: there is no mpiexec" in capsys.readouterr().out
