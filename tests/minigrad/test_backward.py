"""The walk back: sums of gradients, several passes, long chains, hooks, and what is sent in."""

import gc
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from kernels.layout import Array
from minigrad import Tensor, functional as F, observe
from minigrad.function import Function
from minigrad.observe import Observer
from tests.minigrad.against_torch import agree, normal
from tests.minigrad.leaves import grad_of, leaf

# --- a tensor used several times


@pytest.mark.parametrize(
    ("fn", "gradient"),
    [
        (lambda x: x - x, [0, 0]),
        (lambda x: x + x, [2, 2]),
        (lambda x: x * x, [4, 6]),
        (lambda x: x / x, [0, 0]),
        (lambda x: x + x + x + x, [4, 4]),
        (lambda x: x - x * x, [-3, -5]),
    ],
)
def test_operands_are_told_apart_by_position(fn: Callable[[Tensor], Tensor], gradient: list[float]) -> None:
    x = leaf(2, 3)
    fn(x).sum().backward()
    assert grad_of(x) == gradient


class Twice(Function):
    """2a, whose backward adds to the sum of what others have sent to `a`, where there is one."""

    fresh = True
    added: ClassVar[list[bool]] = []

    def forward(self, a: Array) -> Array:
        return 2 * a

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (into,) = self.into
        self.added.append(into is not None)
        if into is None:
            return (2 * grad,)
        into += 2 * grad
        return (into,)


@pytest.mark.parametrize("uses", [2, 3])
def test_an_operation_may_add_to_the_sum_itself(uses: int) -> None:
    Twice.added.clear()
    x = leaf(1, -1)
    total = x * 0
    for _ in range(uses):
        total = total + Twice()(x * 1.0) + Twice()(x)
    total.sum().backward()
    assert grad_of(x) == [4 * uses, 4 * uses]
    assert any(Twice.added)


def test_an_operation_does_not_add_where_an_observer_wants_its_own_gradient() -> None:
    class Watching(Observer):
        seen: ClassVar[list[Any]] = []

        def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
            if function.name == "Twice" and gradients[0] is not None:
                self.seen.append(gradients[0].tolist())

    x = leaf(1, -1)
    y = x * 1.0
    loss = (Twice()(y) + Twice()(y)).sum()
    with observe(Watching()):
        loss.backward()
    assert Watching.seen == [[2, 2], [2, 2]]
    assert grad_of(x) == [4, 4]


def test_a_borrowed_gradient_is_never_added_to() -> None:
    """`+` hands one array to both of its inputs; Twice runs first in backward or last."""
    for order in (lambda a, b: a + b, lambda a, b: b + a):
        x, z = leaf(1, -1), leaf(0, 0)
        y = x * 1.0
        order(y + z, Twice()(y)).sum().backward()
        assert grad_of(x) == [3, 3]
        assert grad_of(z) == [1, 1]


class Scaled(Function):
    """a * b, a team with others of its kind that see the same `a`."""

    teams: ClassVar[list[int]] = []

    def forward(self, a: Array, b: Array) -> Array:
        self.team = "scaled"
        self.save(a, b)
        return a * b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        self.teams.append(1)
        return grad * b, grad * a

    @staticmethod
    def team_backward(team: Any, grads: Any) -> list[tuple[Array | None, ...]]:
        Scaled.teams.append(len(team))
        (a, _), *_ = (member.saved for member in team)
        owed = sum(grad * member.saved[1] for member, grad in zip(team, grads, strict=True))
        return [(owed if member is team[0] else None, grad * a) for member, grad in zip(team, grads, strict=True)]


@pytest.fixture
def teams() -> list[int]:
    """The sizes of the teams of `Scaled` that have run."""
    Scaled.teams.clear()
    return Scaled.teams


@pytest.mark.parametrize("is_leaf", [False, True])
def test_operations_of_a_team_run_together(teams: list[int], is_leaf: bool) -> None:
    x, a, b, c = leaf(1, -1), leaf(2, 3), leaf(5, 7), leaf(11, 13)
    y = x if is_leaf else x * 1.0
    first = Scaled()(y, a)
    (Scaled()(first, c) + Scaled()(y, b)).sum().backward()
    assert teams == [1, 2]  # the second sees another input
    assert [grad_of(t) for t in (x, a, b, c)] == [[27, 46], [11, -13], [1, -1], [2, -3]]


def test_a_team_does_not_wait_for_what_others_wait_for(teams: list[int]) -> None:
    """The second operation's weight was computed from the first one's result: together they would wait for ever."""
    x, a = leaf(1, -1), leaf(2, 3)
    y = x * 1.0
    first = Scaled()(y, a)
    Scaled()(y, first * 1.0).sum().backward()
    assert teams == [1, 1]
    assert [grad_of(t) for t in (x, a)] == [[4, -6], [1, 1]]


def test_convolutions_that_saw_different_data_are_no_team() -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 1, 3, 2, 2))
    x = Tensor(first, requires_grad=True)
    w, v = (Tensor(np.ones((1, 3, 1, 1)), requires_grad=True) for _ in range(2))
    a = F.conv2d(x, w)
    x.data = second
    (a.sum() + F.conv2d(x, v).sum()).backward()
    np.testing.assert_allclose(w.grad, first.sum((0, 2, 3)).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(v.grad, second.sum((0, 2, 3)).reshape(1, 3, 1, 1))


def test_operations_of_a_team_run_alone_where_an_observer_wants_their_own_gradients(teams: list[int]) -> None:
    x, a = leaf(1, -1), leaf(2, 3)
    y = x * 1.0
    loss = (Scaled()(y, a) + Scaled()(y, a)).sum()
    with observe(Observer()):
        loss.backward()
    assert teams == [1, 1]
    assert [grad_of(t) for t in (x, a)] == [[4, 6], [2, -2]]


def test_each_member_of_a_team_has_its_hooks_and_its_observers(teams: list[int]) -> None:
    class Watching(Observer):
        needs_own_gradients = False
        seen: ClassVar[list[str]] = []

        def before_backward(self, function: Function, gradient: Array) -> None:
            self.seen.append(f"before {function.name}")

        def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
            self.seen.append(f"after {function.name}")

    x, a, b = leaf(1, -1), leaf(2, 3), leaf(5, 7)
    y = x * 1.0
    first, second = Scaled()(y, a), Scaled()(y, b)
    first.register_hook(lambda gradient: gradient * 10)
    second.register_hook(lambda gradient: gradient * 100)
    loss = (first + second).sum()
    with observe(Watching()):
        loss.backward()
    assert [grad_of(t) for t in (x, a, b)] == [[520, 730], [10, -10], [100, -100]]
    assert Watching.seen[4:8] == ["before Scaled", "before Scaled", "after Scaled", "after Scaled"]


def test_matrix_times_itself_agrees() -> None:
    agree(lambda F, x: x @ x, normal(3, 3), check=True)


def test_a_diamond_visits_each_operation_once_with_its_complete_gradient() -> None:
    def diamond(F: Any, x: Any, y: Any) -> Any:
        a = x * y
        b, c = a.exp(), a * a
        d = b + c * a
        return d * b - d

    agree(diamond, normal(2, 3), normal(2, 3, seed=1), check=True)


def test_wide_sharing_agrees() -> None:
    def shared(F: Any, x: Any) -> Any:
        h = x * 2
        parts = [h * k for k in range(1, 6)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part * h
        return total

    agree(shared, normal(4), check=True)


def test_gradients_of_two_leaves_are_never_one_array() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    (x + y).backward(np.ones(2, np.float32))
    assert x.grad is not None
    assert y.grad is not None
    assert not np.shares_memory(x.grad, y.grad)
    x.grad += 1
    assert grad_of(y) == [1, 1]


def test_the_gradient_sent_in_is_neither_kept_nor_changed() -> None:
    x, sent = leaf(1, 2), np.array([5, 6], np.float32)
    (x + x + x).backward(sent)
    x.backward(sent)
    assert x.grad is not None
    assert not np.shares_memory(x.grad, sent)
    assert sent.tolist() == [5, 6]
    assert grad_of(x) == [20, 24]


# --- several passes


def test_passes_accumulate() -> None:
    x = leaf(1, 2)
    for _ in range(3):
        (x * 2).sum().backward()
    assert grad_of(x) == [6, 6]


def test_a_second_walk_raises_and_leaves_gradients_as_they_were() -> None:
    x = leaf(1, 2)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="backward: <Sum> has been through backward before"):
        loss.backward()
    assert grad_of(x) == [2, 4]


def test_a_part_shared_by_two_losses_raises_on_the_second() -> None:
    x = leaf(1, 2)
    shared = x * x
    first, second = shared.sum(), (shared * x).sum()
    first.backward()
    with pytest.raises(RuntimeError, match="<Mul> has been through backward before"):
        second.backward()
    assert grad_of(x) == [2, 4]


# --- long chains


def chain(x: Tensor, length: int = 10_000) -> Tensor:
    for _ in range(length):
        x = x + 1
    return x


def test_a_chain_of_10_000_operations_goes_back() -> None:
    x = leaf(1)
    chain(x).backward()
    assert grad_of(x) == [1]


def test_a_chain_of_10_000_operations_is_collected_without_a_walk() -> None:
    x = leaf(1)
    end = chain(x)
    first = weakref.ref(end.grad_fn)
    del end
    gc.collect()
    assert first() is None


# --- hooks


def test_hooks_on_a_leaf_see_replace_and_can_be_removed() -> None:
    x, seen = leaf(1, 2), []
    see = x.register_hook(lambda gradient: seen.append(gradient.copy()))
    x.register_hook(lambda gradient: gradient * 10)
    (x + x).sum().backward()
    assert [gradient.tolist() for gradient in seen] == [[2, 2]]
    assert grad_of(x) == [20, 20]
    see.remove()
    see.remove()
    (x + x).sum().backward()
    assert len(seen) == 1
    assert grad_of(x) == [40, 40]


def test_a_hook_inside_replaces_the_complete_gradient() -> None:
    x = leaf(1, 2)
    h = x * 3
    h.register_hook(lambda gradient: gradient * 0 + 1)
    (h * h + h).sum().backward()
    assert grad_of(x) == [3, 3]


def test_a_hook_must_keep_shape_and_dtype() -> None:
    x = leaf(1, 2)
    x.register_hook(lambda gradient: gradient.astype(np.float64))
    with pytest.raises(RuntimeError, match=r"hook: returned float64 \(2,\), expected float32 \(2,\)"):
        (x * 2).sum().backward()


def test_hooks_need_a_gradient() -> None:
    with pytest.raises(RuntimeError, match="register_hook: this tensor does not require a gradient"):
        Tensor([1.0]).register_hook(lambda gradient: None)


def test_retain_grad_accumulates_once_a_pass_however_often_asked() -> None:
    x = leaf(1, 2)
    h = x * 3
    h.retain_grad()
    h.retain_grad()
    x.retain_grad()
    (h * h).sum().backward()
    assert grad_of(h) == [6, 12]
    assert grad_of(x) == [18, 36]


def test_gradients_inside_are_not_kept_unasked() -> None:
    x = leaf(1, 2)
    h = x * 3
    (h * h).sum().backward()
    assert h.grad is None


# --- errors


def test_backward_needs_a_gradient_for_more_than_one_number() -> None:
    with pytest.raises(RuntimeError, match=r"backward: gradient is needed for a tensor of shape \(2,\)"):
        (leaf(1, 2) * 2).backward()


@pytest.mark.parametrize(
    "gradient", [np.ones(3, np.float32), np.ones((2, 1), np.float32), np.ones(2), Tensor([1, 1]), Tensor([1.0])]
)
def test_the_gradient_sent_in_must_fit(gradient: Any) -> None:
    with pytest.raises(ValueError, match=r"gradient: given .*, expected float32 \(2,\)"):
        (leaf(1, 2) * 2).backward(gradient)


def test_backward_accepts_a_tensor_and_one_number_needs_none() -> None:
    x = leaf(1, 2)
    (x * 2).backward(Tensor([1.0, 3.0]))
    assert grad_of(x) == [2, 6]
    y = leaf(5)
    (y * 2).backward()
    assert grad_of(y) == [2]


def test_backward_of_a_constant_raises() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        Tensor([1.0]).backward()


def test_what_retain_grad_keeps_has_been_through_all_hooks() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * 1
    y.retain_grad()
    y.register_hook(lambda gradient: 10 * gradient)
    y.sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [10]


def test_a_gradient_or_a_hook_that_is_no_array_is_named() -> None:
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(TypeError, match="gradient: given list"):
        (x * 2).backward([1.0])  # type: ignore[arg-type]
    y = x * 2
    y.register_hook(lambda gradient: Tensor(gradient))  # type: ignore[arg-type, return-value]
    with pytest.raises(RuntimeError, match="hook: returned Tensor, expected an array"):
        y.sum().backward()
