"""Buckets of gradients: how large they are, when they go, and what comes back."""

import itertools
from typing import Any

import numpy as np
import pytest

from googlenet import GoogLeNet
from kernels.layout import Array, memory_order
from minigrad import Tensor, functional as F, nn, observe, random
from minigrad.function import Function
from minigrad.observe import Observer
from minigrad.parallel import GradientAverage, World


class Twins(World):
    """Two ranks that do the same: a sum is twice what this one has. events: what happened, in order."""

    size = 2

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._begun: list[Array] = []

    def start_sum(self, array: Array) -> None:
        self.events.append(array)
        self._begun.append(array)

    def finish(self) -> None:
        self.events.append("finish")
        for array in self._begun:
            array *= 2
        self._begun = []


class Watcher(Observer):
    """Notes each operation's backward among the world's events."""

    needs_own_gradients = False

    def __init__(self, world: Twins) -> None:
        self.world = world

    def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
        self.world.events.append(function.path)


def test_buckets_go_while_backward_still_runs() -> None:
    random.manual_seed(0)
    model = GoogLeNet(image_size=32, dropout=0.0)
    world = Twins()
    average = GradientAverage(world, model.parameters())
    sizes = [bucket.array.nbytes for bucket in average.buckets]
    assert sum(sizes) == sum(parameter.data.nbytes for parameter in model.parameters())
    assert all(2 << 20 <= size <= 5 << 20 for size in sizes)
    x, y = Tensor(np.random.default_rng(0).standard_normal((2, 1, 32, 32), np.float32)), np.array([1, 2])
    F.cross_entropy(model(x), y).backward()
    expected = {name: parameter.grad for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = None
    with observe(Watcher(world)):
        average.backward(F.cross_entropy(model(x), y), 0.5)
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.grad, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)
        assert parameter.grad.transpose(memory_order(parameter.data)).flags.c_contiguous

    sent = [place for place, event in enumerate(world.events) if isinstance(event, np.ndarray)]
    assert all(world.events[place] is bucket.array for place, bucket in zip(sent, average.buckets, strict=True))
    assert world.events[-1] == "finish"
    after_first = [event for event in world.events[sent[0] :] if isinstance(event, str)]
    assert len(after_first) > 0.8 * len([event for event in world.events if isinstance(event, str)])
    for earlier, later in itertools.pairwise(sent):  # each as soon as its last gradient is there
        assert any(isinstance(event, str) for event in world.events[earlier:later])


def test_a_parameter_larger_than_a_bucket_has_one_of_its_own() -> None:
    parameters = [Tensor(np.zeros(count, np.float32), requires_grad=True) for count in (1, 2, 100, 3, 4)]
    average = GradientAverage(World(), parameters, bucket_bytes=40)
    assert [bucket.array.size for bucket in average.buckets] == [7, 100, 3]


def test_a_parameter_without_a_gradient_is_an_error_and_no_hang() -> None:
    first, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    average = GradientAverage(Twins(), [*first.parameters(), *unused.parameters()])
    with pytest.raises(RuntimeError, match="some parameters had no part in the loss"):
        average.backward(first(Tensor(np.ones((1, 2), np.float32))).sum(), 0.5)
