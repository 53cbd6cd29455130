"""metrics.jsonl, a line an epoch, and steps.jsonl, a line an optimiser step."""

import json
import os
from pathlib import Path
from typing import Any

from minigrad.files import write_atomically

EPOCHS = "metrics.jsonl"
STEPS = "steps.jsonl"


class MetricsError(ValueError):
    """A metrics file that cannot be read; the message names the file and the line."""


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one record as a line of JSON. OSError if that cannot be done; the file is then as it was."""
    line = (json.dumps(record) + "\n").encode()
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            written = file.write(line)
            if written < len(line):  # a full disk takes a part, and refuses the next
                file.write(line[written:])
        except OSError:
            file.truncate(size)
            raise


def read(path: Path) -> list[dict[str, Any]]:
    """All records; none if there is no file. A last line without its end, as a kill leaves it, is passed over."""
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
        except ValueError as error:
            raise MetricsError(f"{path}: line {number}: not JSON: {error}") from None
        if not isinstance(record, dict):
            raise MetricsError(f"{path}: line {number}: expected a JSON object")
        records.append(record)
    return records


def keep(path: Path, key: str, most: int) -> None:
    """Drop the records whose `key` is above `most`: what a run did after the checkpoint that it goes on from."""
    records = read(path)
    kept = [json.dumps(record) + "\n" for record in records if record.get(key, 0) <= most]
    if path.exists():
        write_atomically(path, "".join(kept).encode())
