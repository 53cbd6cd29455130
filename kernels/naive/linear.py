"""The fully connected layer: every output is a weighted sum of every input.

    y[m, o] = bias[o] + sum over i of x[m, i] * weight[o, i]

Each term is an input times a weight, so each receives the output's gradient times the other: the same three loops,
three last lines. A batch is rows (M, I), the weight is (O, I).
"""

import numpy as np

from kernels.layout import Array


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """(M, I) and (O, I) -> (M, O)."""
    y = np.zeros((len(x), len(weight)), x.dtype)
    for m, o in np.ndindex(y.shape):
        total = 0.0 if bias is None else bias[o]
        for i in range(x.shape[1]):
            total += x[m, i] * weight[o, i]
        y[m, o] = total
    return y


def linear_input_grad(grad: Array, weight: Array) -> Array:
    """dx[m, i] = sum over o of grad[m, o] * weight[o, i]: (M, O) and (O, I) -> (M, I)."""
    x_grad = np.zeros((len(grad), weight.shape[1]), grad.dtype)
    for m, o in np.ndindex(grad.shape):
        for i in range(weight.shape[1]):
            x_grad[m, i] += grad[m, o] * weight[o, i]
    return x_grad


def linear_weight_grad(grad: Array, x: Array) -> Array:
    """dweight[o, i] = sum over m of grad[m, o] * x[m, i]: (M, O) and (M, I) -> (O, I)."""
    weight_grad = np.zeros((grad.shape[1], x.shape[1]), grad.dtype)
    for m, o in np.ndindex(grad.shape):
        for i in range(x.shape[1]):
            weight_grad[o, i] += grad[m, o] * x[m, i]
    return weight_grad
