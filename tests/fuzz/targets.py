"""What each reader of files is fed with, and what it owes whoever feeds it: a result, or one clear error.

A target takes the bytes of a file from a stranger. It raises AssertionError, or whatever the reader lets through, if
the reader breaks its promise.
"""

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image

from minigrad import optim, random
from minigrad.array_files import ArrayFileError, save_arrays
from minigrad.data.idx import MAX_BYTES, DataError, read_idx
from minigrad.data.image_files import SIDE, ImageFileError, read_image
from minigrad.interop import load_weights
from minigrad.nn import Linear, Module
from minigrad.training import checkpoint, metrics
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Config, ConfigError

FOLDER = Path(tempfile.mkdtemp(prefix="minigrad-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
LONGEST_MESSAGE = 2000
PNG = b"\x89PNG\r\n\x1a\n"

Image.preinit()  # so that what reads PNG and JPEG files is loaded now, and seen by those who watch it

Result = TypeVar("Result")


def attempt(read: Callable[[], Result], refusal: type[Exception]) -> Result | None:
    """What the reader returns; None if it refuses. Its message names the file, on one line, with no commands for a
    terminal."""
    try:
        return read()
    except refusal as error:
        message = str(error)
        assert str(FOLDER) in message, message
        assert message.isprintable(), ascii(message)
        assert len(message) <= LONGEST_MESSAGE, message
        return None


def written(name: str, content: bytes) -> Path:
    path = FOLDER / name
    path.write_bytes(content)
    return path


def bits(model: Module) -> list[bytes]:
    return [array.tobytes() for array in model.state_dict().values()]


def idx(content: bytes) -> None:
    """Images and labels, plain or compressed."""
    path = written("images", content)
    for ndim in (1, 3):
        array = attempt(lambda ndim=ndim: read_idx(path, ndim), DataError)
        assert array is None or (array.ndim == ndim and array.nbytes <= MAX_BYTES)


def weights(content: bytes) -> None:
    """A safetensors file of weights: the model has them all, or is as it was."""
    path, model = written("weights", content), Linear(2, 3)
    before = bits(model)
    if attempt(lambda: load_weights(model, path) or True, ArrayFileError) is None:
        assert bits(model) == before


def whole_checkpoint(content: bytes) -> None:
    """A checkpoint; and one whose arrays and checksum are right, and whose header says `content`."""
    model = Linear(2, 3)
    optimizer = optim.SGD(model.parameters(), 0.1)
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    arrays = {f"{part}.{name}": array for part, own in parts.items() for name, array in own.items()}
    path = written(checkpoint.NAME, content)
    for _ in range(2):
        before = bits(model)
        random.set_state(1, 2)
        if attempt(lambda: checkpoint.load(path, model, optimizer), CheckpointError) is None:
            assert bits(model) == before
            assert random.get_state() == (1, 2)
        save_arrays(path, arrays, {checkpoint.HEADER: content.decode("utf-8", "ignore")})


def config(content: bytes) -> None:
    """A run's settings: what is accepted can be written and read again."""
    written("config.json", content)
    settings = attempt(lambda: Config.load(FOLDER, "GoogLeNet"), ConfigError)
    if settings:
        settings.save(FOLDER)
        assert Config.load(FOLDER, "GoogLeNet") == settings


def lines(content: bytes) -> None:
    """A run's metrics: what is accepted can be written and read again."""
    path = written(metrics.STEPS, content)
    records = attempt(lambda: metrics.read(path, "step", "loss", "accuracy"), metrics.MetricsError)
    if records:
        metrics.write(path, records)
        assert metrics.read(path) == records


def image(content: bytes) -> None:
    """A picture. A PNG file's checksums are made right, or nothing behind them would ever be tried."""
    path = written("picture", _with_right_checksums(content) if content.startswith(PNG) else content)
    picture = attempt(lambda: read_image(path), ImageFileError)
    assert picture is None or picture.pixels.shape == (SIDE, SIDE)


def _with_right_checksums(content: bytes) -> bytes:
    result, at = PNG, len(PNG)
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunk = content[at + 4 : at + 8 + length]
        result += content[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return result + content[at:]


TARGETS: dict[str, Callable[[bytes], None]] = {
    "idx": idx, "weights": weights, "checkpoint": whole_checkpoint, "config": config, "metrics": lines, "image": image,
}  # fmt: skip
