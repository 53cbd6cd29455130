import contextlib
import gc
import gzip
import shutil
import sys
import threading

import pytest

from minigrad.data import DataError, download as module
from minigrad.data.download import download, unpack_debian_package

BODY = bytes(range(256)) * 1000


def letter_by_letter(handler) -> None:
    """So that no single read times out. After 3 s it ends, lest a missing check hang the tests."""
    try:
        for _ in range(150):
            handler.server.stop.wait(0.02)
            handler.wfile.write(b"x")
    except OSError:  # the other side hung up
        pass


def trickle(handler) -> None:
    """Contents, a letter now and then."""
    handler.send(b"", promised=10**6)
    letter_by_letter(handler)


def drip(handler) -> None:
    """Headers without end, so sent."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
    letter_by_letter(handler)


def test_writes_what_the_server_has(server, tmp_path):
    server.answers["file"] = lambda handler: handler.send(BODY)
    download(server.address + "file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_follows_a_redirection(server, tmp_path):
    server.answers["old"] = lambda handler: handler.send(b"moved", status=301, Location="/file")
    server.answers["file"] = lambda handler: handler.send(BODY)
    download(server.address + "old", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_does_not_unpack_what_the_server_calls_encoded(server, tmp_path):
    packed = gzip.compress(BODY)
    server.answers["file.gz"] = lambda handler: handler.send(packed, Content_Encoding="gzip")
    download(server.address + "file.gz", tmp_path / "file.gz")
    assert (tmp_path / "file.gz").read_bytes() == packed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: handler.send(b"nothing here", status=404), "404"),
        (lambda handler: handler.send(b"broken", status=503), "503"),
        (lambda handler: handler.send(BODY[:1000], promised=len(BODY)), "IncompleteRead"),
        (lambda handler: handler.send(bytes(2**20 + 1)), "expected at most 1048576 bytes, found more"),
        (trickle, "stalled: expected 65536 bytes in 0.2 s, found fewer"),
        (drip, "TimeoutError: no answer within 1 s"),
        (lambda handler: handler.server.stop.wait(30), r"TimeoutError: timed out"),
        (lambda handler: handler.wfile.write(b"no HTTP"), "BadStatusLine|Connection"),
        (lambda handler: handler.send(b"", status=302, Location="http://[::1/"), "Invalid|Failed to parse"),
        (lambda handler: handler.wfile.write(b"HTTP/1.1 404 \x1b[2J\r\n\r\n"), r"404 Client Error:  \[2J for url"),
    ],
)
def test_a_bad_answer_is_an_error_that_names_the_address(server, tmp_path, monkeypatch, answer, message):
    monkeypatch.setattr(module, "MAX_BYTES", 2**20)
    monkeypatch.setattr(module, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(module, "READ_SECONDS", 0.5)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 1)
    server.answers["file"] = answer
    with pytest.raises(DataError, match=message) as caught:
        download(server.address + "file", tmp_path / "file")
    assert str(caught.value).startswith(server.address + "file: ")
    assert str(caught.value).isprintable()


def test_an_answer_that_comes_too_late_is_hung_up_on(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    server.answers["file"] = lambda handler: handler.server.stop.wait(0.4) or handler.send(BODY)
    with pytest.raises(DataError, match=r"file: TimeoutError: no answer within 0\.1 s"):
        download(server.address + "file", tmp_path / "file")
    for thread in threading.enumerate():
        if thread.name == f"GET {server.address}file":
            thread.join()
    gc.collect()  # a connection that was left open is a warning now, and so an error


@pytest.mark.parametrize("length", ["abc", "5, 5", "-1", "\u0661"])
def test_a_length_that_is_no_number_is_passed_over(server, tmp_path, length):
    def answer(handler):
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n"
        handler.wfile.write(head.encode("utf-8") + b"contents")

    server.answers["file"] = answer
    with contextlib.suppress(DataError):  # some of these are too much for the HTTP library
        download(server.address + "file", tmp_path / "file")
        assert (tmp_path / "file").read_bytes() in (b"contents", b"conte")


def test_a_slow_but_steady_server_is_not_stalled(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(module, "STALL_BYTES", 100)

    def steady(handler):
        handler.send(b"", promised=10 * 1000)
        for _ in range(10):
            handler.server.stop.wait(0.04)
            handler.wfile.write(bytes(1000))

    server.answers["file"] = steady
    download(server.address + "file", tmp_path / "file")
    assert (tmp_path / "file").stat().st_size == 10_000


def test_nobody_listening_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DataError, match=r"http://127.0.0.1:9/file: .*refused"):
        download("http://127.0.0.1:9/file", tmp_path / "file")


def test_a_full_disk_is_an_error(server, tmp_path):
    server.answers["file"] = lambda handler: handler.send(BODY)
    with pytest.raises(DataError, match="No such file"):  # the folder is absent: any failure to write will do
        download(server.address + "file", tmp_path / "absent" / "file")


def test_progress_is_a_line_or_a_bar(server, tmp_path, monkeypatch, capsys):
    server.answers["file"] = lambda handler: handler.send(BODY)
    url = server.address + "file"
    download(url, tmp_path / "file")
    assert capsys.readouterr() == ("", f"minigrad: fetching {url}\n")

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    download(url, tmp_path / "file")
    out, err = capsys.readouterr()
    assert out == ""
    assert "256.0/256.0 kB" in err
    assert "fetching" not in err


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Replace apt-get and dpkg-deb by shell scripts with these bodies; a tool that is not named is not installed."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def install(**bodies: str) -> None:
        for name, body in bodies.items():
            path = tmp_path / "bin" / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
            path.chmod(0o755)

    return install


def test_unpacks_a_debian_package(tools, tmp_path):
    tools(
        apt_get='[ "$*" = "download some-data" ] && touch some-data_1_all.deb',
        dpkg_deb='[ "$1" = -x ] && [ -f "$2" ] && mkdir -p "$3/usr" && echo contents > "$3/usr/file"',
    )
    root = unpack_debian_package("some-data", tmp_path / "scratch")
    assert (root / "usr" / "file").read_text() == "contents\n"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_the_real_dpkg_deb_understands_the_command(tools, tmp_path):
    control = tmp_path / "package" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: some-data\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n")
    (tmp_path / "package" / "file").write_text("contents")
    tools(apt_get=f"dpkg-deb --build {tmp_path}/package some-data_1_all.deb", dpkg_deb='exec dpkg-deb "$@"')
    root = unpack_debian_package("some-data", tmp_path / "scratch")
    assert (root / "file").read_text() == "contents"


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({}, "apt-get is not installed"),
        ({"apt_get": "true"}, "dpkg-deb is not installed"),
        (
            {"apt_get": "echo W: harmless >&2; echo E: Unable to locate package x >&2; exit 100", "dpkg_deb": ""},
            "`apt-get download` failed with 100: E: Unable to locate package x .the package lists .*apt-get update",
        ),
        (
            {"apt_get": "echo E: Failed to fetch it >&2; echo W: harmless >&2; exit 100", "dpkg_deb": ""},
            "`apt-get download` failed with 100: E: Failed to fetch it$",
        ),
        (
            {"apt_get": "touch a.deb", "dpkg_deb": "echo dpkg-deb: error: no archive >&2; exit 2"},
            "`dpkg-deb -x` failed with 2: dpkg-deb: error: no archive$",
        ),
        ({"apt_get": "exit 3", "dpkg_deb": ""}, "`apt-get download` failed with 3"),
        ({"apt_get": "exec sleep 30", "dpkg_deb": ""}, "timed out after 0.3 seconds"),
    ],
)
def test_what_debians_tools_say_is_told(tools, tmp_path, monkeypatch, scripts, message):
    monkeypatch.setattr(module, "APT_SECONDS", 0.3 if "sleep" in str(scripts) else 30)
    tools(**scripts)
    with pytest.raises(DataError, match=message) as caught:
        unpack_debian_package("some-data", tmp_path / "scratch")
    assert str(caught.value).startswith("Debian's package some-data: ")
