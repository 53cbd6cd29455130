"""`train --tensorboard`: the event files, taken apart here by what is known of their format."""

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minigrad.commands import run
from minigrad.training import tensorboard
from minigrad.training.progress import Reporter
from tests.small_net import SmallNet

OPTIONS = ("--image-size", "28", "--batch-size", "40", "--test-limit", "40", "--epochs", "2", "--train-limit", "160")

pytestmark = pytest.mark.usefixtures("cut_data")
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


def test_what_tensorboard_shows_is_what_the_run_notes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(SmallNet, [*OPTIONS, "--device", "cpu", "--out", str(out), "--tensorboard"]) == 0
    shown, beginnings = points(out)
    assert {"step/loss", "step/accuracy", "step/lr", "epoch/train_loss", "epoch/test_accuracy"} <= shown.keys()
    assert shown == in_json(out)
    assert [*shown["step/loss"]] == [*range(1, 9)]
    assert [*shown["epoch/test_loss"]] == [4, 8]
    assert beginnings == [1]


@pytest.mark.parametrize("when", ["epoch 2", "test"])
def test_a_resumed_run_adds_no_point_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    """It is killed where its file has points that no checkpoint covers, and stopped in a test."""
    out = tmp_path / "run"
    show = Reporter.show

    def interrupt(self: Reporter, done: int, text: str) -> None:
        show(self, done, text)
        if self.title.startswith(when):
            if when == "test":
                os.kill(os.getpid(), signal.SIGINT)
            elif done == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "show", interrupt)
        command = [*OPTIONS, "--device", "cpu", "--log-every", "1", "--out", str(out), "--tensorboard"]
        assert run(SmallNet, command) == 130
    begun, _ = points(out)
    assert max(begun["step/loss"]) == {"epoch 2": 6, "test": 4}[when]
    assert ("--tensorboard" in capsys.readouterr().out) == (when == "test"), "how to go on"
    assert run(SmallNet, ["--device", "cpu", "--resume", str(out), "--tensorboard"]) == 0
    shown, beginnings = points(out)
    assert shown == in_json(out)
    assert [*shown["step/loss"]] == [*range(1, 9)]
    assert beginnings == [1, 5]


def test_without_the_library_it_is_one_line_and_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert run(SmallNet, [*OPTIONS, "--device", "cpu", "--out", str(tmp_path / "run"), "--tensorboard"]) == 1
    assert capsys.readouterr().err == (
        "error: --tensorboard: tensorboardX is not installed: pip install -e '.[tensorboard]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_what_is_written_is_soon_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lest TensorBoard lags behind, or a kill takes more than a second's points."""
    now = 100.0
    monkeypatch.setattr("time.time", lambda: now)
    board = tensorboard.Board(tmp_path, 0)
    board.add("step", {"step": 1, "loss": 0.5})
    assert points(tmp_path)[0] == {}
    now = 101.0
    board.add("step", {"step": 2, "loss": 0.25})
    assert points(tmp_path)[0] == {"step/loss": {1: 0.5, 2: 0.25}}
    board.add("step", {"step": 3, "loss": 0.125})
    board.close()
    assert points(tmp_path)[0] == {"step/loss": {1: 0.5, 2: 0.25, 3: 0.125}}


def test_the_library_does_not_bring_pytorch_in() -> None:
    """tensorboardX imports it if it is there, which would cost seconds and hundreds of megabytes."""
    code = (
        "import sys; from minigrad.training import tensorboard as t; t.check(); "
        "print([name for name in ('torch', 'tensorboardX') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "['tensorboardX']\n"
