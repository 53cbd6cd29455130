"""Getting a file from a web server, or the contents of a Debian package, within bounds of time and size."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from minigrad.data.idx import MAX_BYTES, DataError
from minigrad.messages import plain

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 10
READ_SECONDS = 20  # the longest silence
ANSWER_SECONDS = 60  # until the contents begin, redirections and all
STALL_SECONDS = 30  # in each stretch this long ...
STALL_BYTES = 2**16  # ... at least this much must come, or one that trickles could hold a run for hours
CHUNK_BYTES = 2**16
APT_SECONDS = 600


def say(message: str) -> None:
    """Print a line for the user, on the standard error."""
    print(f"minigrad: {message}", file=sys.stderr, flush=True)


def download(url: str, path: Path) -> None:
    """Write what a web server has at `url` into the file `path`, at most `idx.MAX_BYTES`, showing how far it is.

    Raises DataError, naming the address, where the server cannot be reached, answers with an error, falls silent,
    is too slow, or sends too much or less than it said. A part of the file may have been written by then.
    """
    import urllib3  # here, since only the first run ever fetches

    try:
        # Not `response.iter_content`: it would unpack what a server marks as gzip-encoded, and it waits until a chunk
        # is full, so that the stall check below would come too late. `read1` returns what there is.
        with _answer(url) as response, path.open("wb") as file:
            response.raise_for_status()
            with _progress(url, _length(response.headers.get("Content-Length", ""))) as advance:
                for chunk in _steadily(lambda: response.raw.read1(CHUNK_BYTES, decode_content=False)):
                    file.write(chunk)
                    advance(len(chunk))
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:  # requests' own errors are OSErrors
        root: BaseException = error  # the outer ones repeat the address and name their own objects
        while root.__context__ is not None:
            root = root.__context__
        raise DataError(f"{url}: {type(root).__name__}: {plain(root)}") from error


def _answer(url: str) -> "requests.Response":
    """What the server says, as far as its headers; TimeoutError if that takes longer than ANSWER_SECONDS.

    The request is then left to itself: a read's timeout begins anew with every byte, and nothing ends endless headers.
    """
    import requests

    future: Future[requests.Response] = Future()

    def ask() -> None:
        timeout, headers = (CONNECT_SECONDS, READ_SECONDS), {"Accept-Encoding": "identity"}
        try:
            future.set_result(requests.get(url, stream=True, timeout=timeout, headers=headers))
        except BaseException as error:
            future.set_exception(error)

    def hang_up(late: "Future[requests.Response]") -> None:
        if not late.exception():
            late.result().close()

    Thread(target=ask, name=f"GET {url}", daemon=True).start()  # a daemon does not keep the program from ending
    if not wait([future], ANSWER_SECONDS).done:
        future.add_done_callback(hang_up)
        raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")
    return future.result()


def _length(text: str) -> int | None:
    """The number of bytes that a server promises, None if it does not say."""
    return int(text) if text.isascii() and text.isdecimal() else None


def _steadily(read: Callable[[], bytes]) -> Iterator[bytes]:
    """What `read` returns until it returns nothing. Raises OSError where that becomes too slow or too much."""
    received, needed, deadline = 0, STALL_BYTES, time.monotonic() + STALL_SECONDS
    while chunk := read():
        received += len(chunk)
        if received > MAX_BYTES:
            raise OSError(f"expected at most {MAX_BYTES} bytes, found more")
        if time.monotonic() > deadline:
            if received < needed:
                raise TimeoutError(f"stalled: expected {STALL_BYTES} bytes in {STALL_SECONDS} s, found fewer")
            needed, deadline = received + STALL_BYTES, time.monotonic() + STALL_SECONDS
        yield chunk


@contextmanager
def _progress(url: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a plain line elsewhere. Gives the function to call with the number of bytes that came."""
    if not sys.stderr.isatty():
        say(f"fetching {url}")
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(url.rpartition("/")[2], total=total)
        yield lambda count: progress.advance(task, count)


def unpack_debian_package(package: str, folder: Path) -> Path:
    """Download Debian's `package` into the empty `folder` and unpack it there, without root and without installing it.

    Returns the folder that stands for `/`. Raises DataError where there is no apt-get or dpkg-deb or one of them fails.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(f"Debian's package {package}: {tool} is not installed")
    _run(["apt-get", "download", package], package, folder)
    root = folder / "root"
    for archive in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(archive), str(root)], package, folder)
    return root


def _run(command: list[str], package: str, folder: Path) -> None:
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},  # the messages looked for below are English
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=APT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"Debian's package {package}: {error}") from error
    if result.returncode == 0:
        return
    # apt's warnings (W:) come with its errors (E:), among them a harmless one about downloading without a sandbox.
    lines = result.stderr.strip().splitlines()
    reason = " ".join([line for line in lines if line.startswith("E:")] or lines[-1:])
    if "Unable to locate package" in result.stderr:
        reason += " (the package lists are missing or do not have it: try `apt-get update` as root)"
    raise DataError(f"Debian's package {package}: `{' '.join(command[:2])}` failed with {result.returncode}: {reason}")
