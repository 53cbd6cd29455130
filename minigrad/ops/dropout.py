"""Dropout: random elements are set to zero, the rest scaled so that the mean stays."""

from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function


class Dropout(Function):
    """Each element 0 with probability p, else divided by 1 - p. No mask is kept: the same (seed, call) counts out the
    same one again in backward."""

    floats_only = True

    def __init__(self, p: float, seed: int, call: int) -> None:
        super().__init__()
        self.p, self.seed, self.call = p, seed, call

    def _drop(self, x: Array) -> Array:
        if x.ndim < 2:  # one image of so many elements
            return self.kernels.dropout(x.reshape(1, x.size), self.p, self.seed, self.call).reshape(x.shape)
        return nchw(self.kernels.dropout(nhwc(x), self.p, self.seed, self.call))

    def forward(self, input: Array) -> Array:
        return self._drop(input)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (self._drop(grad),)
