"""ReLU and the softmaxes: each keeps its output, which is all that their derivatives need."""

from kernels.layout import Array
from minigrad.function import Function


class ReLU(Function):
    """max(x, 0)."""

    def forward(self, input: Array) -> Array:
        if input.dtype == bool:
            raise TypeError("relu: input: given bool, expected numbers")
        output: Array = self.kernels.relu(input)
        self.save(output)
        return output

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (output,) = self.saved
        return (self.kernels.relu_backward(grad, output),)


class Softmax(Function):
    """exp(x) / sum(exp(x)) along `dim`."""

    floats_only = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Array) -> Array:
        output: Array = self.kernels.softmax(input, self.dim)
        self.save(output)
        return output

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (output,) = self.saved
        return (self.kernels.softmax_backward(grad, output, self.dim),)


class LogSoftmax(Function):
    """x - log(sum(exp(x))) along `dim`."""

    floats_only = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Array) -> Array:
        output: Array = self.kernels.log_softmax(input, self.dim)
        self.save(output)
        return output

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (output,) = self.saved
        return (self.kernels.log_softmax_backward(grad, output, self.dim),)
