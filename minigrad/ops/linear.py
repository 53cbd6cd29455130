"""The fully connected layer."""

import math

from kernels.layout import Array
from minigrad.function import Function
from minigrad.ops.arguments import require_axes


class Linear(Function):
    """Input (..., I) and weight (O, I) -> (..., O)."""

    fresh = True

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        require_axes("linear: input", input.shape, "(..., in_features)", input.ndim >= 1)
        require_axes("linear: weight", weight.shape, "(out_features, in_features)", weight.ndim == 2)
        outputs, inputs = weight.shape
        if input.shape[-1] != inputs:
            raise ValueError(f"linear: input: given shape {input.shape}, expected (..., {inputs}), as weight has it")
        if bias is not None:
            require_axes("linear: bias", bias.shape, f"({outputs},)", bias.shape == (outputs,))
        rows = input.reshape(math.prod(input.shape[:-1]), inputs)  # (..., I) -> (M, I)
        self.shape = input.shape
        self.save(rows if self.needs[1] else None, weight if self.needs[0] else None)
        y: Array = self.kernels.linear(rows, weight, bias)
        return y.reshape(*input.shape[:-1], outputs)  # (M, O) -> (..., O)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        rows, weight = self.saved
        grad_rows = grad.reshape(math.prod(grad.shape[:-1]), grad.shape[-1])  # (..., O) -> (M, O)
        return (
            self.kernels.linear_input_grad(grad_rows, weight).reshape(self.shape) if self.needs[0] else None,
            self.kernels.linear_weight_grad(grad_rows, rows) if self.needs[1] else None,
            self.kernels.channel_sum(grad_rows) if self.needs[2] else None,
        )
