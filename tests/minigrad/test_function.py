"""Function: what an operation keeps and for how long, which gradients it is asked for, and what is checked of it."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from kernels.layout import Array
from minigrad import Function, Tensor, functional as F, is_grad_enabled, no_grad, ops
from tests.minigrad.leaves import leaf

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


# --- Functions that are wrong


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


@pytest.mark.parametrize(("result", "given"), [((1.0, 2.0), "tuple"), (1.5, "float"), (None, "NoneType")])
def test_a_function_whose_forward_gives_no_array_is_named(result: Any, given: str) -> None:
    function: Function = type("Wrong", (Function,), {"forward": lambda self, x: result})()
    with pytest.raises(TypeError, match=f"Wrong.forward returned {given}, expected one array"):
        function(leaf(1, 2))


def test_functions_without_forward_or_backward_say_so() -> None:
    with pytest.raises(NotImplementedError):
        Function()(leaf(1))


def test_minigrad_offers_what_custom_functions_need() -> None:
    assert minigrad.Function is Function


def test_an_operation_is_applied_once(square: type[Square]) -> None:
    operation = square()
    operation(Tensor([1.0], requires_grad=True))
    with pytest.raises(RuntimeError, match="this object has been applied already; make a new one for each use"):
        operation(Tensor([1.0], requires_grad=True))
