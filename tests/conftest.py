"""What all tests share: the backends that one test body runs on, and determinism."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

from tests import raised

# Before libgomp and OpenBLAS are loaded: their threads turn in circles while they wait for work, and two processes of
# tests on two cores would wait for each other's threads. That made them four times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

# isort: split
import kernels
from minigrad.data import FashionMNIST, fashion_mnist
from minigrad.training import loop
from tests import cut, on_card

hypothesis.settings.register_profile(
    "minigrad",
    deadline=None,  # the machine is shared: time says nothing about right
    derandomize=True,  # the same cases on every run
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minigrad")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes by their number in a test's name: gzip's have the time in them, and all processes must agree."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)  # pytest-xdist's
def pytest_testnodedown(node: Any) -> None:
    """Takes over what a worker has noted, where the tests are spread over several."""
    noted = getattr(node, "workeroutput", {})  # it has none if it crashed
    raised.reached.update(map(tuple, noted.get("reached", [])))
    raised.asked_for |= noted.get("asked_for", False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """If all tests have run and passed, those errors are an error that none of them has raised."""
    config = session.config
    raised.asked_for |= any(item.path.name == "test_raised.py" for item in session.items)  # not with --last-failed
    if hasattr(config, "workeroutput"):
        config.workeroutput.update(reached=sorted(raised.reached), asked_for=raised.asked_for)
        return
    complete = raised.ALL_TESTS and raised.asked_for and not config.option.collectonly
    if complete and session.exitstatus == pytest.ExitCode.OK and (complaints := raised.complaints(raised.reached)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("", *complaints, sep="\n")


@pytest.fixture(params=[*kernels.BACKENDS, *on_card.PARAMETERS])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every backend, and yields the backend's name; "cuda" is skipped where there is no GPU."""
    with kernels.backend(request.param) if request.param in kernels.BACKENDS else on_card.serving(request.param):
        yield request.param


@pytest.fixture
def cut_data(monkeypatch: pytest.MonkeyPatch) -> FashionMNIST:
    """400 real training and 200 real test images; `load` finds them, and takes them for the whole, during the test."""
    monkeypatch.setattr(fashion_mnist, "FILES", cut.FILES)
    monkeypatch.setenv("MINIGRAD_DATA", str(cut.FOLDER))
    return fashion_mnist.load()


@pytest.fixture
def pictures() -> None:
    """Training runs draw their pictures in this test."""


@pytest.fixture(autouse=True)
def _no_pictures_otherwise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take five times as long as what small networks learn."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(loop, "plots", SimpleNamespace(curves=lambda *_: None, confusion=lambda *_: None))
