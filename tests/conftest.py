"""What all tests share: the backends that one test body runs on, and determinism."""

from collections.abc import Iterator

import hypothesis
import pytest

import kernels
from minigrad.data import FashionMNIST, fashion_mnist
from tests import cut

hypothesis.settings.register_profile(
    "minigrad",
    deadline=None,  # the machine is shared: time says nothing about right
    derandomize=True,  # the same cases on every run
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("minigrad")

GPU = pytest.param("cuda", marks=pytest.mark.skip(reason="kernels/cuda is not written yet"))


@pytest.fixture(params=[*kernels.BACKENDS, GPU])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once on every backend, and yields the backend's name."""
    with kernels.backend(request.param):
        yield request.param


@pytest.fixture
def cut_data(monkeypatch: pytest.MonkeyPatch) -> FashionMNIST:
    """400 real training and 200 real test images; `load` finds them, and takes them for the whole, during the test."""
    monkeypatch.setattr(fashion_mnist, "FILES", cut.FILES)
    monkeypatch.setenv("MINIGRAD_DATA", str(cut.FOLDER))
    return fashion_mnist.load()
