"""What the tests of the data share: a web server on this computer, and a computer that has no Fashion-MNIST."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from minigrad.data import fashion_mnist
from tests import cut


class Handler(BaseHTTPRequestHandler):
    server: "Server"

    def do_GET(self) -> None:
        name = self.path[1:]
        self.server.requests[name] += 1
        self.server.answers[name](self)

    def send(self, body: bytes, promised: int | None = None, status: int = 200, **headers: str) -> None:
        """Answer with `body`, saying that it has `promised` bytes."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Callable[[Handler], object]] = {}  # what to do with a request for that name
        self.requests: Counter[str] = Counter()
        self.stop = threading.Event()
        self.address = f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer with no data, no network and no apt, whose Fashion-MNIST is the cut one. Gives its cache folder."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(fashion_mnist, "FILES", cut.FILES)
    monkeypatch.setattr(fashion_mnist, "ADDRESS", "http://127.0.0.1:9/")  # where nobody listens
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "debian")
    cache = tmp_path / "cache" / "fashion-mnist"
    monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: cache)
    return cache
