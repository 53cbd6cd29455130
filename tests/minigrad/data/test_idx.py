import gzip
import re
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from minigrad.data import DataError, read_idx
from minigrad.data.idx import MAX_BYTES, idx_header

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
# Written out by hand, so that the reader and `idx_header` cannot agree on something wrong.
GOOD = b"\0\0\x08\x03" + struct.pack(">III", 2, 3, 4) + bytes(range(24))


def write(tmp_path, content: bytes, name: str = "images-idx3-ubyte.gz"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def assert_refused(path, ndim: int, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, ndim)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "name"),
    [(gzip.compress(GOOD), "images.gz"), (gzip.compress(GOOD), "images"), (GOOD, "images")],
)
def test_reads_gzip_and_plain_files(tmp_path, content, name):
    images = read_idx(write(tmp_path, content, name), 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, IMAGES)


def test_reads_labels_and_takes_a_path_as_text(tmp_path):
    path = write(tmp_path, gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"\x07\x00\x09"))
    np.testing.assert_array_equal(read_idx(str(path), 1), [7, 0, 9])


def test_reads_a_file_larger_than_one_chunk(tmp_path):
    labels = np.random.default_rng(0).integers(0, 256, 3_000_001, dtype=np.uint8)
    path = write(tmp_path, idx_header(labels.shape) + labels.tobytes(), "labels")
    np.testing.assert_array_equal(read_idx(path, 1), labels)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans())
def test_header_and_reader_are_inverse(tmp_path, shape, zipped):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    content = idx_header(array.shape) + array.tobytes()
    read = read_idx(write(tmp_path, gzip.compress(content) if zipped else content, "any"), len(shape))
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


def test_header_is_the_format():
    assert idx_header((2, 3, 4)) == GOOD[:16]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a gzip file, found one that begins with b''"),
        (GOOD, "expected a gzip file, found one that begins with"),
        (b"<!DOCTYPE html><html>", "expected a gzip file, found one that begins with b'<!DOCTYPE html>"),
        (gzip.compress(GOOD)[:-1], "gzip data is damaged"),
        (gzip.compress(GOOD)[:15], "gzip data is damaged"),
        (gzip.compress(GOOD)[:-8] + b"\0" * 8, "gzip data is damaged"),  # the checksum
        (gzip.compress(GOOD) + b"more", "gzip data is damaged"),
        (gzip.compress(GOOD)[:10] + b"\xff" * 30, "gzip data is damaged"),  # no valid deflate block
        (gzip.compress(b""), "expected the magic number 00000803.*found an empty file"),
        (gzip.compress(b"\0\0\x08"), "expected the magic number 00000803.*found 000008$"),
        (gzip.compress(b"\0\0\x0d" + GOOD[3:]), "expected the magic number 00000803.*found 00000d03"),  # floats
        (gzip.compress(b"\0\0\x08\x01" + GOOD[4:]), "expected the magic number 00000803.*found 00000801"),
        (gzip.compress(b"\1\0\x08\x03" + GOOD[4:]), "expected the magic number 00000803.*found 01000803"),
        (gzip.compress(GOOD[:15]), "expected 12 bytes of sizes.*found 11"),
        (gzip.compress(GOOD[:-1]), re.escape("expected 24 bytes, as its header gives the shape (2, 3, 4), found 23")),
        (gzip.compress(GOOD[:16]), re.escape("expected 24 bytes, as its header gives the shape (2, 3, 4), found 0")),
        (
            gzip.compress(GOOD + b"\0"),
            re.escape("expected 24 bytes, as its header gives the shape (2, 3, 4), found more"),
        ),
    ],
)
def test_refuses_anything_else(tmp_path, content, message):
    assert_refused(write(tmp_path, content), 3, message)


def test_refuses_labels_where_images_are_expected_and_the_reverse(tmp_path):
    assert_refused(write(tmp_path, gzip.compress(GOOD)), 1, "expected the magic number 00000801.*found 00000803")


def test_refuses_what_it_cannot_open(tmp_path):
    assert_refused(tmp_path / "absent.gz", 3, "No such file")
    assert_refused(tmp_path, 3, "cannot be read")


@pytest.mark.parametrize("sizes", [(2**32 - 1,) * 3, (MAX_BYTES + 1, 1, 1), (2**16, 2**16, 2**32 - 1)])
def test_refuses_a_header_beyond_the_limit(tmp_path, sizes):
    content = gzip.compress(GOOD[:4] + struct.pack(">III", *sizes) + b"\0")
    assert_refused(write(tmp_path, content), 3, f"expected at most {MAX_BYTES} bytes")


@pytest.mark.parametrize(
    ("announced", "present"),
    [
        (24, 300 * 2**20),  # a bomb: far more than its header says
        (MAX_BYTES, 1000),  # a header that claims far more than there is
    ],
)
def test_memory_follows_neither_the_header_nor_the_contents(tmp_path, announced, present):
    path = tmp_path / "labels.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_header((announced,)))
        for begin in range(0, present, 2**20):
            file.write(bytes(min(2**20, present - begin)))
    tracemalloc.start()
    try:
        assert_refused(path, 1, f"expected {announced} bytes")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20
