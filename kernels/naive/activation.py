"""What comes after the sums: ReLU, element by element, and the softmaxes, line by line. Any shape, any layout.

A softmax turns a line of numbers into probabilities, softmax_i = exp(x_i) / sum_k exp(x_k). Since every output has
every input in its denominator, every input's gradient hears of every output: hence the sums in backward.
"""

import math
from collections.abc import Iterator

import numpy as np

from kernels.layout import Array


def lines(axis: int, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The matching lines of the arrays along `axis`, as views: to write into a line is to write into its array."""
    moved = [np.moveaxis(np.atleast_1d(array), axis, -1) for array in arrays]
    if moved[0].size == 0:  # lines of no length have no maximum
        return
    for place in np.ndindex(moved[0].shape[:-1]):
        yield tuple(array[place] for array in moved)


def relu(x: Array) -> Array:
    """x where it is positive, otherwise 0. NaN is not <= 0, and so passes on."""
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        y[index] = 0 if x[index] <= 0 else x[index]
    return y


def relu_backward(grad: Array, output: Array) -> Array:
    """The slope is 0 where the output is 0, otherwise 1; NaN is not <= 0, and so lets the gradient pass."""
    x_grad = np.empty_like(grad)
    for index in np.ndindex(grad.shape):
        x_grad[index] = 0 if output[index] <= 0 else grad[index]
    return x_grad


def log_softmax(x: Array, axis: int) -> Array:
    """y_i = x_i - log(sum_k exp(x_k)).

    A shift of the whole line changes nothing, and with the maximum at 0 no exponential overflows.
    """
    y = np.empty_like(x)
    for line, out in lines(axis, x, y):
        largest = max(line)
        log_total = math.log(sum(math.exp(value - largest) for value in line))
        for i, value in enumerate(line):
            out[i] = value - largest - log_total
    return y


def log_softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = g_i - softmax_i * sum_k g_k, where softmax_i = exp(output_i)."""
    x_grad = np.empty_like(grad)
    for g, y, out in lines(axis, grad, output, x_grad):
        total = sum(g)
        for i in range(len(g)):
            out[i] = g[i] - math.exp(y[i]) * total
    return x_grad


def softmax(x: Array, axis: int) -> Array:
    """y_i = exp(x_i) / sum_k exp(x_k), with the maximum subtracted from all x first."""
    y = np.empty_like(x)
    for line, out in lines(axis, x, y):
        largest = max(line)
        total = sum(math.exp(value - largest) for value in line)
        for i, value in enumerate(line):
            out[i] = math.exp(value - largest) / total
    return y


def softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = y_i * (g_i - sum_k g_k * y_k), where y = output."""
    x_grad = np.empty_like(grad)
    for g, y, out in lines(axis, grad, output, x_grad):
        total = sum(g[k] * y[k] for k in range(len(g)))
        for i in range(len(g)):
            out[i] = y[i] * (g[i] - total)
    return x_grad
