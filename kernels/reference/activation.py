"""ReLU and the softmaxes. They work on arrays of any shape and layout."""

import numpy as np

from kernels.layout import Array


def relu(x: Array) -> Array:
    """max(x, 0), with NaN passed on."""
    return np.maximum(x, 0)


def relu_backward(grad: Array, output: Array) -> Array:
    """The gradient passes where the output is not 0. So the input need not be kept. It passes at NaN, as in PyTorch."""
    return np.where(output <= 0, grad.dtype.type(0), grad)


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along `axis`. The maximum is subtracted first, so that no exponential overflows."""
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    total = np.exp(shifted).sum(axis=axis, keepdims=True)
    result: Array = shifted - np.log(total)
    return result


def log_softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = g_i - softmax_i * sum_k g_k, where softmax = exp(output)."""
    result: Array = grad - np.exp(output) * grad.sum(axis=axis, keepdims=True)
    return result


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along `axis`."""
    exponentials = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    exponentials /= exponentials.sum(axis=axis, keepdims=True)
    return exponentials


def softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = y_i * (g_i - sum_k g_k y_k), where y = output."""
    result: Array = output * (grad - (grad * output).sum(axis=axis, keepdims=True))
    return result
