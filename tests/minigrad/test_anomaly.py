"""detect_anomaly: the operation that first made a number that is not finite, forward or backward; and that errors name
operation and module."""

import sys
import traceback
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from minigrad import Function, Tensor, functional as F, nn
from minigrad.anomaly import AnomalyError


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 2).log()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), Logarithm())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Broken(Function):
    """The identity, with a backward that is not finite."""

    def forward(self, a: np.ndarray) -> np.ndarray:
        return a + 0

    def backward(self, grad: np.ndarray) -> tuple[np.ndarray]:
        return (np.where(np.arange(grad.size).reshape(grad.shape) == 1, np.inf, grad).astype(grad.dtype),)


def with_negatives() -> Tensor:
    net = Net()
    net.inner[0].weight.data[:] = -np.eye(3, dtype=np.float32)
    return net(Tensor(np.array([[1.0, -1.0, 2.0]], np.float32)))


def test_forward_names_the_operation_its_module_and_the_line() -> None:
    with pytest.raises(AnomalyError) as caught, minigrad.detect_anomaly():
        with_negatives()
    message = str(caught.value)
    assert message.startswith("<Log in inner.1>: forward made 2 NaN of 3 numbers out of finite numbers; called at ")
    assert f"{__file__}:" in message


def test_it_is_the_first_operation_that_is_named_and_not_one_that_passes_it_on() -> None:
    def passed_on() -> Tensor:
        return (Tensor([1.0]) / Tensor([0.0]) * 2).exp()

    with pytest.raises(AnomalyError, match=r"^<Div>: forward made 1 infinite of 1 numbers"), minigrad.detect_anomaly():
        passed_on()


def test_what_no_operation_has_made_is_said_to_have_come_in() -> None:
    x = Tensor([1.0, float("nan"), float("inf")])
    message = r"^<Add>: forward was given 1 NaN and 1 infinite of 3 numbers in 'a', which no operation in the block"
    with pytest.raises(AnomalyError, match=message), minigrad.detect_anomaly():
        x + 1.0


def test_running_statistics_that_are_not_finite_are_not_blamed_on_the_operation() -> None:
    layer = nn.BatchNorm2d(2).eval()
    layer.running_mean.data[1] = np.nan
    message = r"^<BatchNorm>: forward was given 1 NaN of 2 numbers in 'statistics', which no operation in the block"
    with pytest.raises(AnomalyError, match=message), minigrad.detect_anomaly():
        layer(Tensor(np.zeros((1, 2, 3, 3), np.float32)))


def test_backward_names_the_operation_and_where_its_forward_was_called() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(AnomalyError) as caught, minigrad.detect_anomaly():
        (Broken()(x * 1) * 1).sum().backward()
    message = str(caught.value)
    assert message.startswith("<Broken>: backward made 1 infinite of 3 numbers in the gradient of 'a'; ")
    assert f"forward was called at {__file__}:" in message


def test_a_gradient_that_begins_so_is_not_blamed_on_an_operation() -> None:
    y = Tensor([1.0], requires_grad=True) * 2
    with pytest.raises(AnomalyError, match=r"^<Mul>: backward was given 1 NaN of 1"), minigrad.detect_anomaly():
        y.backward(np.array([np.nan], np.float32))


def test_finite_steps_pass_and_nobody_watches_outside() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, activation="relu"), nn.MaxPool2d(2, 1, 1), nn.Flatten(), nn.Linear(18, 2))
    with minigrad.detect_anomaly():
        F.cross_entropy(net(Tensor(np.ones((2, 1, 4, 4), np.float32))), np.array([0, 1])).backward()
    with_negatives()


# --- errors


def convolved() -> None:
    nn.Sequential(nn.Conv2d(3, 4, 3))(Tensor(np.zeros((1, 2, 5, 5), np.float32)))


def mixed() -> None:
    nn.Sequential(Net())(Tensor(np.zeros((1, 3))))


def backwards() -> None:
    class Wrong(Broken):
        def backward(self, grad: np.ndarray) -> tuple[np.ndarray]:
            return (grad[:1],)

    Wrong()(Tensor([1.0, 2.0], requires_grad=True)).sum().backward()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors take notes since Python 3.11")
@pytest.mark.parametrize(
    ("wrong", "note"),
    [
        (convolved, "forward of <Conv2d in 0>, given float32 (1, 2, 5, 5), float32 (4, 3, 3, 3), float32 (4,)"),
        (mixed, "forward of <Linear in 0.inner.0>, given float64 (1, 3), float32 (3, 3), float32 (3,)"),
        (backwards, "backward of <Wrong>, given float32 (2,)"),
    ],
)  # fmt: skip
def test_the_traceback_of_an_error_names_operation_module_and_shapes(wrong: Callable[[], None], note: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)) as caught:
        wrong()
    assert traceback.format_exception(caught.value)[-1].strip() == note
