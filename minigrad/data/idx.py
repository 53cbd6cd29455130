"""The IDX format, in which the MNIST family keeps its images and labels.

An IDX file is a magic number (two zero bytes, a type byte, the number of dimensions), the sizes of the dimensions
as big-endian 32-bit numbers, and then the elements in C order. Here the elements are always unsigned bytes.
"""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from minigrad.files import require_ordinary

UNSIGNED_BYTE = 0x08
MAX_BYTES = 64 * 2**20  # the largest payload that is read; Fashion-MNIST's largest is 45 MiB
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 2**20


class DataError(ValueError):
    """A data file is missing, damaged, or not what it should be. The message names it, and what was expected."""


def idx_header(shape: tuple[int, ...]) -> bytes:
    """The bytes before the elements of an IDX file of unsigned bytes with this shape."""
    return bytes([0, 0, UNSIGNED_BYTE, len(shape)]) + np.array(shape, dtype=">u4").tobytes()


def read_idx(path: str | os.PathLike[str], ndim: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    Returns a uint8 array of `ndim` dimensions, with the shape that the file's header gives. The file must hold exactly
    the elements that its header announces; at most `MAX_BYTES` of them are read, whatever the header says.
    A file named `.gz` must be a gzip file.

    Raises DataError, naming the file, where it cannot be read or is anything else.
    """
    path = Path(path)
    try:
        require_ordinary(path)
        with path.open("rb") as raw:
            start = raw.read(16)
            raw.seek(0)
            if start.startswith(GZIP_MAGIC):
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    return _parse(unzipped, path, ndim)
            if path.suffix == ".gz":
                raise DataError(f"{path}: expected a gzip file, found one that begins with {start!r}")
            return _parse(raw, path, ndim)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip data is damaged: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> np.ndarray:
    expected_magic = bytes([0, 0, UNSIGNED_BYTE, ndim])
    magic = stream.read(4)
    if magic != expected_magic:
        raise DataError(
            f"{path}: expected the magic number {expected_magic.hex()} "
            f"(IDX, unsigned bytes, {ndim} dimensions), found {magic.hex() or 'an empty file'}"
        )
    sizes = stream.read(4 * ndim)
    if len(sizes) != 4 * ndim:
        raise DataError(f"{path}: expected {4 * ndim} bytes of sizes after the magic number, found {len(sizes)}")
    shape = tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4"))
    announced = f"{math.prod(shape)} bytes, as its header gives the shape {shape}"
    if math.prod(shape) > MAX_BYTES:
        raise DataError(f"{path}: expected at most {MAX_BYTES} bytes of data, found {announced}")

    # In chunks, since read(n) allocates n bytes before it knows how many there are; and one byte beyond the end, which
    # shows a file that is too long without unpacking the rest of it, and otherwise makes gzip check its checksum.
    data = bytearray()
    while chunk := stream.read(min(CHUNK_BYTES, math.prod(shape) + 1 - len(data))):
        data += chunk
    if len(data) != math.prod(shape):
        found = "more" if len(data) > math.prod(shape) else str(len(data))
        raise DataError(f"{path}: expected {announced}, found {found}")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
