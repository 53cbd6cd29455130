"""ReLU and the softmaxes. ReLU leaves the order in memory as it is; a softmax runs along any axis without a copy."""

import math

import cupy
import numpy as np

from kernels.cuda.launch import contiguous, launch, over_elements, pack_size
from kernels.layout import Array, memory_order

WARPS = 4
"""Of a block of softmax.cu, each with a line of its own."""


def relu(x: Array) -> Array:
    """max(x, 0), with NaN passed on: any shape; any dtype, though only that of floats is fast."""
    if x.dtype.kind != "f":
        integers: Array = cupy.maximum(x, 0)
        return integers
    order = memory_order(x)
    flat = contiguous(x.transpose(*order))
    y = cupy.empty(flat.shape, x.dtype)
    pack = pack_size(x.dtype, (x.size,), flat, y)
    grid, block = over_elements(x.size // pack)
    launch("relu", "relu_packs" if pack > 1 else "relu", x.dtype, grid, block, flat, y, np.int64(x.size // pack))
    return _back(y, order)


def relu_backward(grad: Array, output: Array) -> Array:
    """The gradient where the output is not 0, or is NaN: two arrays of any shape -> one of that shape."""
    order = memory_order(grad)
    flat_grad, flat_output = contiguous(grad.transpose(*order)), contiguous(output.transpose(*order))
    x_grad = cupy.empty(flat_grad.shape, grad.dtype)
    pack = pack_size(grad.dtype, (grad.size,), flat_grad, flat_output, x_grad)
    grid, block = over_elements(grad.size // pack)
    name = "relu_backward_packs" if pack > 1 else "relu_backward"
    launch("relu", name, grad.dtype, grid, block, flat_grad, flat_output, x_grad, np.int64(grad.size // pack))
    return _back(x_grad, order)


def _back(flat: Array, order: list[int]) -> Array:
    """The way back from `transpose(*order)`."""
    return flat.transpose(*np.argsort(order).tolist())


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along `axis`: any shape, float32 or float64."""
    return _along("log_softmax", axis, x)


def log_softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = g_i - softmax_i * sum_k g_k, where softmax = exp(output)."""
    return _along("log_softmax_backward", axis, grad, output)


def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along `axis`: any shape, float32 or float64."""
    return _along("softmax", axis, x)


def softmax_backward(grad: Array, output: Array, axis: int) -> Array:
    """dx_i = y_i * (g_i - sum_k g_k y_k), where y = output."""
    return _along("softmax_backward", axis, grad, output)


def _along(name: str, axis: int, *given: Array) -> Array:
    """A kernel of softmax.cu on arrays of one shape -> an array of that shape."""
    dtype, result = given[0].dtype, cupy.empty(given[0].shape, given[0].dtype)
    shape = result.shape or (1,)  # a single number is a line of its own
    length = shape[axis]
    stride = math.prod(shape[axis % len(shape) + 1 :])
    lines = result.size // max(1, length)
    arrays = [contiguous(array) for array in given]
    sizes = (np.int64(lines), np.int32(length), np.int64(stride))
    launch("softmax", name, dtype, (-(-lines // WARPS),), (32, WARPS), *arrays, result, *sizes)
    return result
