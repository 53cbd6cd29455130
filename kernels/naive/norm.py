"""Normalisation, of a channel over the batch and of a pixel over its channels. Arrays are channels-last, (..., C).

Batch normalisation gives every channel mean 0 and variance 1, then lets two learned numbers set them anew:

    y = (x - mean) / sqrt(variance + eps) * weight + bias

Local response normalisation divides each value by how loud its neighbouring channels are at the same pixel:

    y_c = x_c / scale_c ** beta,   scale_c = k + alpha / size * sum over the neighbours d of x_d ** 2
"""

import math

import numpy as np

from kernels.layout import Array
from kernels.naive.activation import relu_backward


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over everything else: (..., C) -> two (C,)."""
    *places, channels = x.shape
    count = math.prod(places)
    total, squares = np.zeros(channels), np.zeros(channels)  # in float64: the mean of equal numbers is that number
    for index in np.ndindex(x.shape):
        total[index[-1]] += x[index]
    mean = total / count
    for index in np.ndindex(x.shape):
        squares[index[-1]] += (x[index] - mean[index[-1]]) ** 2
    return mean.astype(x.dtype), (squares / count).astype(x.dtype)


def batch_norm(
    x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None,
) -> Array:
    """(..., C) and numbers (C,) of each channel -> (..., C). `activation` is None or "relu"."""
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        c = index[-1]
        value = (x[index] - mean[c]) / math.sqrt(variance[c] + eps)
        if weight is not None:
            value *= weight[c]
        if bias is not None:
            value += bias[c]
        y[index] = 0.0 if activation == "relu" and value <= 0 else value
    return y


def batch_norm_backward(
    grad: Array, x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None, training: bool,
) -> tuple[Array, Array, Array]:
    """Gradients of input (..., C), weight (C,) and bias (C,), one link of the chain rule after the other.

    ReLU, if there was one, is the last link and goes first; its output is computed once more. In training x takes three
    roads to y: straight, through the mean and through the variance. In evaluation the statistics are constants, and
    only the straight road is left.
    """
    *places, channels = x.shape
    count = math.prod(places)
    if activation == "relu":
        grad = relu_backward(grad, batch_norm(x, mean, variance, weight, bias, eps, activation))
    x_grad = np.empty_like(x)
    weight_grad, bias_grad = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)
    mean_grad, variance_grad = np.zeros(channels, x.dtype), np.zeros(channels, x.dtype)

    for index in np.ndindex(x.shape):
        c = index[-1]
        inverse_std = 1 / math.sqrt(variance[c] + eps)
        centred = x[index] - mean[c]
        bias_grad[c] += grad[index]
        weight_grad[c] += grad[index] * centred * inverse_std
        normalised_grad = grad[index] * (1 if weight is None else weight[c])
        variance_grad[c] += normalised_grad * centred * -0.5 * inverse_std**3
        # The mean moves the variance too, by -2 / count * sum(x - mean); but that sum is 0.
        mean_grad[c] += normalised_grad * -inverse_std

    for index in np.ndindex(x.shape):
        c = index[-1]
        x_grad[index] = grad[index] * (1 if weight is None else weight[c]) / math.sqrt(variance[c] + eps)
        if training:
            x_grad[index] += mean_grad[c] / count
            x_grad[index] += variance_grad[c] * 2 * (x[index] - mean[c]) / count
    return x_grad, weight_grad, bias_grad


def neighbours(c: int, channels: int, size: int) -> range:
    """The channels in the window of channel c, which is itself among them. An even window looks further down."""
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def response_scale(pixel: Array, c: int, size: int, alpha: float, k: float) -> float:
    """scale_c of one pixel (C,), as in this file's first lines."""
    total = 0.0
    for d in neighbours(c, len(pixel), size):
        total += float(pixel[d]) ** 2
    return k + alpha / size * total


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y_c = x_c / scale_c ** beta: (..., C) -> (..., C)."""
    y = np.empty_like(x)
    for place in np.ndindex(x.shape[:-1]):
        pixel = x[place]
        for c in range(len(pixel)):
            y[place][c] = pixel[c] / response_scale(pixel, c, size, alpha, k) ** beta
    return y


def local_response_norm_backward(
    grad: Array, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    """Each output owes gradient to its own input, and through its scale to every neighbour: (..., C) -> (..., C)."""
    x_grad = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-1]):
        pixel = x[place]
        for c in range(len(pixel)):
            scale = response_scale(pixel, c, size, alpha, k)
            y_grad = grad[place][c]
            x_grad[place][c] += y_grad / scale**beta
            scale_grad = y_grad * pixel[c] * -beta * scale ** (-beta - 1)
            for d in neighbours(c, len(pixel), size):
                x_grad[place][d] += scale_grad * alpha / size * 2 * pixel[d]
    return x_grad
