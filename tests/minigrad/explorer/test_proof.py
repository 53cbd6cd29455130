"""The proof on a page: right gradients pass everywhere, also at kinks, and wrong ones are seen."""

from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from kernels.layout import Array
from minigrad import Function, Tensor, functional as F, nn
from minigrad.explorer.proof import Proof, prove
from minigrad.explorer.record import record
from tests.minigrad.against_torch import normal

RIGHT = 1e-5
"""Rounding of float32 makes this much, at most."""


def images(*shape: int) -> Tensor:
    return Tensor(normal(*shape).astype(np.float32), requires_grad=True)


def of(name: str, compute: Callable[[], Tensor]) -> Proof:
    """The proof of the one operation with that name in what `compute` does, whose result is summed up unevenly."""

    def loss() -> Tensor:
        output = compute()
        return (output * Tensor(normal(*output.shape, seed=5).astype(output.dtype))).sum()

    (operation,) = (each for each in record(loss).operations if each.function.name == name)
    proof = prove(operation)
    assert proof is not None
    return proof


CASES: dict[str, Callable[[], Tensor]] = {
    "Conv2d": lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1, activation="relu")(images(2, 3, 7, 7)),
    "BatchNorm": lambda: nn.BatchNorm2d(3, activation="relu")(images(4, 3, 5, 5)),
    "MaxPool2d": lambda: F.max_pool2d(images(2, 3, 6, 6), 3, 2, 1),
    "AvgPool2d": lambda: F.avg_pool2d(images(2, 3, 6, 6), 3, 2, 1),
    "LocalResponseNorm": lambda: F.local_response_norm(images(2, 7, 3, 3), 5),
    "Linear": lambda: nn.Linear(5, 4)(images(3, 5)),
    "Dropout": lambda: F.dropout(images(3, 50), 0.4),
    "Softmax": lambda: F.softmax(images(3, 5), 1),
    "CrossEntropy": lambda: F.cross_entropy(images(3, 5), np.array([1, 0, 4])),
    "Cat": lambda: F.cat([images(2, 3), images(2, 4)], 1),
    "Exp": lambda: images(3, 4).exp(),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_right_gradients_pass_on_every_backend(name: str, backend: str) -> None:
    proof = of(name, CASES[name])
    assert proof.difference < RIGHT
    assert proof.directions == 3
    assert proof.kinks <= 0.02 * proof.outputs


class Slip(Function):
    """a * a, whose gradient is too large by 1 in 1,000."""

    def forward(self, a: Array) -> Array:
        self.save(a)
        result: Array = a * a
        return result

    def backward(self, grad: Array) -> tuple[Array]:
        (a,) = self.saved
        return ((2.002 * a * grad).astype(grad.dtype),)


def test_a_wrong_gradient_is_seen_by_as_much_as_it_is_wrong() -> None:
    assert of("Slip", lambda: Slip()(images(4, 5))).difference == pytest.approx(0.001, rel=0.01)


def test_a_gradient_that_is_wrong_in_one_input_only_is_seen() -> None:
    class OneWrong(Function):
        def forward(self, a: Array, b: Array) -> Array:
            self.save(a, b)
            result: Array = a * b
            return result

        def backward(self, grad: Array) -> tuple[Array, ...]:
            a, b = self.saved
            return grad * b, -grad * a

    assert of("OneWrong", lambda: OneWrong()(images(4, 5), images(4, 5))).difference > 0.1


def test_ties_in_a_max_pool_are_left_out_and_the_others_are_right() -> None:
    half = np.repeat(np.array([0.0, 1.0], np.float32), 32).reshape(1, 1, 8, 8)
    half[0, 0, 4:] += normal(4, 8).astype(np.float32)
    proof = of("MaxPool2d", lambda: F.max_pool2d(Tensor(half, requires_grad=True), 2))
    assert proof.difference < RIGHT
    assert (proof.kinks, proof.outputs) == (8, 16)


def test_relu_at_zero_is_left_out() -> None:
    x = np.array([0.0, 1.0, -1.0, 0.0], np.float32)
    proof = of("ReLU", lambda: F.relu(Tensor(x, requires_grad=True)))
    assert proof.difference < RIGHT
    assert proof.kinks == 2


def test_nothing_is_proven_where_there_is_nothing_to_compare() -> None:
    x = Tensor(np.array([1.0, 0.0], np.float32), requires_grad=True)
    operations = record(lambda: (x.log().to(np.float64) * 1).sum()).operations
    found = {operation.function.name: prove(operation) for operation in operations}
    assert found["Log"] is None  # an infinity
    assert found["Cast"] is None


def test_without_a_gradient_there_is_no_proof() -> None:
    x, frozen = images(2, 2), Tensor(np.ones((2, 2), np.float32))

    def loss() -> Tensor:
        return (x + (frozen * 2)).sum()

    multiplied, added, _ = record(loss).operations
    assert prove(multiplied) is None
    assert prove(added) is not None


def test_a_proof_changes_neither_gradients_nor_random_state() -> None:
    minigrad.manual_seed(3)
    x = images(3, 50)
    operations = record(lambda: F.dropout(x, 0.5).sum()).operations
    assert x.grad is not None
    before, state = x.grad.copy(), minigrad.random.get_state()
    for operation in operations:
        prove(operation)
    np.testing.assert_array_equal(x.grad, before)
    assert minigrad.random.get_state() == state


def test_a_smooth_function_has_no_kink_where_its_slope_is_zero() -> None:
    proof = of("Pow", lambda: Tensor(np.zeros(4), requires_grad=True) ** 2)
    assert proof.kinks == 0


def test_kinks_a_little_way_off_are_left_out_wherever_they_are() -> None:
    """Beside numbers around 1, where a step goes 1e-6 far, there are 2,000 that cross 0 after some part of it."""
    x = np.concatenate([normal(16), np.geomspace(1e-9, 1e-6, 2000)])
    proof = of("ReLU", lambda: F.relu(Tensor(x, requires_grad=True)))
    assert proof.difference < 1e-7
    assert proof.agrees
    assert 100 < proof.kinks < 2000


def test_what_rounding_cannot_explain_does_not_agree() -> None:
    assert not of("Slip", lambda: Slip()(images(4, 5))).agrees
    assert of("Exp", lambda: images(3, 4).exp()).agrees
