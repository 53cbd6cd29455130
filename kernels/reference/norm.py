"""Batch normalisation and local response normalisation. Arrays are channels-last, (..., C)."""

import numpy as np

from kernels.layout import Array
from kernels.reference.activation import relu_backward
from kernels.reference.conv import channel_sum


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over everything else: (..., C) -> two (C,)."""
    count = x.size // max(1, x.shape[-1])
    mean = channel_sum(x) / count
    variance = channel_sum(np.square(x - mean)) / count
    return mean, variance


def batch_norm(
    x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None,
) -> Array:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, then ReLU if asked; (..., C) -> (..., C).

    S. Ioffe and C. Szegedy, "Batch normalization", 2015, algorithm 1.
    """
    scale = 1 / np.sqrt(variance + eps)
    if weight is not None:
        scale = scale * weight
    y: Array = (x - mean) * scale
    if bias is not None:
        y += bias
    if activation == "relu":
        np.maximum(y, 0, out=y)
    return y


def batch_norm_backward(
    grad: Array, x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None, training: bool,
) -> tuple[Array, Array, Array]:
    """Gradients of input (..., C), weight (C,) and bias (C,).

    In training the mean and the variance are themselves functions of x, so each input also moves all others of its
    channel; the two subtracted terms are those paths (Ioffe and Szegedy, section 3, the equations after algorithm 1,
    gathered). In evaluation the statistics are constants. Where ReLU, if there was one, blocked follows from x: the
    output is computed once more.
    """
    if activation == "relu":
        grad = relu_backward(grad, batch_norm(x, mean, variance, weight, bias, eps, activation))
    inverse_std = 1 / np.sqrt(variance + eps)
    normalised = (x - mean) * inverse_std
    bias_grad = channel_sum(grad)
    weight_grad = channel_sum(grad * normalised)
    scale = inverse_std if weight is None else inverse_std * weight
    if not training:
        return grad * scale, weight_grad, bias_grad
    count = x.size // max(1, x.shape[-1])
    x_grad = scale * (grad - bias_grad / count - normalised * (weight_grad / count))
    return x_grad, weight_grad, bias_grad


def channel_window_sum(x: Array, before: int, after: int) -> Array:
    """Each channel's sum with its neighbours, `before` channels down and `after` up: (..., C) -> (..., C)."""
    channels = x.shape[-1]
    total = np.zeros_like(x)
    for shift in range(-min(before, channels), min(after, channels) + 1):
        start, stop = max(0, -shift), min(channels, channels - shift)
        total[..., start:stop] += x[..., start + shift : stop + shift]
    return total


def response_scale(x: Array, size: int, alpha: float, k: float) -> Array:
    """k + alpha / size * (sum of squares over `size` neighbouring channels): (..., C) -> (..., C)."""
    result: Array = k + alpha / size * channel_window_sum(np.square(x), size // 2, (size - 1) // 2)
    return result


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y_c = x_c / (k + alpha / size * sum over neighbours of x^2) ** beta; (..., C) -> (..., C).

    A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 3.3; with alpha divided by the window's size, as in PyTorch and Caffe.
    """
    result: Array = x * response_scale(x, size, alpha, k) ** -beta
    return result


def local_response_norm_backward(
    grad: Array, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    """Each input moves its own output, and through the scale those of all channels in whose window it lies."""
    scale = response_scale(x, size, alpha, k)
    through_scale = channel_window_sum(grad * x * scale ** (-beta - 1), (size - 1) // 2, size // 2)
    result: Array = grad * scale**-beta - (2 * alpha * beta / size) * x * through_scale
    return result
