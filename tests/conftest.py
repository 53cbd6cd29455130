"""What all tests share: the backends that one test body runs on, and determinism."""

from collections.abc import Iterator

import hypothesis
import pytest

import kernels

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
