import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minigrad.data import CLASS_NAMES, DataError, fashion_mnist, load
from tests import cut

ROOT = Path(__file__).parents[3]
CUT = cut.FOLDER
NAMES = [file.name for file in fashion_mnist.FILES]


def with_one_pixel_changed(packed: bytes) -> bytes:
    """Another data set of the same shape, as a proxy gives that answers with the digits of MNIST."""
    content = gzip.decompress(packed)
    return gzip.compress(content[:-1] + bytes([content[-1] ^ 1]))


def sending(name: str):
    return lambda handler: handler.send((CUT / name).read_bytes())


def send_html(handler) -> None:
    handler.send(b"<!DOCTYPE html><html>Log in to the network of this hotel</html>")


def send_elsewhere(handler) -> None:
    """As such a network answers whatever is asked."""
    handler.server.answers["login"] = send_html
    handler.send(b"", status=302, Location="/login")


@pytest.fixture
def online(place, server, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "ADDRESS", server.address)
    server.answers = {name: sending(name) for name in NAMES}
    return server


@pytest.fixture
def apt(place, tmp_path):
    """Commands apt-get and dpkg-deb that find the files of the folder tmp_path / "package" in Debian's package."""
    copy_cut(tmp_path / "package")
    scripts = {
        "apt-get": '[ "$*" = "download dataset-fashion-mnist" ] && touch package.deb',
        "dpkg-deb": f'mkdir -p "$3{tmp_path}" && cp -r {tmp_path}/package "$3{tmp_path}/debian"',
    }
    for name, script in scripts.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)
    return tmp_path / "package"


def copy_cut(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in NAMES:
        shutil.copyfile(CUT / name, folder / name)
    return folder


def assert_is_cut(data) -> None:
    assert data.train_images.shape == (400, 28, 28)
    assert data.test_images.shape == (200, 28, 28)
    assert data.train_images.dtype == data.test_images.dtype == np.uint8
    assert data.train_labels.dtype == data.test_labels.dtype == np.int64
    assert [CLASS_NAMES[label] for label in data.train_labels[:3]] == ["Ankle boot", "T-shirt/top", "T-shirt/top"]
    assert [CLASS_NAMES[label] for label in data.test_labels[:3]] == ["Ankle boot", "Pullover", "Trouser"]


def assert_only_right_files(cache: Path) -> None:
    present = {path.name: path for path in cache.iterdir() if path.name != ".lock"}
    assert present.keys() <= set(NAMES)
    for file in fashion_mnist.FILES:
        if file.name in present:
            assert hashlib.sha256(gzip.decompress(present[file.name].read_bytes())).hexdigest() == file.sha256


def test_cache_folder_follows_xdg(tmp_path, monkeypatch):
    if sys.platform != "linux":
        pytest.skip("other systems have other rules")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fashion_mnist.cache_folder() == tmp_path / "minigrad" / "fashion-mnist"


def test_data_dir_comes_first_then_the_environment_variable(place, tmp_path, monkeypatch):
    mine = copy_cut(tmp_path / "mine")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "absent"))
    assert_is_cut(load(mine))
    assert_is_cut(load(str(mine)))
    monkeypatch.setenv("MINIGRAD_DATA", str(mine))
    assert_is_cut(load())
    copy_cut(place)
    monkeypatch.setenv("MINIGRAD_DATA", "")  # the same as none
    assert_is_cut(load())


def test_then_the_cache_folder_then_debians(online, place, tmp_path):
    copy_cut(tmp_path / "debian")
    assert_is_cut(load())
    assert not place.exists()
    copy_cut(place)
    shutil.rmtree(tmp_path / "debian")
    assert_is_cut(load())
    assert not online.requests


@pytest.mark.parametrize("named_by", ["argument", "variable"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "damaged"),
        (
            lambda path: path.write_bytes(with_one_pixel_changed(path.read_bytes())),
            "expected the SHA-256 .* MNIST's digits",
        ),
        (
            lambda path: shutil.copyfile(CUT / NAMES[0], path),
            r"expected the shape \(200, 28, 28\), found \(400, 28, 28\)",
        ),
    ],
)
def test_nothing_else_is_tried_where_a_named_folder_is_wrong(
    online, place, tmp_path, monkeypatch, named_by, damage, message
):
    copy_cut(place)
    path = copy_cut(tmp_path / "mine") / NAMES[2]
    damage(path)
    monkeypatch.setenv("MINIGRAD_DATA", str(path.parent))
    with pytest.raises(DataError, match=message) as caught:
        load(path.parent if named_by == "argument" else None)
    assert str(path) in str(caught.value)
    source = "MINIGRAD_DATA" if named_by == "variable" else "--data-dir"
    assert str(caught.value).startswith(f"{source}: ")
    assert str(caught.value).endswith(f"; without {source} other places are tried, and it is fetched")
    assert not online.requests


def test_fetches_once_into_the_cache(online, place, capsys):
    assert_is_cut(load())
    assert capsys.readouterr().err == "".join(f"minigrad: fetching {online.address}{name}\n" for name in NAMES)
    assert_only_right_files(place)
    assert_is_cut(load())
    assert online.requests == dict.fromkeys(NAMES, 1)


def test_fetches_only_what_is_lacking_or_wrong_and_says_so(online, place, capsys):
    copy_cut(place)
    (place / NAMES[0]).unlink()
    (place / NAMES[3]).write_bytes(b"<html>")
    assert_is_cut(load())
    assert online.requests == {NAMES[0]: 1, NAMES[3]: 1}
    shown = capsys.readouterr().err
    assert f"{place / NAMES[3]}: expected a gzip file, found one that begins with b'<html>'; fetching it again" in shown
    assert shown.count("again") == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: handler.send((CUT / NAMES[2]).read_bytes()[:999], promised=87064), "IncompleteRead"),
        (send_elsewhere, "gave a wrong file: .*begins with b'<!DOCTYPE html>"),
        (send_html, "gave a wrong file: .*begins with b'<!DOCTYPE html>"),
        (lambda handler: handler.send(with_one_pixel_changed((CUT / NAMES[2]).read_bytes())), "expected the SHA-256"),
    ],
)
def test_a_bad_answer_is_one_error_and_spoils_nothing(online, place, answer, message):
    online.answers[NAMES[2]] = answer
    with pytest.raises(DataError, match=message) as caught:
        load()
    assert online.address in str(caught.value)
    assert not (place / NAMES[2]).exists()
    assert_only_right_files(place)
    online.answers[NAMES[2]] = sending(NAMES[2])
    assert_is_cut(load())
    assert online.requests - Counter(["login"]) == {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 2, NAMES[3]: 1}


def test_without_network_debians_package_is_unpacked(place, apt, tmp_path, capsys):
    assert_is_cut(load())
    assert "refused" in capsys.readouterr().err
    assert_only_right_files(place)
    shutil.rmtree(tmp_path / "bin")
    assert_is_cut(load())  # from the cache now


def test_debians_package_is_checked_too(place, apt):
    (apt / NAMES[0]).write_bytes(with_one_pixel_changed((apt / NAMES[0]).read_bytes()))
    with pytest.raises(DataError, match=r"Debian's package dataset-fashion-mnist gave a wrong file: .*SHA-256"):
        load()
    assert_only_right_files(place)


def test_a_package_without_the_files_is_told(place, apt):
    (apt / NAMES[1]).unlink()
    with pytest.raises(DataError, match=f"(?s)http://127.0.0.1:9/.*No such file.*{NAMES[1]}"):
        load()


def test_when_all_fails_the_error_lists_every_place_and_what_to_do(place, tmp_path):
    with pytest.raises(DataError) as caught:
        load()
    places = (str(place), str(tmp_path / "debian"), "http://127.0.0.1:9/", "apt-get is not installed")
    for expected in (*places, "--data-dir", "MINIGRAD_DATA", *NAMES):
        assert expected in str(caught.value)


def test_a_cache_folder_that_cannot_be_made_is_told(online, place, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"(Not a directory|File exists): '"):
        load()


@pytest.mark.parametrize("interrupted", ["download", "fsync", "replace"])
def test_an_interrupted_fetch_leaves_nothing_half_written(online, place, monkeypatch, interrupted):
    def interrupt(*arguments):
        if interrupted == "download":
            arguments[1].write_bytes(b"\x1f\x8b half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fashion_mnist if interrupted == "download" else os, interrupted, interrupt)
        with pytest.raises(KeyboardInterrupt):
            load()
    assert {path.name for path in place.iterdir()} <= {".lock"}
    assert_is_cut(load())


RUN = """
import ast, sys
from pathlib import Path
from minigrad.data import fashion_mnist
cache, fashion_mnist.ADDRESS, files = sys.argv[1:]
fashion_mnist.cache_folder = lambda: Path(cache)
fashion_mnist.DEBIAN_FOLDER = Path(cache) / "absent"
fashion_mnist.FILES = tuple(fashion_mnist.DataFile(*file) for file in ast.literal_eval(files))
data = fashion_mnist.load()
print(len(data.train_images), len(data.test_labels))
"""


def start_run(cache: Path, address: str) -> subprocess.Popen:
    files = [(file.name, file.shape, file.sha256) for file in fashion_mnist.FILES]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(cache), address, repr(files)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_two_runs_at_once_one_fetches_and_the_other_waits(online, place):
    asked, second_waits = threading.Event(), threading.Event()

    def hold(handler):
        asked.set()
        second_waits.wait(15)
        sending(NAMES[0])(handler)

    online.answers[NAMES[0]] = hold
    with start_run(place, online.address) as first:
        assert asked.wait(60)
        with start_run(place, online.address) as second:
            assert "waiting for another run" in second.stderr.readline()
            second_waits.set()
            assert second.communicate(timeout=60) == ("400 200\n", "")
        assert first.communicate(timeout=60)[0] == "400 200\n"
    assert online.requests == dict.fromkeys(NAMES, 1)
    assert_only_right_files(place)


def test_a_killed_run_leaves_nothing_under_a_real_name_and_no_lock(online, place):
    def send_half(handler):
        body = (CUT / NAMES[0]).read_bytes()
        handler.send(body[: len(body) // 2], promised=len(body))
        handler.server.stop.wait(60)

    online.answers[NAMES[0]] = send_half
    with start_run(place, online.address) as run:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in place.glob(".partial-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        run.kill()
    assert list(place.glob(".partial-*"))
    assert not (place / NAMES[0]).exists()
    online.answers[NAMES[0]] = sending(NAMES[0])
    assert_is_cut(load())
    assert_only_right_files(place)
