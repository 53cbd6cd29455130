"""Training again gives the same bits in every weight, on any number of threads; and the reference's losses."""

import numpy as np
import pytest

import kernels
import minigrad
from googlenet import GoogLeNet
from kernels import threads
from kernels.layout import Array
from minigrad import Tensor, functional as F

STEPS = 50


@pytest.fixture
def small_batch() -> tuple[Tensor, Array]:
    random = np.random.default_rng(0)
    return Tensor(random.standard_normal((4, 1, 32, 32)).astype(np.float32)), random.integers(0, 10, 4)


def trained(optimizer: str, batch: tuple[Tensor, Array]) -> dict[str, bytes]:
    """The weights of a GoogLeNet, dropout and all, after some steps from the seed 0."""
    minigrad.manual_seed(0)
    model = GoogLeNet(image_size=32)
    kinds = {"sgd": minigrad.optim.SGD, "adam": minigrad.optim.Adam}
    steps = kinds[optimizer](model.parameters(), lr=1e-3)
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    images, labels = batch
    for _ in range(STEPS):
        steps.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        steps.step()
    after = {name: array.tobytes() for name, array in model.state_dict().items()}
    assert all(after[name] != before[name] for name in after)
    return after


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_same_bits_twice(small_batch: tuple[Tensor, Array], optimizer: str) -> None:
    with kernels.backend("cpu"):
        assert trained(optimizer, small_batch) == trained(optimizer, small_batch)


@pytest.mark.skipif(threads.available() < 2, reason="a single core")
def test_the_same_bits_on_one_thread_and_on_two(small_batch: tuple[Tensor, Array]) -> None:
    results = []
    for count in (1, 2):
        with kernels.backend("cpu"), threads.limit(count):
            results.append(trained("sgd", small_batch))
    assert results[0] == results[1]


def test_the_first_ten_losses_are_the_references(small_batch: tuple[Tensor, Array]) -> None:
    images, labels = small_batch
    losses = {}
    for backend in ("cpu", "reference"):
        minigrad.manual_seed(0)
        model = GoogLeNet(image_size=32, dropout=0.0)
        optimizer = minigrad.optim.SGD(model.parameters(), lr=3e-4, momentum=0.9)
        losses[backend] = []
        with kernels.backend(backend):
            for _ in range(10):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images), labels)
                loss.backward()
                optimizer.step()
                losses[backend].append(loss.item())
    np.testing.assert_allclose(losses["cpu"], losses["reference"], rtol=1e-4)
