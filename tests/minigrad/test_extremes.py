"""Numbers at the ends of what floats can hold, through forward and backward: PyTorch's results, on every backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, TOLERANCE, agree, assert_close, normal, torch_module

LOGITS = {
    "1e4": [[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]],
    "1e4 and one less": [[1e4, 9999.0, -1e4], [-9999.0, -1e4, 0.0], [1e4, 1e4, 0.0]],
    "the largest": [[3e38, 0.0, -3e38], [3e38, 3e38, 3e38], [-3e38, -3e38, -3e38]],
    "denormal": [[1e-45, 0.0, -1e-45], [1e-40, 1e-42, 3e-45], [0.0, 0.0, 0.0]],
    "minus infinity": [[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 0.0], [0.0, 0.0, 0.0]],
    "infinity": [[np.inf, 0.0, 1.0], [1.0, 2.0, 3.0], [0.0, 0.0, np.inf]],
    "NaN": [[np.nan, 0.0, 1.0], [1.0, 2.0, 3.0], [0.0, np.nan, np.inf]],
}
TARGET = np.array([0, 2, 1])

LOSSES: dict[str, Callable[..., Any]] = {
    "softmax": lambda F, x, target: F.softmax(x, 1),
    "log_softmax": lambda F, x, target: F.log_softmax(x, 1),
    "cross_entropy": lambda F, x, target: F.cross_entropy(x, target),
    "cross_entropy, smoothed": lambda F, x, target: F.cross_entropy(x, target, label_smoothing=0.1),
    "cross_entropy, of each": lambda F, x, target: F.cross_entropy(x, target, reduction="none"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("name", LOSSES)
def test_logits_agree(name: str, logits: str, dtype: type, backend: str) -> None:
    agree(LOSSES[name], np.array(LOGITS[logits]), fixed=(TARGET,), dtype=dtype)


def images(*channels: float) -> np.ndarray:
    """(4, C, 3, 3): in each channel one number everywhere."""
    return np.broadcast_to(np.array(channels)[None, :, None, None], (4, len(channels), 3, 3)).copy()


def with_one(value: float) -> np.ndarray:
    """(4, 2, 3, 3): ordinary numbers, and in the first channel one that is not."""
    array = normal(4, 2, 3, 3)
    array[1, 0, 2, 1] = value
    return array


CONSTANT = {
    "whole": images(0.0, 1.0, -2.5),
    "with rounding": images(0.1, 1 / 3, 1e-3),
    "large": images(1e4, -1e4, 1e6),
}
IMAGES = {
    "large": 1e4 * normal(4, 3, 3, 3),
    "denormal": images(1e-40, -1e-42, 3e-45) * normal(4, 3, 3, 3),
    "tiny": 1e-18 * normal(4, 2, 3, 3),
    "infinity": with_one(np.inf),
    "minus infinity": with_one(-np.inf),
    "NaN": with_one(np.nan),
}
WEIGHT, BIAS = np.array([1.5, -0.5, 2.0]), np.array([0.25, -1.0, 3.0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONSTANT)
def test_batch_norm_of_constants_is_the_bias(name: str, dtype: type, backend: str) -> None:
    """A variance of zero. PyTorch computes x * a + b and not (x - mean) * a + bias, so it is as near to the bias as the
    rounding of x * a lets it be; here nothing but the bias is left."""
    x, weight, bias = (array.astype(dtype) for array in (CONSTANT[name], WEIGHT, BIAS))
    ours = [Tensor(each, requires_grad=True) for each in (x, weight, bias)]
    y = F.batch_norm(ours[0], None, None, *ours[1:], training=True)
    exact = np.broadcast_to(bias[:, None, None], x.shape).astype(dtype)
    assert_close(y.data, exact)
    y.backward(normal(*x.shape).astype(dtype))
    small = TOLERANCE[np.dtype(dtype)]
    np.testing.assert_allclose(ours[1].grad, 0, atol=small)
    grad = normal(*x.shape).astype(dtype)
    centred = grad - grad.mean(axis=(0, 2, 3), keepdims=True)
    assert_close(ours[0].grad, centred * weight[:, None, None] / np.sqrt(dtype(1e-5)))
    torch = torch_module()
    x_there, *affine = (torch.tensor(each) for each in (x, weight, bias))
    theirs = torch.nn.functional.batch_norm(x_there, None, None, *affine, training=True).numpy()
    rounding = np.finfo(dtype).eps * np.abs(x * weight[:, None, None]) / np.sqrt(1e-5)
    assert (np.abs(theirs - exact) <= 2 * rounding + small).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", IMAGES)
def test_batch_norm_in_training_agrees(name: str, dtype: type, backend: str) -> None:
    x = IMAGES[name]
    channels = x.shape[1]
    agree(
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True), x, WEIGHT[:channels], BIAS[:channels], dtype=dtype
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variance", [0.0, 1e-40, 1e-12, 1e30, np.inf, np.nan])
def test_batch_norm_in_evaluation_agrees(variance: float, dtype: type, backend: str) -> None:
    x, mean, spread = normal(4, 2, 3, 3), np.zeros(2), np.array([variance, 1.0])
    agree(lambda F, x, m, v: F.batch_norm(x, m, v), x, fixed=(mean, spread), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_of_constants_agree(dtype: type, backend: str) -> None:
    torch = torch_module()
    x = images(0.1, -2.5, 1e4).astype(dtype)
    ours = [Tensor(np.zeros(3, dtype)), Tensor(np.ones(3, dtype))]
    theirs = [torch.tensor(each.data.copy()) for each in ours]
    F.batch_norm(Tensor(x), *ours, training=True)
    torch.nn.functional.batch_norm(torch.tensor(x), *theirs, training=True)
    for got, expected in zip(ours, theirs, strict=True):
        assert_close(got.data, expected.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_large_convolution_hides_nothing_that_is_not_finite(value: float, dtype: type, backend: str) -> None:
    """It comes out wherever it is in the window; where Winograd's algorithm spreads it, in its tile and no further."""
    torch = torch_module()
    x, weight = normal(1, 2, 24, 24).astype(dtype), normal(3, 2, 3, 3).astype(dtype)
    x[0, 1, 9, 9] = value
    ours = F.conv2d(Tensor(x), Tensor(weight), padding=1).numpy()
    theirs = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), padding=1).numpy()
    near = np.zeros(ours.shape, bool)
    near[:, :, 4:15, 4:15] = True
    assert not np.isfinite(ours[:, :, 8:11, 8:11]).any()
    assert_close(ours[~near], theirs[~near])


OPERATIONS: dict[str, Callable[..., Any]] = {
    "relu": lambda F, x: F.relu(x),
    "conv2d": lambda F, x: F.conv2d(x, x[:1, :, :2, :2]),
    "linear": lambda F, x: F.linear(x, x[0, 0]),
    "max_pool2d": lambda F, x: F.max_pool2d(x, 2, 1, 1),
    "avg_pool2d": lambda F, x: F.avg_pool2d(x, 2, 1, 1),
    "local_response_norm": lambda F, x: F.local_response_norm(x, 3),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("numbers", ["denormal", "large", "infinity", "NaN"])
def test_operations_agree(name: str, numbers: str, backend: str) -> None:
    for dtype in DTYPES:
        agree(OPERATIONS[name], IMAGES[numbers], dtype=dtype)
