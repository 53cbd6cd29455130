"""The fully connected layer: every output is a weighted sum of every input. Rows are (M, I), the weight is (O, I).

Three products of the same kernel as a 1x1 convolution's (matmul.py), where the network is smallest: rows are images
here, not pixels.
"""

import numpy as np

from kernels.cpu.correlate import NO_FLOOR
from kernels.cpu.matmul import matmul
from kernels.layout import Array
from kernels.memory import empty
from kernels.reference import linear as reference


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """y = x @ weight.T + bias: (M, I) and (O, I) -> (M, O)."""
    if x.dtype != np.float32:  # pixels, which are served here too
        return reference.linear(x, weight, bias)
    y = empty((len(x), len(weight)))
    matmul(np.ascontiguousarray(x), None, np.ascontiguousarray(weight), True, bias, NO_FLOOR, False, y)
    return y


def linear_input_grad(grad: Array, weight: Array) -> Array:
    """Each input receives, from every output, the gradient times the weight between them: (M, O) -> (M, I)."""
    x_grad = empty((len(grad), weight.shape[1]))
    matmul(np.ascontiguousarray(grad), None, np.ascontiguousarray(weight), False, None, NO_FLOOR, False, x_grad)
    return x_grad


def linear_weight_grad(grad: Array, x: Array) -> Array:
    """Each weight receives its output's gradient times its input, summed over rows: (M, O) and (M, I) -> (O, I)."""
    if grad.size == 0:
        return np.zeros((grad.shape[1], x.shape[1]), np.float32)
    weight_grad = empty((grad.shape[1], x.shape[1]))
    matmul(np.ascontiguousarray(grad.T), None, np.ascontiguousarray(x), False, None, NO_FLOOR, False, weight_grad)
    return weight_grad
