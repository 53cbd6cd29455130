"""Observers: which events, in which order, under which path, and when a parameter's gradient is complete."""

import threading
from typing import Any

import numpy as np
import pytest

import minigrad
from googlenet import Inception, Row
from kernels.layout import Array
from minigrad import Tensor, functional as F, nn
from minigrad.observe import observers


class Log(minigrad.Observer):
    """Writes down every event in one line, and gradients of leaves with what they were."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.paths: list[str] = []
        self.ready: list[tuple[Tensor, Array]] = []

    def before_forward(self, function: Any, inputs: Any) -> None:
        self.lines.append(f"before {function.name} of {len(inputs)}")
        self.paths.append(function.path)

    def after_forward(self, function: Any, output: Array) -> None:
        self.lines.append(f"after {function.name} {output.shape}")

    def before_backward(self, function: Any, gradient: Array) -> None:
        self.lines.append(f"back before {function.name} {gradient.shape}")

    def after_backward(self, function: Any, gradients: Any) -> None:
        self.lines.append(f"back after {function.name} {[g is not None for g in gradients]}")

    def gradient_ready(self, leaf: Tensor, gradient: Array) -> None:
        self.lines.append("ready")
        self.ready.append((leaf, gradient.copy()))


def test_events_come_in_order() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with minigrad.observe(Log()) as log:
        (x * 3).sum().backward()
    assert log.lines == [
        "before Mul of 2", "after Mul (2,)", "before Sum of 1", "after Sum ()",
        "back before Sum ()", "back after Sum [True]",
        "back before Mul (2,)", "back after Mul [True, False]", "ready",
    ]  # fmt: skip


def test_observers_see_nothing_outside_their_block() -> None:
    with minigrad.observe(Log()) as log:
        pass
    Tensor([1.0]) * 2
    assert log.lines == []
    assert observers() == ()


def test_several_observers_see_the_same() -> None:
    with minigrad.observe(Log()) as outer, minigrad.observe(Log()) as inner:
        Tensor([1.0]) * 2
    assert outer.lines == inner.lines == ["before Mul of 2", "after Mul (1,)"]


def test_the_block_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), minigrad.observe(Log()):
        raise KeyError
    assert observers() == ()


def test_observers_belong_to_their_thread() -> None:
    with minigrad.observe(Log()) as log:
        thread = threading.Thread(target=lambda: Tensor([1.0]) * 2)
        thread.start()
        thread.join()
    assert log.lines == []


def test_a_plain_observer_may_watch_anything() -> None:
    x = Tensor([1.0], requires_grad=True)
    with minigrad.observe(minigrad.Observer()):
        (x * 2).backward()
    assert x.grad is not None


class Net(nn.Module):
    """One inception block, whose paths are those of the big network."""

    def __init__(self) -> None:
        super().__init__()
        self.inception3a = Inception(2, Row(2, 1, 2, 1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.inception3a(x).sum() * 2


def test_paths_are_those_of_the_modules() -> None:
    with minigrad.observe(Log()) as log:
        Net()(Tensor(np.ones((1, 2, 4, 4), np.float32)))
    assert log.paths == [
        "inception3a.branch1.conv",
        "inception3a.branch2.0.conv",
        "inception3a.branch2.1.conv",
        "inception3a.branch3.0.conv",
        "inception3a.branch3.1.conv",
        "inception3a.branch4.0",
        "inception3a.branch4.1.conv",
        "inception3a",  # cat
        "",  # sum
        "",  # mul
    ]


def test_the_path_is_left_with_an_exception() -> None:
    net = Net()
    with pytest.raises(ValueError, match="channels"):
        net(Tensor(np.ones((1, 3, 4, 4), np.float32)))
    with minigrad.observe(Log()) as log:
        Tensor([1.0]) * 2
    assert log.paths == [""]


def test_functions_show_their_path() -> None:
    net = nn.Sequential(nn.ReLU(), nn.ReLU())
    assert repr(net(Tensor([1.0], requires_grad=True)).grad_fn) == "<ReLU in 1>"


def test_each_parameter_is_ready_once_with_its_complete_gradient() -> None:
    net = Net()
    with minigrad.observe(Log()) as log:
        net(Tensor(np.random.default_rng(0).standard_normal((1, 2, 4, 4)).astype(np.float32))).backward()
    assert len(log.ready) == len(list(net.parameters()))
    assert {leaf for leaf, _ in log.ready} == set(net.parameters())
    for leaf, gradient in log.ready:
        assert leaf.grad is not None
        np.testing.assert_array_equal(gradient, leaf.grad)


def test_a_weight_used_twice_is_ready_only_when_both_uses_are_in() -> None:
    weight = nn.Parameter(np.eye(2, dtype=np.float32))
    early = nn.Parameter(np.ones(2, np.float32))
    with minigrad.observe(Log()) as log:
        F.linear(F.linear(early * 2, weight) * 3, weight).sum().backward()
    assert [leaf for leaf, _ in log.ready] == [weight, early]
    assert weight.grad is not None
    np.testing.assert_array_equal(log.ready[0][1], weight.grad)
    assert log.lines.count("ready") == 2


def test_a_second_pass_reports_the_accumulated_gradient() -> None:
    x = Tensor([1.0], requires_grad=True)
    with minigrad.observe(Log()) as log:
        (x * 2).backward()
        (x * 2).backward()
    assert [gradient.tolist() for _, gradient in log.ready] == [[2], [4]]
