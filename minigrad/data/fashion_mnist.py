"""Fashion-MNIST: 70,000 grey images of clothing, 28 by 28 pixels, in ten classes. Found on this computer, or fetched.

Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms (2017).
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import platformdirs

from minigrad.data.download import download, say, unpack_debian_package
from minigrad.data.idx import DataError, idx_header, read_idx

CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class DataFile:
    """One of the four files: its name, the shape of its array, and the SHA-256 of the IDX file inside the gzip file.

    Not that of the gzip file itself: Debian packed the same contents anew, into other bytes.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


# In the order of FashionMNIST's fields.
FILES = (
    DataFile(
        "train-images-idx3-ubyte.gz", (60000, 28, 28),
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    DataFile(
        "train-labels-idx1-ubyte.gz", (60000,),
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    DataFile(
        "t10k-images-idx3-ubyte.gz", (10000, 28, 28),
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    DataFile(
        "t10k-labels-idx1-ubyte.gz", (10000,),
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)  # fmt: skip
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
VARIABLE = "MINIGRAD_DATA"


@dataclass(frozen=True, eq=False)
class FashionMNIST:
    """The whole data set. A label is an index into `CLASS_NAMES`."""

    train_images: np.ndarray  # (60000, 28, 28) uint8, 0 is background
    train_labels: np.ndarray  # (60000,) int64
    test_images: np.ndarray  # (10000, 28, 28) uint8
    test_labels: np.ndarray  # (10000,) int64


def cache_folder() -> Path:
    """Where fetched files are kept: under XDG_CACHE_HOME, ~/.cache, or what the operating system has for that."""
    return platformdirs.user_cache_path("minigrad") / "fashion-mnist"


def load(data_dir: str | os.PathLike[str] | None = None) -> FashionMNIST:
    """Load Fashion-MNIST from the first of: `data_dir`, the folder in the environment variable MINIGRAD_DATA, the cache
    folder, Debian's installed package, the official address, Debian's package downloaded without installing it.
    The last two fill the cache folder.

    Every file's shape and checksum is verified. Raises DataError where a folder that the user named lacks a file or has
    a wrong one (no other place is tried then), and, after all places failed, with what was wrong with each.
    """
    named, source = (data_dir, "--data-dir") if data_dir is not None else (os.environ.get(VARIABLE), VARIABLE)
    if named:
        try:
            return _read_folder(Path(named))
        except DataError as error:
            raise DataError(f"{source}: {error}; without {source} other places are tried, and it is fetched") from error

    failures = []
    for folder in (cache_folder(), DEBIAN_FOLDER):
        try:
            return _read_folder(folder)
        except DataError as error:  # noqa: PERF203
            failures.append(str(error))
    try:
        _fetch(cache_folder())
        return _read_folder(cache_folder())
    except (DataError, OSError) as error:
        failures.append(str(error))
    raise DataError(
        "Fashion-MNIST was neither found nor could it be fetched:\n  "
        + "\n".join(failures).replace("\n", "\n  ")
        + f"\nPut {', '.join(file.name for file in FILES)} into a folder "
        + f"and name the folder with --data-dir or the environment variable {VARIABLE}."
    )


def _read_folder(folder: Path) -> FashionMNIST:
    train_images, train_labels, test_images, test_labels = (_read(folder / file.name, file) for file in FILES)
    return FashionMNIST(train_images, train_labels.astype(np.int64), test_images, test_labels.astype(np.int64))


def _read(path: Path, file: DataFile) -> np.ndarray:
    array = read_idx(path, len(file.shape))
    if array.shape != file.shape:
        raise DataError(f"{path}: expected the shape {file.shape}, found {array.shape}")
    # The reader accepts no second way of writing the same array, so the file's bytes follow from the array.
    digest = hashlib.sha256(idx_header(array.shape))
    digest.update(array.data)
    if digest.hexdigest() != file.sha256:
        raise DataError(
            f"{path}: expected the SHA-256 {file.sha256} (unpacked), found {digest.hexdigest()}. "
            "This may be other data under Fashion-MNIST's file names: MNIST's digits have the same names and shapes"
        )
    return array


def _fetch(folder: Path) -> None:
    """Put the files that `folder` lacks into it. Of runs that do so at once, one fetches and the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        held = lock.acquire(timeout=1)
    except filelock.Timeout:
        say(f"waiting for another run that fetches into {folder}")
        held = lock.acquire()
    with held:
        lacking = _lacking(folder)
        try:
            for file in lacking:
                with _installed(folder, file, ADDRESS) as path:
                    download(ADDRESS + file.name, path)
        except DataError as error:
            say(f"{error}; trying Debian's package {DEBIAN_PACKAGE}")
            try:
                _fetch_from_debian(folder, lacking)
            except (DataError, OSError) as debian_error:
                raise DataError(f"{error}\n{debian_error}") from debian_error


def _fetch_from_debian(folder: Path, lacking: list[DataFile]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = unpack_debian_package(DEBIAN_PACKAGE, Path(scratch))
        for file in lacking:
            with _installed(folder, file, f"Debian's package {DEBIAN_PACKAGE}") as path:
                shutil.copyfile(root / DEBIAN_FOLDER.relative_to("/") / file.name, path)


def _lacking(folder: Path) -> list[DataFile]:
    lacking = []
    for file in FILES:
        path = folder / file.name
        try:
            _read(path, file)
        except DataError as error:
            lacking.append(file)
            if path.exists():
                say(f"{error}; fetching it again")
    return lacking


@contextmanager
def _installed(folder: Path, file: DataFile, source: str) -> Iterator[Path]:
    """Give a path to write to. What was written there takes its real name at once, and only if it is right."""
    path = folder / f".partial-{file.name}"  # one fixed name, so that what a killed run leaves is overwritten
    try:
        yield path
        try:
            _read(path, file)
        except DataError as error:
            raise DataError(f"{source} gave a wrong file: {error}") from error
        with path.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(path, folder / file.name)
    finally:
        path.unlink(missing_ok=True)
