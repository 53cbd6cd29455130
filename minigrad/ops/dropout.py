"""Dropout: random elements are set to zero, the rest scaled so that the mean stays."""

from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function


class Dropout(Function):
    """Each element 0 with probability p, else divided by 1 - p. No mask is kept: the same (seed, call) counts out the
    same one again in backward. first: the number of the first image, of all that this call is for."""

    floats_only = True

    def __init__(self, p: float, seed: int, call: int, first: int) -> None:
        super().__init__()
        self.p, self.counted = p, (seed, call, first)

    def _drop(self, x: Array) -> Array:
        if x.ndim < 2:  # one image of so many elements
            return self.kernels.dropout(x.reshape(1, x.size), self.p, *self.counted).reshape(x.shape)
        return nchw(self.kernels.dropout(nhwc(x), self.p, *self.counted))

    def forward(self, input: Array) -> Array:
        return self._drop(input)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (self._drop(grad),)
