"""TensorBoard's event files, taken apart by what is known of their format."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

Points = dict[str, dict[int, float]]


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum (RFC 3720, appendix B.4), bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    """A TFRecord file's: length, its checksum, data, its checksum."""
    content = path.read_bytes()
    while content:
        length, length_crc = struct.unpack("<QI", content[:12])
        data, (data_crc,) = content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])
        assert length_crc == masked(content[:8])
        assert data_crc == masked(data)
        yield data
        content = content[16 + length :]


def varint(data: bytes) -> tuple[int, bytes]:
    value = shift = 0
    for place, byte in enumerate(data):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, data[place + 1 :]
    raise AssertionError("a number without an end")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """A protocol-buffer message's: number, and value as it lies there."""
    while data:
        key, data = varint(data)
        kind = key & 7
        if kind == 0:
            value, data = varint(data)
        else:
            length, data = varint(data) if kind == 2 else ({1: 8, 5: 4}[kind], data)
            value, data = data[:length], data[length:]
        yield key >> 3, value


def points(folder: Path) -> tuple[Points, list[int]]:
    """What TensorBoard shows, by tag and step, and from which steps on each file has begun anew."""
    shown: Points = {}
    beginnings = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for number, record in enumerate(records(path)):
            event = dict(fields(record))  # 1: wall_time, 2: step, 3: file_version, 5: summary, 7: session_log
            step = event.get(2, 0)
            if number == 0:
                assert event[3] == b"brain.Event:2"
            if 7 in event:
                assert dict(fields(event[7])) == {1: 1}, "SessionLog.START"
                beginnings.append(step)
                shown = {tag: {at: y for at, y in curve.items() if at < step} for tag, curve in shown.items()}
            for one, value in fields(event.get(5, b"")):
                scalar = dict(fields(value))  # 1: tag, 2: simple_value
                curve = shown.setdefault(scalar[1].decode(), {})
                assert one == 1
                assert step not in curve, "a point twice"
                (curve[step],) = struct.unpack("<f", scalar[2])
    return shown, beginnings


def in_json(folder: Path) -> Points:
    """The same, of the run's own files."""
    expected: Points = {}
    for group, name in (("step", "steps.jsonl"), ("epoch", "metrics.jsonl")):
        for line in (folder / name).read_text().splitlines():
            record = json.loads(line)
            for key in record.keys() - {"step", "epoch"}:
                expected.setdefault(f"{group}/{key}", {})[record["step"]] = pytest.approx(record[key], rel=1e-6)
    return expected
