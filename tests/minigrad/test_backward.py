"""The walk back: sums of gradients, what is freed and when, hooks, no_grad, and Functions that are wrong."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from kernels.layout import Array
from minigrad import Function, Tensor, functional as F, is_grad_enabled, no_grad, ops
from tests.minigrad.against_torch import agree, normal


def leaf(*numbers: float) -> Tensor:
    return Tensor(np.array(numbers, np.float32), requires_grad=True)


def grad_of(tensor: Tensor) -> list[Any]:
    assert tensor.grad is not None
    return tensor.grad.tolist()


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


# --- what is kept


class Square(Function):
    """x * x, which tells of its saved array through a weak reference."""

    alive: list[weakref.ref[Any]]

    def forward(self, x: Array) -> Array:
        kept = x.copy()
        type(self).alive.append(weakref.ref(kept))
        self.save(kept)
        return x * x

    def backward(self, grad: Array) -> tuple[Array, ...]:
        (x,) = self.saved
        return (2 * x * grad,)


@pytest.fixture
def square() -> type[Square]:
    Square.alive = []
    return Square


def test_what_backward_used_is_freed_at_once(square: type[Square]) -> None:
    x = leaf(1, 2)
    first = square()(x)
    second = square()(first)
    counts: list[int] = []
    first.register_hook(lambda gradient: counts.append(sum(ref() is not None for ref in square.alive)))
    loss = second.sum()
    loss.backward()
    assert counts == [1]  # while the walk is between the two, the second's array is gone already
    assert [ref() for ref in square.alive] == [None, None]
    assert loss.grad_fn is not None
    assert loss.grad_fn.saved == ()


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_saved_where_no_gradient_is_needed(enabled: bool, square: type[Square]) -> None:
    if enabled:
        output = square()(Tensor([1.0, 2.0]))
    else:
        with no_grad():
            output = square()(leaf(1, 2))
    assert [ref() for ref in square.alive] == [None]
    assert output.grad_fn is None
    assert not output.requires_grad


class Needs(Function):
    """Notes which gradients it was asked for."""

    def forward(self, a: Array, b: Array) -> Array:
        return a * b

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        type(self).asked = self.needs
        return tuple(grad if need else None for need in self.needs)


def test_operations_are_told_which_gradients_are_needed() -> None:
    constant, x = Tensor([1.0]), leaf(2)
    Needs()(constant, x).backward()
    assert Needs.asked == (False, True)
    assert constant.grad is None


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("operation", [ops.Add, ops.Sub, ops.Mul, ops.Div, ops.MatMul])
def test_gradients_that_are_not_needed_are_not_computed(operation: type[Function], position: int) -> None:
    operands = [Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]
    operands[position].requires_grad = True
    output = operation()(*operands)
    assert output.grad_fn is not None
    gradients = output.grad_fn.backward(np.ones_like(output.numpy()))
    assert [gradient is not None for gradient in gradients] == [position == 0, position == 1]


def test_convolution_computes_only_the_gradients_that_are_needed() -> None:
    x, weight = Tensor(np.ones((1, 1, 3, 3))), Tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    output = F.conv2d(x, weight, Tensor(np.ones(1)))
    assert output.grad_fn is not None
    input_grad, weight_grad, bias_grad = output.grad_fn.backward(output.numpy())
    assert input_grad is None
    assert weight_grad is not None
    assert bias_grad is None


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


# --- no_grad


def test_no_grad_as_context_and_as_decorator() -> None:
    x = leaf(1, 2)

    @no_grad()
    def double(x: Tensor) -> Tensor:
        return x * 2

    for _ in range(2):
        assert not double(x).requires_grad
    with no_grad():
        assert not is_grad_enabled()
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    assert is_grad_enabled()
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_no_grad_belongs_to_its_thread() -> None:
    found: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: found.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


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


def wrong(name: str, result: Callable[[Array], Any]) -> Function:
    """A Function called `name` whose backward returns `result(grad)`."""
    methods = {"forward": lambda self, x: x * 2, "backward": lambda self, grad: result(grad)}
    function: Function = type(name, (Function,), methods)()
    return function


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda g: (g[:1],), r"Wrong.backward: gradient 0: given float32 \(1,\), expected float32 \(2,\)"),
        (lambda g: (g.astype(np.float64),), r"Wrong.backward: gradient 0: given float64 \(2,\), expected float32"),
        (lambda g: (None,), "Wrong.backward: gradient 0: given NoneType, expected float32"),
        (lambda g: (g, g), "Wrong.backward returned 2 gradients, expected 1"),
        (lambda g: (), "Wrong.backward returned 0 gradients, expected 1"),
        (lambda g: g, "Wrong.backward returned ndarray, expected a tuple"),
        (lambda g: None, "Wrong.backward returned NoneType, expected a tuple"),
        (lambda g: (2.0,), r"Wrong.backward: gradient 0: given float, expected float32 \(2,\)"),
    ],
)
def test_a_function_whose_backward_is_wrong_is_named(result: Callable[[Array], Any], message: str) -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match=message):
        wrong("Wrong", result)(x).sum().backward()


def test_functions_without_forward_or_backward_say_so() -> None:
    with pytest.raises(NotImplementedError):
        Function()(leaf(1))


def test_minigrad_offers_what_custom_functions_need() -> None:
    assert minigrad.Function is Function
