"""metrics.jsonl, a line an epoch, and steps.jsonl, a line an optimiser step."""

import json
from pathlib import Path
from typing import Any

from minigrad import files, strict_json
from minigrad.messages import plain, shown

EPOCHS = "metrics.jsonl"
STEPS = "steps.jsonl"
MOST_BYTES = 2**26
"""Of a metrics file: some half a million steps. In memory they take about ten times that."""


class MetricsError(ValueError):
    """A metrics file that cannot be read; the message names the file and the line."""


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one record as a line of JSON. OSError if that cannot be done; the file is then as it was."""
    files.append(path, (json.dumps(record) + "\n").encode())


def read(path: Path, *numbers: str) -> list[dict[str, Any]]:
    """All records; none if there is no file. A last line without its end, as a kill leaves it, is passed over.

    numbers: what each record must have, as a number. MetricsError if one has not, or is no JSON object; OSError if the
    file cannot be read, or has more than MOST_BYTES.
    """
    if not path.exists():
        return []
    records = []
    for number, line in enumerate(files.read_bounded(path, MOST_BYTES).split(b"\n")[:-1], start=1):
        try:
            record = strict_json.parse(line)
        except ValueError as error:
            raise MetricsError(f"{path}: line {number}: not JSON: {plain(error)}") from None
        if not isinstance(record, dict):
            raise MetricsError(f"{path}: line {number}: expected a JSON object")
        for name in numbers:
            if not isinstance(value := record.get(name), int | float) or isinstance(value, bool):
                raise MetricsError(f"{path}: line {number}: {name}: given {shown(value)}, expected a number")
        records.append(record)
    return records


def write(path: Path, records: list[dict[str, Any]]) -> None:
    """Have the file hold these records and no others. OSError if that cannot be done; the file is then as it was."""
    files.write_atomically(path, "".join(json.dumps(record) + "\n" for record in records).encode())
