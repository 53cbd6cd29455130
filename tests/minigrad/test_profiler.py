"""The profiler: what it counts, that its times add up, and that it changes no result."""

import time
from typing import Any

import numpy as np
import pytest

import minigrad
from kernels.layout import Array
from minigrad import Function, Profiler, Tensor, functional as F, nn
from minigrad.profiler import Row

NAP = 0.02
SLACK = 0.005  # a sleep is never shorter, but for the clock's steps


class Nap(Function):
    """Takes NAP seconds forward and three times as long backward."""

    def forward(self, a: Any) -> Array:
        time.sleep(NAP)
        return a + 1

    def backward(self, grad: Array) -> tuple[Array]:
        time.sleep(3 * NAP)
        return (grad,)


def by_name(profiler: Profiler) -> dict[str, Row]:
    return {row.name: row for row in profiler.rows()}


def test_forward_and_backward_are_told_apart() -> None:
    profiler, x = Profiler(), Tensor([1.0], requires_grad=True)
    with profiler.watch():
        Nap()(Nap()(x)).backward()
    nap = by_name(profiler)["Nap"]
    assert nap.calls == 2
    assert nap.forward is not None
    assert nap.backward is not None
    assert 2 * NAP - SLACK < nap.forward < nap.backward
    assert nap.backward > 6 * NAP - SLACK
    assert nap.seconds == nap.forward + nap.backward


def test_a_part_is_without_the_operations_and_parts_inside() -> None:
    profiler = Profiler()
    with profiler.watch(), profiler.part("outer"):
        time.sleep(NAP)
        with profiler.part("inner"):
            time.sleep(2 * NAP)
        Nap()(Tensor([1.0]))
    rows = by_name(profiler)
    assert NAP - SLACK < rows["outer"].seconds < profiler.seconds - 3 * NAP + SLACK
    assert rows["inner"].seconds > 2 * NAP - SLACK
    assert (rows["outer"].forward, rows["outer"].backward, rows["outer"].calls) == (None, None, 1)


def test_the_rest_is_what_belongs_to_nothing() -> None:
    profiler = Profiler()
    with profiler.watch():
        Nap()(Tensor([1.0]))
        time.sleep(2 * NAP)
    rows = profiler.rows()
    assert [row.name for row in rows] == ["Nap", "rest"]
    assert rows[-1].seconds > 2 * NAP - SLACK
    assert sum(row.seconds for row in rows) == pytest.approx(profiler.seconds)
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_blocks_add_up_and_nothing_counts_between_them() -> None:
    profiler = Profiler()
    for _ in range(2):
        with profiler.watch():
            Nap()(Tensor([1.0]))
        Nap()(Tensor([1.0]))
    assert by_name(profiler)["Nap"].calls == 2


def test_an_error_ends_the_block() -> None:
    profiler = Profiler()
    with pytest.raises(KeyError), profiler.watch(), profiler.part("part"):
        raise KeyError
    assert by_name(profiler)["part"].calls == 1
    Nap()(Tensor([1.0]))
    assert "Nap" not in by_name(profiler)


def test_nothing_was_watched() -> None:
    assert Profiler().rows() == [Row("rest", None, None, 0.0, 0, 0.0)]


def test_convolutions_are_named_by_their_window() -> None:
    x = Tensor(np.ones((1, 2, 8, 8), np.float32))
    profiler = Profiler()
    with profiler.watch():
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, (5, 3)), nn.Conv2d(3, 2, 1), nn.MaxPool2d(2))(x).sum()
    counts = {row.name: row.calls for row in profiler.rows()}
    assert counts == {"Conv2d 1x1": 2, "Conv2d 5x3": 1, "MaxPool2d": 1, "Sum": 1, "rest": 0}


def branches(x: Tensor) -> Tensor:
    """Convolutions of one input: their gradients are added up in place where nobody insists on its own."""
    minigrad.manual_seed(0)
    x = x * 2
    return F.cat([nn.Conv2d(4, 4, k, padding=k // 2, activation="relu")(x) for k in (1, 3, 5)], dim=1).sum()


def images() -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal((2, 4, 9, 9)).astype(np.float32), requires_grad=True)


def test_gradients_are_the_same_bits_with_it() -> None:
    plain, profiled = images(), images()
    branches(plain).backward()
    with Profiler().watch():
        branches(profiled).backward()
    assert plain.grad is not None
    assert profiled.grad is not None
    assert plain.grad.tobytes() == profiled.grad.tobytes()


def test_what_it_measures_is_what_runs_without_it() -> None:
    """Operations may add to the gradients of others: an observer that wanted to see each one would forbid that."""
    added = []

    class Curious(Profiler):
        def before_backward(self, function: Function, gradient: Array) -> None:
            added.extend(into for into in function.into if into is not None)
            super().before_backward(function, gradient)

    with Curious().watch():
        branches(images()).backward()
    assert len(added) == 2
