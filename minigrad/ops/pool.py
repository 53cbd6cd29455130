"""Pooling: a window slides over each channel and leaves its maximum or its mean."""

from typing import Any, ClassVar

from kernels.geometry import Pair, output_size, span
from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function
from minigrad.ops.arguments import both_sides, pair, require_axes, require_output


def require_images(operation: str, input: Array) -> Pair:
    """The (H, W) of an image batch. ValueError if it is none, or has images without pixels."""
    fits = input.ndim == 4 and min(input.shape[2:]) > 0
    require_axes(f"{operation}: input", input.shape, "(N, C, H, W) or (C, H, W), H and W at least 1", fits)
    return input.shape[2], input.shape[3]


class _Pool(Function):
    """What the sliding-window pools share: their arguments and the checks of them."""

    floats_only = True
    fresh = True
    operation: ClassVar[str]

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> None:
        super().__init__()
        self.kernel = pair(f"{self.operation}: kernel_size", kernel_size, 1)
        self.stride = self.kernel if stride is None else pair(f"{self.operation}: stride", stride, 1)
        self.dilation = pair(f"{self.operation}: dilation", dilation, 1)
        self.ceil_mode = ceil_mode
        places = pair(f"{self.operation}: padding", padding, 0)
        self.spans = span(self.kernel[0], self.dilation[0]), span(self.kernel[1], self.dilation[1])
        if places[0] > self.kernel[0] // 2 or places[1] > self.kernel[1] // 2:
            raise ValueError(
                f"{self.operation}: padding: given {places}, expected at most half of kernel_size {self.kernel}"
            )
        self.padding = both_sides(places)

    def check(self, input: Array) -> Pair:
        """The input's (H, W), if it is an image batch that the window fits on."""
        size = require_images(self.operation, input)
        output = output_size(size, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        require_output(self.operation, size, self.spans, output, self.padding)
        return size


class MaxPool2d(_Pool):
    """The maximum of each window. It keeps which input won, one byte an output for windows of up to 255 places: the
    winner alone has the gradient. Where nobody needs a gradient, nobody asks who won."""

    operation = "max_pool2d"

    def forward(self, input: Array) -> Array:
        size = self.check(input)
        y, winner = self.kernels.max_pool2d(
            nhwc(input), self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode, self.needs[0]
        )
        self.save(winner, size)
        return nchw(y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        winner, size = self.saved
        x_grad = self.kernels.max_pool2d_backward(
            nhwc(grad), winner, size, self.kernel, self.stride, self.padding, self.dilation
        )
        return (nchw(x_grad),)


class AvgPool2d(_Pool):
    """The mean of each window; its inputs share the gradient evenly."""

    operation = "avg_pool2d"

    def __init__(
        self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
        divisor_override: int | None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        if divisor_override == 0:
            raise ValueError("avg_pool2d: divisor_override: given 0, expected another number or None")
        self.divisor = (count_include_pad, divisor_override)

    def forward(self, input: Array) -> Array:
        self.save(self.check(input))
        y = self.kernels.avg_pool2d(
            nhwc(input), self.kernel, self.stride, self.padding, self.ceil_mode, *self.divisor
        )
        return nchw(y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (size,) = self.saved
        x_grad = self.kernels.avg_pool2d_backward(
            nhwc(grad), size, self.kernel, self.stride, self.padding, *self.divisor
        )
        return (nchw(x_grad),)


class AdaptiveAvgPool2d(Function):
    """The mean of windows that divide the input among `output_size` outputs; None keeps that axis's size."""

    floats_only = True
    fresh = True

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
        name = "adaptive_avg_pool2d: output_size"
        try:
            pair(name, tuple(1 if size is None else size for size in sizes), 1)
        except (TypeError, ValueError) as error:
            expected = "an int of at least 1, or a pair of those; None keeps a size"
            raise type(error)(f"{name}: given {output_size!r}, expected {expected}") from None
        self.output_size = sizes

    def forward(self, input: Array) -> Array:
        size = require_images("adaptive_avg_pool2d", input)
        outputs = tuple(given or own for given, own in zip(self.output_size, size, strict=True))
        self.save(size)
        return nchw(self.kernels.adaptive_avg_pool2d(nhwc(input), outputs))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (size,) = self.saved
        return (nchw(self.kernels.adaptive_avg_pool2d_backward(nhwc(grad), size)),)
