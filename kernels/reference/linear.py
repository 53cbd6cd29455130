"""The fully connected layer: every output is a weighted sum of every input. Rows are (M, I), the weight is (O, I)."""

from kernels.layout import Array


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    """y = x @ weight.T + bias: (M, I) and (O, I) -> (M, O)."""
    y: Array = x @ weight.T
    if bias is not None:
        y += bias
    return y


def linear_input_grad(grad: Array, weight: Array) -> Array:
    """Each input receives, from every output, the gradient times the weight between them: (M, O) -> (M, I)."""
    x_grad: Array = grad @ weight
    return x_grad


def linear_weight_grad(grad: Array, x: Array) -> Array:
    """Each weight receives its output's gradient times its input, summed over rows: (M, O) and (M, I) -> (O, I)."""
    weight_grad: Array = grad.T @ x
    return weight_grad
