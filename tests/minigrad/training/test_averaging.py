"""Averaged weights, beside the average taken by hand."""

import numpy as np
import pytest

from minigrad import Tensor, functional as F, manual_seed, nn, optim, random
from minigrad.data import FashionMNIST, prepare
from minigrad.nn import Parameter
from minigrad.training.averaged import averaged
from minigrad.training.config import Config


class Normalised(nn.Module):
    """Convolution, batch normalisation, mean: a network whose statistics follow from its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.dropout = nn.Dropout(0.5)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(F.adaptive_avg_pool2d(self.bn(self.dropout(self.conv(x))), 1), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_it_is_the_weighted_mean_of_the_iterates(backend: str, dtype: type, decay: float) -> None:
    rng = np.random.default_rng(0)
    path = rng.standard_normal((30, 5, 3)).astype(dtype)
    parameter = Parameter(path[0].copy())
    average = optim.WeightAverage([parameter], decay)
    expected = path[0].astype(float)
    for n, point in enumerate(path):
        parameter.data[...] = point
        average.step()
        share = 1 - min(decay, (1 + n) / (10 + n))
        expected = expected + (share if n else 1) * (point - expected)
    with average.applied():
        got = parameter.data.copy()
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(parameter.data, path[-1])


def test_a_halted_step_leaves_it(backend: str) -> None:
    parameter = Parameter(np.ones(3, np.float32))
    average = optim.WeightAverage([parameter], 0.9)
    average.step()
    parameter.data[...] = 7
    average.step(np.array([3]))
    np.testing.assert_array_equal(average.averages[0], [1, 1, 1])


def test_before_the_first_step_there_is_no_average() -> None:
    average = optim.WeightAverage([Parameter(np.ones(2, np.float32))], 0.9)
    with pytest.raises(RuntimeError, match="nothing is averaged yet"), average.applied():
        pass


def test_state_comes_back() -> None:
    parameter = Parameter(np.ones((2, 2), np.float32))
    average = optim.WeightAverage([parameter], 0.9)
    average.step()
    parameter.data[...] = 3
    again = optim.WeightAverage([parameter], 0.9)
    again.load_state_dict(average.state_dict())
    for each in (average, again):
        each.step()
    np.testing.assert_array_equal(average.averages[0], again.averages[0])
    np.testing.assert_allclose(again.averages[0], 1 + 2 * (1 - 2 / 11), rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_a_decay_that_averages_nothing_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="decay: given"):
        optim.WeightAverage([], decay)


def test_the_averaged_model_has_statistics_of_its_own(cut_data: FashionMNIST) -> None:
    """And the trained one has its own back, weights, statistics, momentum and mode."""
    manual_seed(0)
    model = Normalised()
    model.bn.running_mean.data[...] = 5
    average = optim.WeightAverage(model.parameters(), 0.5)
    average.step()
    model.conv.weight.data[...] += 1
    average.step()
    before = model.state_dict()
    images = cut_data.train_images[:97]  # the last one makes no batch
    config = Config("Normalised", image_size=28, batch_size=32)
    calls = random.get_state()
    with averaged(model, average, images, config):
        weight = model.conv.weight.data.copy()
        mean, variance = model.bn.running_mean.data.copy(), model.bn.running_var.data.copy()
    np.testing.assert_allclose(weight, before["conv.weight"] - 2 / 11, rtol=1e-5, atol=1e-6)
    x = prepare(images[:96], 28)
    mapped = sum(  # the convolution by hand: (96, 3, 26, 26)
        weight[None, :, :, i, j, None] * x[:, :, i : i + 26, j : j + 26].reshape(96, 1, 1, -1)
        for i in range(3) for j in range(3)
    ).reshape(96, 3, 26, 26) + before["conv.bias"][None, :, None, None]  # fmt: skip
    np.testing.assert_allclose(mean, mapped.mean(axis=(0, 2, 3)), rtol=1e-4)
    parts = [mapped[begin : begin + 32].transpose(1, 0, 2, 3).reshape(3, -1) for begin in (0, 32, 64)]
    np.testing.assert_allclose(variance, np.mean([part.var(axis=1, ddof=1) for part in parts], axis=0), rtol=1e-4)
    after = model.state_dict()
    assert all(np.array_equal(after[name], before[name]) for name in before)
    assert model.training
    assert model.dropout.training
    assert model.bn.momentum == 0.1
    assert random.get_state() == calls, "dropout's next masks are what they would have been"
