"""The fully connected layer: every output is a weighted sum of every input. Rows are (M, I), the weight is (O, I)."""

import cupy

from kernels.cuda.conv import add_bias
from kernels.cuda.launch import contiguous
from kernels.cuda.matmul import matmul
from kernels.layout import Array


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """y = x @ weight.T + bias: (M, I) and (O, I) -> (M, O)."""
    y = cupy.empty((len(x), len(weight)), x.dtype)
    matmul(contiguous(x), contiguous(weight).T, y)
    add_bias(y, bias, relu=False)
    return y


def linear_input_grad(grad: Array, weight: Array) -> Array:
    """Each input receives, from every output, the gradient times the weight between them: (M, O) -> (M, I)."""
    x_grad = cupy.empty((len(grad), weight.shape[1]), grad.dtype)
    matmul(contiguous(grad), contiguous(weight), x_grad)
    return x_grad


def linear_weight_grad(grad: Array, x: Array) -> Array:
    """Each weight receives its output's gradient times its input, summed over rows: (M, O) and (M, I) -> (O, I)."""
    weight_grad = cupy.empty((grad.shape[1], x.shape[1]), grad.dtype)
    matmul(contiguous(grad).T, contiguous(x), weight_grad)
    return weight_grad
