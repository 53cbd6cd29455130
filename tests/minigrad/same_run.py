"""Whether two training runs came to the same."""

import json
from pathlib import Path

import numpy as np

from minigrad.array_files import load_arrays
from minigrad.training import checkpoint


def lines(path: Path, *dropped: str) -> list[dict[str, object]]:
    """The records of a metrics file, without these keys."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in dropped} for record in records]


def weights(out: Path) -> dict[str, np.ndarray]:
    return load_arrays(out / checkpoint.NAME)[0]


def assert_same_run(first: Path, second: Path) -> None:
    """The same bits in every weight and state, and the same metrics but for the times."""
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    timed = ("seconds", "images_per_second")
    assert lines(first / "metrics.jsonl", *timed) == lines(second / "metrics.jsonl", *timed)
    assert lines(first / "steps.jsonl") == lines(second / "steps.jsonl")
