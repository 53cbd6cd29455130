"""Files from strangers: a result, or one clear error; never a crash, a hang, code that runs, or memory without end."""

import contextlib
import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from googlenet import GoogLeNet
from minigrad.array_files import ArrayFileError, load_arrays
from minigrad.data.idx import DataError, read_idx
from minigrad.data.image_files import ImageFileError, read_image
from minigrad.training import checkpoint, metrics
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Config, ConfigError
from tests.fuzz.targets import TARGETS
from tests.small_net import SmallNet

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("reader", TARGETS)
def test_every_file_that_fuzzing_has_found_is_read_or_refused(reader: str) -> None:
    files = sorted((CORPUS / reader).iterdir())
    assert len(files) >= 5
    for file in files:
        print(file)  # shown if it fails
        TARGETS[reader](file.read_bytes())


def safetensors(header: object, arrays: bytes = b"") -> bytes:
    """A file with this header, an object or the text itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + arrays


def one_array(name: str = "a", dtype: str = "F32", shape: tuple[int, ...] = (1,), end: int = 4) -> dict[str, object]:
    return {name: {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}


def png(width: int, height: int, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A grey picture of this size, whatever `rows`, its compressed bytes, hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def in_config(**settings: object) -> bytes:
    return json.dumps({"network": "GoogLeNet", **settings}).encode()


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
NAN = np.full(1, np.nan, np.float32).tobytes()
IMAGES = b"\0\0\x08\x03"

Read = Callable[[Path], object]
READERS: dict[str, tuple[str, Read, type[Exception]]] = {
    "idx": ("images", lambda path: read_idx(path, 3), DataError),
    "weights": ("weights", load_arrays, ArrayFileError),
    "checkpoint": (checkpoint.NAME, lambda path: checkpoint.load_model(path, SmallNet(1, 10, 28)), CheckpointError),
    "config": ("config.json", lambda path: Config.load(path.parent, "GoogLeNet"), ConfigError),
    "metrics": ("metrics.jsonl", lambda path: metrics.read(path, "step"), metrics.MetricsError),
    "image": ("picture", read_image, ImageFileError),
}
"""By reader: the name of the file, how it is read, and what a refusal is."""

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "idx, a header of 2^60 bytes": ("idx", IMAGES + struct.pack(">III", 2**20, 2**20, 2**20), "expected at most"),
    "idx, a bomb": ("idx", gzip.compress(IMAGES + struct.pack(">III", 1, 1, 1) + bytes(2**26)), "found more"),
    "idx, no end": ("idx", gzip.compress(IMAGES + struct.pack(">III", 1, 2, 2) + bytes(4))[:-1], "end-of-stream"),
    "weights, a header of 2^60 bytes": ("weights", struct.pack("<Q", 2**60) + b"{}", "a header of 1,152,921,504"),
    "weights, 2^60 numbers": ("weights", safetensors(one_array(shape=(2**60,), end=2**62)), "not a readable"),
    "weights, no numbers in 2^62 rows": ("weights", safetensors(one_array(shape=(0, 2**62), end=0)), "too big"),
    "weights, 70 axes": ("weights", safetensors(one_array(shape=(1,) * 70), bytes(4)), "maximum supported dimension"),
    "weights, a name twice": ("weights", safetensors(TWICE, bytes(4)), "'a' stands there twice"),
    "weights, a key twice": ("weights", safetensors(b'{"__metadata__":{"a":"1","a":"2"}}'), "'a' stands there twice"),
    "weights, deep": ("weights", safetensors(b'{"__metadata__":' + b"[" * 10**5 + b"}"), "not a readable"),
    "weights, NaN": ("weights", safetensors(one_array(), NAN), "'a': has numbers that are not finite"),
    "weights, commands for the terminal": (
        "weights", safetensors(one_array("\x1b[2J\n", "F16", (2,)), bytes(4)), r"'\\x1b\[2J\\n': given dtype F16",
    ),
    "weights, commands in a library's message": (
        "weights", safetensors(one_array("\x1b[2J", end=8), bytes(8)), r"tensor ` \[2J`|not a readable",
    ),
    "checkpoint, a path that climbs out": (
        "checkpoint", safetensors(one_array("../../climbed"), bytes(4)), "has no checksum",
    ),
    "config, deep": ("config", b'{"model":' + b"[" * 10**5, "nested too deep"),
    "config, a name twice": ("config", b'{"network": "GoogLeNet", "epochs": 1, "epochs": 2}', "'epochs' stands"),
    "config, NaN": ("config", b'{"network": "GoogLeNet", "lr": NaN}', "given NaN, which JSON does not have"),
    "config, beyond float64": ("config", b'{"network": "GoogLeNet", "lr": 1e999}', "given 1e999, a number beyond"),
    "config, a long number": ("config", in_config(seed=10**4000), "an integer beyond 64 bits"),
    "config, a huge picture": ("config", in_config(image_size=10**6), "image_size: given 1000000, expected at most"),
    "config, large batches": ("config", in_config(batch_size=60000), "batch_size, image_size: given 60000 images"),
    "config, many classes": ("config", in_config(num_classes=20), "num_classes: given 20, expected 10"),
    "config, commands for the terminal": ("config", b'{"network": "\\u001b[2J"}', r"the run is of a '\\x1b\[2J'"),
    "config, long": ("config", b" " * 2**20 + b"{}", "More than 1,048,576 bytes"),
    "config, bytes": ("config", b"\xff\xfe", "not JSON: 'utf-8' codec"),
    "metrics, deep": ("metrics", b"[" * 10**5 + b"\n", "line 1: not JSON: brackets are nested too deep"),
    "metrics, bytes": ("metrics", b'{"step": 1}\n\xff\n', "line 2: not JSON: 'utf-8' codec"),
    "metrics, no number": ("metrics", b'{"step": "1"}\n', "line 1: step: given '1', expected a number"),
    "metrics, true": ("metrics", b'{"step": true}\n', "line 1: step: given True, expected a number"),
    "metrics, a name twice": ("metrics", b'{"step": 1, "step": 2}\n', "line 1: not JSON: 'step' stands there twice"),
    "image, 2^60 pixels": ("image", png(2**30, 2**30), "too large: Image size"),
    "image, more than a camera makes": ("image", png(10**4, 10**4), "too large: Image size"),
    "image, a long row": ("image", png(10**6, 1), "given 1000000x1 pixels, expected sides of at most 20000"),
    "image, no pixels in it": ("image", png(9000, 9000, zlib.compress(b"")), "cannot be read"),
    "image, a text of 100 MB": (
        "image", png(1, 1, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))), "(?i)data too large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_stranger_may_send_is_refused(name: str, tmp_path: Path) -> None:
    reader, content, message = REFUSED[name]
    file, read, refusal = READERS[reader]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(refusal, match=message) as refused:
        read(tmp_path / file)
    assert str(tmp_path) in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_refused_and_not_waited_for(reader: str, tmp_path: Path) -> None:
    file, read, refusal = READERS[reader]
    os.mkfifo(tmp_path / file)
    with pytest.raises((refusal, OSError), match="Not an ordinary file"):
        read(tmp_path / file)


def test_names_in_files_are_names_and_never_paths(tmp_path: Path) -> None:
    """A path that climbs out of the folder leads nowhere: nothing is written or opened under a name out of a file."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "weights"
    path.write_bytes(safetensors(one_array("../climbed"), bytes(4)))
    arrays, _ = load_arrays(path)
    assert [*arrays] == ["../climbed"]
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("value", [None, [], {}, "x", "batch\x1b[2J", -1, 1e9, True, [[]], {"a": {}}])
@pytest.mark.parametrize("option", ["dropout", "aux", "norm", "lrn", "init", "variant", "num_classes", "nonsense"])
def test_options_of_the_network_are_one_error(option: str, value: Any) -> None:
    config = Config("GoogLeNet", model={option: value}, image_size=32)
    with contextlib.suppress(ConfigError):  # whether it is one depends on the option
        config.build_model(GoogLeNet)


PEAK = """
import resource, sys
from pathlib import Path
from minigrad.data.image_files import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_image(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("width", [9000, 20_000])
def test_the_largest_picture_that_is_read_takes_bounded_memory(tmp_path: Path, width: int) -> None:
    """A file of a few kilobytes, of nearly as many pixels as Pillow lets pass, 89 million, that has to be turned."""
    height = Image.MAX_IMAGE_PIXELS // width
    picture = Image.new("LA", (width, height))
    picture.paste((200, 255), (10, 10, width // 2, height // 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "bomb.png", exif=exif)
    assert (tmp_path / "bomb.png").stat().st_size < 10**6
    command = [sys.executable, "-c", PEAK, str(tmp_path / "bomb.png")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 1.6 * 2**20  # KiB: what Pillow needs for these pixels two or three times
