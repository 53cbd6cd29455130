"""Convolution: a filter slides over the image. Backward convolves too, once for the input and once for the weight."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.geometry import Padding, output_size, span
from kernels.layout import Array, address, hwio, nchw, nhwc, oihw
from minigrad.function import Function
from minigrad.ops.arguments import both_sides, pair, require_activation, require_axes, require_output

POINTWISE = ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
"""Kernel, stride, padding, dilation and groups of a 1x1 convolution, which sees one pixel at a time."""


class Conv2d(Function):
    """Input (N, C, H, W) and weight (O, C/groups, kh, kw) -> (N, O, OH, OW), with ReLU in the same pass if asked.

    It keeps its input and its weight, and the columns of im2col never: unrolling them again costs less than holding
    nine copies of every activation. With ReLU it keeps the output too, which the next layer keeps anyway.
    """

    floats_only = True
    fresh = True

    def __init__(self, stride: Any, padding: Any, dilation: Any, groups: int, activation: str | None) -> None:
        super().__init__()
        self.stride = pair("conv2d: stride", stride, 1)
        self.dilation = pair("conv2d: dilation", dilation, 1)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"conv2d: padding: given {padding!r}, expected ints, 'same' or 'valid'")
            if padding == "same" and self.stride != (1, 1):
                raise ValueError(f"conv2d: padding: 'same' needs stride 1, given stride {self.stride}")
            self.padding: Any = padding
        else:
            self.padding = both_sides(pair("conv2d: padding", padding, 0))
        if groups < 1:
            raise ValueError(f"conv2d: groups: given {groups}, expected at least 1")
        require_activation("conv2d", activation)
        self.groups, self.activation = groups, activation

    def _check(self, input: Array, weight: Array, bias: Array | None) -> None:
        groups = self.groups
        require_axes("conv2d: input", input.shape, "(N, C, H, W) or (C, H, W)", input.ndim == 4)
        full = weight.ndim == 4 and min(weight.shape) > 0
        require_axes("conv2d: weight", weight.shape, "(O, C/groups, kh, kw), none of them 0", full)
        channels, outputs = input.shape[1], weight.shape[0]
        if channels % groups or outputs % groups:
            raise ValueError(
                f"conv2d: groups: given {groups}, expected a divisor of the {channels} input channels "
                f"and of the {outputs} output channels"
            )
        if weight.shape[1] * groups != channels:
            raise ValueError(
                f"conv2d: weight: given shape {weight.shape}, expected (O, {channels // groups}, kh, kw) "
                f"for an input of {channels} channels in {groups} group(s)"
            )
        if bias is not None:
            require_axes("conv2d: bias", bias.shape, f"({outputs},)", bias.shape == (outputs,))

    def _sides(self, kernel: tuple[int, int]) -> Padding:
        """Padding as ((top, bottom), (left, right)). "same" puts an odd place at the end, as PyTorch does."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        if self.padding == "same":
            rows, cols = (span(k, d) - 1 for k, d in zip(kernel, self.dilation, strict=True))
            return (rows // 2, rows - rows // 2), (cols // 2, cols - cols // 2)
        sides: Padding = self.padding
        return sides

    def forward(self, input: Array, weight: Array, bias: Array | None) -> Array:
        self._check(input, weight, bias)
        size = input.shape[2], input.shape[3]
        kernel = weight.shape[2], weight.shape[3]
        sides = self._sides(kernel)
        output = output_size(size, kernel, self.stride, sides, self.dilation)
        spans = span(kernel[0], self.dilation[0]), span(kernel[1], self.dilation[1])
        require_output("conv2d", size, spans, output, sides)
        self.window = (self.stride, sides, self.dilation, self.groups)
        self.size, self.kernel_size = size, kernel
        x, w = nhwc(input), hwio(weight)
        y: Array = self.kernels.conv2d(x, w, bias, *self.window, self.activation)
        needs_x = self.needs[1] or self.needs[2]
        if (kernel, *self.window) == POINTWISE and self.needs[0] and self.needs[1]:
            self.team = ("pointwise", address(x), x.shape)  # a tensor's data may be replaced between two forwards
        self.save(x if needs_x else None, w if self.needs[0] else None, y if self.activation else None)
        return nchw(y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        if self.team:
            return self.team_backward([self], [grad])[0]
        x, w, y = self.saved
        g = nhwc(grad)
        x_grad = w_grad = bias_grad = None
        if self.needs[0]:
            into = self._sum_so_far()
            result = self.kernels.conv2d_input_grad(g, y, w, self.size, *self.window, into)
            x_grad = nchw(result) if into is None else self.into[0]
        if self.needs[1] or self.needs[2]:
            w_grad, bias_grad = self.kernels.conv2d_weight_grad(g, y, x, self.kernel_size, *self.window)
            w_grad = oihw(w_grad)
        return x_grad, w_grad if self.needs[1] else None, bias_grad if self.needs[2] else None

    def _sum_so_far(self) -> Array | None:
        """What others have sent to the input, if the kernels can add to it where it lies: (N, H, W, C)."""
        if self.into[0] is None:
            return None
        moved = np.moveaxis(self.into[0], 1, -1)  # (N, C, H, W) -> (N, H, W, C)
        return moved if moved.flags.c_contiguous else None

    @staticmethod
    def team_backward(team: Sequence["Conv2d"], grads: Sequence[Array]) -> list[tuple[Array | None, ...]]:
        """1x1 convolutions of one input: it is read once for all, and so is what it is owed written."""
        inputs, weights, outputs = zip(*(member.saved for member in team), strict=True)
        head = team[0]
        into = head._sum_so_far()
        x_grad, pairs = head.kernels.pointwise_backward([nhwc(g) for g in grads], outputs, weights, inputs[0], into)
        x_grads = [nchw(x_grad) if into is None else head.into[0], *[None] * (len(team) - 1)]
        return [
            (owed, oihw(w_grad), bias_grad if member.needs[2] else None)
            for member, owed, (w_grad, bias_grad) in zip(team, x_grads, pairs, strict=True)
        ]
