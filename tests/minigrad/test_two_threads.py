"""Two models that train in two threads of one process: each comes to the bits that it comes to alone."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F, optim
from tests.small_net import SmallNet

STEPS = 12
SEEDS = (1, 2)


def trained(seed: int, each_step: Callable[[], object] = lambda: None) -> dict[str, np.ndarray]:
    """Weights of a network, with dropout, after a few steps on noise, all of it from this seed."""
    minigrad.manual_seed(seed)
    noise = np.random.default_rng(seed)
    net = SmallNet(1, 10, 28)
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    for _ in range(STEPS):
        each_step()
        images = Tensor(noise.standard_normal((16, 1, 28, 28)).astype(np.float32))
        optimizer.zero_grad()
        F.cross_entropy(net(images), noise.integers(0, 10, 16)).backward()
        optimizer.step()
    return net.state_dict()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_two_threads_give_the_bits_that_each_gives_alone(backend: str) -> None:
    with minigrad.backend(backend):
        alone = {seed: trained(seed) for seed in SEEDS}
    together: dict[int, dict[str, np.ndarray]] = {}
    in_step = threading.Barrier(len(SEEDS), timeout=60)

    def work(seed: int) -> None:
        with minigrad.backend(backend):
            together[seed] = trained(seed, in_step.wait)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in SEEDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in SEEDS:
        assert all(together[seed][name].tobytes() == array.tobytes() for name, array in alone[seed].items()), seed
    assert any((alone[1][name] != alone[2][name]).any() for name in alone[1])


def test_the_backend_belongs_to_its_thread() -> None:
    found: list[str] = []
    with minigrad.backend("naive"):
        thread = threading.Thread(target=lambda: found.append(minigrad.backend.current()))
        thread.start()
        thread.join()
        assert minigrad.backend.current() == "naive"
    assert found == [minigrad.backend.current()]


def test_threads_that_meet_at_a_leaf_lose_nothing() -> None:
    weight = Tensor(np.zeros(1 << 20, np.float32), requires_grad=True)
    turns = 20

    def work() -> None:
        for _ in range(turns):
            (weight * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert weight.grad is not None
    assert (weight.grad == 4 * turns).all()
