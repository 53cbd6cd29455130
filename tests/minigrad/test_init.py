"""Initialisers: the size of the numbers, and that they follow from the seed and the logical shape alone."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from kernels.layout import oihw
from minigrad import Tensor, nn
from minigrad.nn import init

WEIGHT = (96, 32, 3, 3)  # fan_in 288, fan_out 864
STANDARD_DEVIATIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "uniform": (lambda t: init.uniform_(t, -1.0, 2.0), 3 / math.sqrt(12)),
    "normal": (lambda t: init.normal_(t, 0.0, 0.3), 0.3),
    "xavier_uniform": (init.xavier_uniform_, math.sqrt(2 / (288 + 864))),
    "xavier_uniform, gain": (lambda t: init.xavier_uniform_(t, 3.0), 3 * math.sqrt(2 / (288 + 864))),
    "xavier_normal": (lambda t: init.xavier_normal_(t, 0.5), 0.5 * math.sqrt(2 / (288 + 864))),
    "kaiming_uniform": (init.kaiming_uniform_, math.sqrt(2 / 288)),
    "kaiming_normal": (init.kaiming_normal_, math.sqrt(2 / 288)),
    "kaiming_normal, fan_out": (lambda t: init.kaiming_normal_(t, "fan_out"), math.sqrt(2 / 864)),
    "kaiming_uniform, linear": (lambda t: init.kaiming_uniform_(t, "fan_in", "linear"), math.sqrt(1 / 288)),
}


@pytest.mark.parametrize("name", STANDARD_DEVIATIONS)
def test_standard_deviation(name: str) -> None:
    initialise, expected = STANDARD_DEVIATIONS[name]
    minigrad.manual_seed(0)
    tensor = Tensor(np.zeros(WEIGHT, np.float32))
    assert initialise(tensor) is tensor
    numbers = tensor.numpy()  # 27,648 of them: their deviation is known to about 0.5 %
    assert numbers.std() == pytest.approx(expected, rel=0.02)
    centre = 0.5 if name == "uniform" else 0.0
    assert numbers.mean() == pytest.approx(centre, abs=0.03 * expected)


@pytest.mark.parametrize("name", ["uniform", "xavier_uniform", "kaiming_uniform"])
def test_uniform_ones_fill_their_range_and_stay_inside(name: str) -> None:
    initialise, deviation = STANDARD_DEVIATIONS[name]
    numbers = initialise(Tensor(np.zeros(WEIGHT))).numpy()
    centre, bound = (0.5 if name == "uniform" else 0.0), deviation * math.sqrt(3)
    assert np.abs(numbers - centre).max() <= bound
    assert np.abs(numbers - centre).max() > 0.99 * bound


def test_normal_ones_have_tails() -> None:
    numbers = init.kaiming_normal_(Tensor(np.zeros(WEIGHT))).numpy() / math.sqrt(2 / 288)
    assert (np.abs(numbers) > 2).mean() == pytest.approx(0.0455, rel=0.1)


def test_mean_and_constant() -> None:
    assert init.normal_(Tensor(np.zeros(10_000)), 5.0, 0.1).numpy().mean() == pytest.approx(5, abs=0.01)
    assert init.constant_(Tensor(np.zeros((2, 2))), 3.0).numpy().tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("name", STANDARD_DEVIATIONS)
def test_numbers_follow_from_the_seed(name: str) -> None:
    initialise, _ = STANDARD_DEVIATIONS[name]

    def draw(seed: int) -> Any:
        minigrad.manual_seed(seed)
        return initialise(Tensor(np.zeros((4, 3, 2, 2)))).numpy()

    np.testing.assert_array_equal(draw(1), draw(1))
    assert (draw(1) != draw(2)).all()


def test_each_tensor_has_numbers_of_its_own() -> None:
    minigrad.manual_seed(0)
    first, second = (init.normal_(Tensor(np.zeros(5))).numpy() for _ in range(2))
    assert (first != second).all()


def test_numbers_do_not_depend_on_memory_layout() -> None:
    plain, ours = Tensor(np.zeros((4, 3, 2, 5))), Tensor(oihw(np.zeros((2, 5, 3, 4))))
    for tensor in (plain, ours):
        minigrad.manual_seed(0)
        init.kaiming_normal_(tensor)
    assert plain.numpy().strides != ours.numpy().strides
    np.testing.assert_array_equal(plain.numpy(), ours.numpy())


def test_signals_keep_their_size_through_layers_with_relu() -> None:
    minigrad.manual_seed(0)
    x = Tensor(np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32))
    for _ in range(10):
        weight = init.kaiming_normal_(Tensor(np.zeros((256, 256), np.float32)))
        x = nn.ReLU()(x @ weight.transpose(0, 1))
    assert 0.5 < np.square(x.numpy()).mean() < 2


def test_layers_begin_as_documented() -> None:
    minigrad.manual_seed(0)
    conv, linear = nn.Conv2d(64, 32, 3, groups=2), nn.Linear(400, 200)
    assert conv.weight.numpy().std() == pytest.approx(math.sqrt(2 / (32 * 9)), rel=0.05)
    assert linear.weight.numpy().std() == pytest.approx(math.sqrt(2 / 600), rel=0.05)
    assert not conv.bias.numpy().any()
    assert not linear.bias.numpy().any()


@pytest.mark.parametrize(
    ("initialise", "message"),
    [
        (lambda: init.kaiming_normal_(Tensor(np.zeros(3))), r"tensor: given shape \(3,\), expected a weight"),
        (lambda: init.xavier_uniform_(Tensor(0.0)), r"tensor: given shape \(\)"),
        (lambda: init.kaiming_normal_(Tensor(np.zeros((2, 2))), "fan"), "mode: given 'fan', expected 'fan_in' or"),
        (lambda: init.kaiming_uniform_(Tensor(np.zeros((2, 2))), nonlinearity="tan"), "nonlinearity: given 'tan'"),
    ],
)
def test_wrong_arguments_are_named(initialise: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        initialise()
