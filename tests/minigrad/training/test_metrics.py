"""Metrics files: one JSON object a line, and what a killed run leaves is read without complaint."""

from pathlib import Path

import pytest

from minigrad.training import metrics


def test_records_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    assert metrics.read(path) == []
    records = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-300}]
    for record in records:
        metrics.append(path, record)
    assert metrics.read(path) == records


def test_records_take_the_place_of_others(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, {"step": step})
    metrics.write(path, [{"step": 1}, {"step": 2}])
    assert metrics.read(path) == [{"step": 1}, {"step": 2}]


def test_a_last_line_cut_short_by_a_kill_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"step": 1}\n{"step": 2')
    assert metrics.read(path) == [{"step": 1}]
    metrics.write(path, metrics.read(path))
    metrics.append(path, {"step": 2})
    assert metrics.read(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ["{no", "[1]"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(metrics.MetricsError, match=r"m\.jsonl: line 2"):
        metrics.read(path)
