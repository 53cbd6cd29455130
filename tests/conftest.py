"""What all tests share: the backends that one test body runs on, and determinism."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

from tests import raised  # noqa: F401  (before what it watches)

# isort: split
import kernels
from minigrad.data import FashionMNIST, fashion_mnist
from minigrad.training import loop
from tests import background, cut, on_card

hypothesis.settings.register_profile(
    "minigrad",
    deadline=None,  # the machine is shared: time says nothing about right
    derandomize=True,  # the same cases on every run
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minigrad")

def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on all tests comes last."""
    items.sort(key=lambda item: item.path.name == "test_raised.py")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts what test modules have to do in the background."""
    if session.config.option.collectonly:
        return
    by_module: dict[Any, list[pytest.Item]] = {}
    for item in session.items:
        by_module.setdefault(getattr(item, "module", None), []).append(item)
    for module, items in by_module.items():
        if hasattr(module, "in_background"):
            module.in_background(items)


def pytest_sessionfinish() -> None:
    """Lets nothing go on when the tests have ended early."""
    background.pool.shutdown(cancel_futures=True)


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
