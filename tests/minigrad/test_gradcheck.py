"""The gradient checker accepts right gradients, rejects wrong ones, and says where."""

from collections.abc import Callable

import numpy as np
import pytest

from kernels.layout import Array
from minigrad import Function, Tensor, functional as F, gradcheck
from minigrad.gradcheck import SMALL, GradientError
from tests.minigrad.against_torch import normal, spaced


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(normal(*shape, seed=seed), requires_grad=True)


def with_backward(
    forward: Callable[[Array], Array], backward: Callable[[Array, Array], Array]
) -> Callable[..., Tensor]:
    """A function whose backward is `backward(grad, x)`, right or wrong."""

    class Custom(Function):
        def forward(self, x: Array) -> Array:
            self.save(x)
            return forward(x)

        def backward(self, grad: Array) -> tuple[Array, ...]:
            return (backward(grad, self.saved[0]),)

    return lambda x: Custom()(x)


def softmax(x: Array) -> Array:
    exponentials = np.exp(x)
    result: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


RIGHT: dict[str, tuple[Callable[..., Tensor], list[Tensor]]] = {
    "product": (lambda a, b: a * b, [leaf(2, 3), leaf(3)]),
    "softmax": (lambda x: F.softmax(x, 1), [leaf(2, 3)]),
    "one number": (lambda x: (x * x).sum(), [leaf(2, 3)]),
    "large": (lambda x, w: F.conv2d(x, w, padding=1), [leaf(2, 3, 8, 8), leaf(4, 3, 3, 3)]),
    "constant": (lambda x: Tensor(np.ones(2)), [leaf(2)]),
    "only one input": (lambda a, b: a * b, [leaf(2), Tensor(np.ones(2))]),
    "relu, off its kink": (F.relu, [Tensor(spaced(3, 4), requires_grad=True)]),
    # Shared evenly, the gradient of a tie is the mean of the slopes left and right, as central differences have it.
    "a tie of two": (lambda x: x.max(), [Tensor(np.array([2.0, 2.0, 1.0]), requires_grad=True)]),
    "empty": (lambda x: x * 2, [leaf(0, 3)]),
    "no axes": (lambda x: x * x, [leaf()]),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name: str) -> None:
    fn, inputs = RIGHT[name]
    assert gradcheck(fn, inputs)


LARGE = (16, 32)
WRONG: dict[str, tuple[Callable[..., Tensor], tuple[int, ...]]] = {
    "softmax without the sum": (with_backward(softmax, lambda grad, x: grad * softmax(x)), (2, 3)),
    "large softmax without the sum": (with_backward(softmax, lambda grad, x: grad * softmax(x)), LARGE),
    "a factor of 2": (with_backward(np.exp, lambda grad, x: 2 * grad * np.exp(x)), (2, 3)),
    "a large factor of 2": (with_backward(np.exp, lambda grad, x: 2 * grad * np.exp(x)), LARGE),
    "a sign": (with_backward(np.sin, lambda grad, x: -grad * np.cos(x)), (4,)),
    "one part in 10,000": (with_backward(np.sin, lambda grad, x: grad * np.cos(x) * 1.0001), (4,)),
    "one element forgotten": (with_backward(lambda x: x * 2, lambda grad, x: 2 * grad * (np.arange(4) > 0)), (4,)),
    "x - x by identity": (with_backward(lambda x: x - x, lambda grad, x: grad), (3,)),
    "x * x, one factor lost": (with_backward(lambda x: x * x, lambda grad, x: grad * x), (3,)),
    "transposed": (with_backward(lambda x: x.T * 1.0, lambda grad, x: grad.reshape(x.shape)), (2, 3)),
    "no gradient at all": (lambda x: Tensor(x.numpy() * 2) + x * 0, (3,)),
    "detached": (lambda x: x.detach() * 2, (3,)),
    "NaN": (with_backward(lambda x: x * 1.0, lambda grad, x: grad * np.nan), (3,)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_are_rejected(name: str) -> None:
    fn, shape = WRONG[name]
    with pytest.raises(GradientError):
        gradcheck(fn, [leaf(*shape)])


def test_an_upstream_of_ones_would_hide_the_wrong_softmax() -> None:
    x = leaf(2, 3)
    y = WRONG["softmax without the sum"][0](x)
    right = F.softmax(x, 1)
    right.backward(np.ones((2, 3)))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad, 0, atol=1e-12)
    assert abs(y.numpy().sum() - 2) < 1e-12  # what ones see is a constant


def test_large_functions_are_asked_in_random_directions() -> None:
    calls: list[int] = []

    def count(x: Tensor) -> Tensor:
        calls.append(1)
        return x * 3

    gradcheck(count, [leaf(SMALL)])
    assert len(calls) < 50


def test_the_second_input_is_checked_too() -> None:
    def wrong_for_b(a: Tensor, b: Tensor) -> Tensor:
        return a * b + WRONG["a factor of 2"][0](b)

    with pytest.raises(GradientError, match="input 1"):
        gradcheck(wrong_for_b, [leaf(2), leaf(2, seed=1)])


def test_the_message_tells_input_direction_and_both_values() -> None:
    def doubled(x: Tensor) -> Tensor:
        return with_backward(lambda x: x * 3, lambda grad, x: grad * 6)(x)

    with pytest.raises(GradientError) as caught:
        gradcheck(doubled, [Tensor(np.array([1.25, 4.5]), requires_grad=True)])
    message = str(caught.value)
    assert "doubled: input 0, element (0,)" in message
    assert "backward gives      6" in message
    assert "differences give    3" in message
    assert "[1.25 4.5 ]" in message
    assert "direction  [1. 0.]" in message
    assert "kink" not in message


@pytest.mark.parametrize(
    ("fn", "numbers"),
    [
        (F.relu, [1.0, 0.0]),
        (lambda x: F.max_pool2d(x.reshape(1, 1, 1, 2), (1, 2)), [2.0, 2.0]),
        (lambda x: x.max(0).values, [2.0, 2.0, 1.0]),
    ],
)
def test_a_kink_is_named(fn: Callable[[Tensor], Tensor], numbers: list[float]) -> None:
    with pytest.raises(GradientError, match="this looks like a kink"):
        gradcheck(fn, [Tensor(np.array(numbers), requires_grad=True)])


def test_float32_warns() -> None:
    with pytest.warns(UserWarning, match="inputs should be float64"):
        gradcheck(lambda x: x * 2, [Tensor([1.0], requires_grad=True)], eps=1e-2, rtol=1e-3)


def test_inputs_stay_as_they_were() -> None:
    x = leaf(3)
    before = x.numpy().copy()
    gradcheck(lambda x: x * x, [x])
    assert x.grad is None
    np.testing.assert_array_equal(x.numpy(), before)


def test_gradients_of_others_stay_as_they_were() -> None:
    """Also those that are there: backward adds to them in place."""
    weight, bias = leaf(3), leaf(3)
    weight.grad = np.ones(3)
    gradcheck(lambda x: x * weight + bias, [leaf(3)])
    assert weight.grad.tolist() == [1, 1, 1]
    assert bias.grad is None


def test_nothing_to_check_is_an_error() -> None:
    with pytest.raises(ValueError, match="inputs: given none that requires a gradient"):
        gradcheck(lambda x: x, [Tensor([1.0])])


LABELS = np.array([0, 2])
FAMILIES: dict[str, tuple[Callable[..., Tensor], list[Tensor]]] = {
    "arithmetic": (lambda a, b: (a * b - a / (b * b + 1)).exp(), [leaf(2, 3), leaf(2, 1)]),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [leaf(1, 2, 3, 3), leaf(2, 2, 3, 3), leaf(2)]),
    "linear": (F.linear, [leaf(2, 3), leaf(4, 3), leaf(4)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 1, 1), [Tensor(spaced(1, 2, 4, 4), requires_grad=True)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), [leaf(1, 2, 4, 4)]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), [leaf(1, 2, 3, 5)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), [leaf(4, 3), leaf(3), leaf(3, seed=1)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 4, 0.5), [leaf(1, 6, 2, 1)]),
    "softmax": (lambda x: F.softmax(x, 1), [leaf(2, 3)]),
    "log_softmax": (lambda x: F.log_softmax(x, 1), [leaf(2, 3)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1), [leaf(2, 3)]),
    "shapes": (
        lambda a, b: F.pad(F.cat([a, b], 1), (1, -1)).permute(2, 0, 1)[[0, 0, 1]], [leaf(2, 1, 3), leaf(2, 2, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_operations_passes(name: str, backend: str) -> None:
    """PyTorch is not asked here: this is what holds the gradients where it is not installed."""
    fn, inputs = FAMILIES[name]
    assert gradcheck(fn, inputs)
