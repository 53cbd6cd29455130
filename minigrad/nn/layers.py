"""Layers: the functions of minigrad.functional with their options, and their weights where they have any.

An option that makes no sense is refused at once, with ValueError or TypeError: a constructor makes the operation too,
which looks at its options, and drops it.
"""

from typing import Any

import numpy as np

from kernels.layout import oihw
from minigrad import functional as F, ops
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.ops.arguments import pair, require_probability
from minigrad.tensor import Tensor


class Conv2d(Module):
    """Convolution: (N, in_channels, H, W) -> (N, out_channels, OH, OW); see functional.conv2d for the options.

    weight: (out_channels, in_channels/groups, kh, kw), Kaiming-normal at first; bias: (out_channels,), zero at first.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, *, activation: str | None = None,
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels < 1 or groups < 1 or channels % groups:
                raise ValueError(f"Conv2d: {name}: given {channels}, expected a positive multiple of groups={groups}")
        kh, kw = pair("Conv2d: kernel_size", kernel_size, 1)
        ops.Conv2d(stride, padding, dilation, groups, activation)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.activation = activation
        # The kernels' memory order (kh, kw, I, O), seen as (O, I, kh, kw).
        self.weight = Parameter(oihw(np.empty((kh, kw, in_channels // groups, out_channels), np.float32)))
        init.kaiming_normal_(self.weight)
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
            activation=self.activation,
        )

    def extra_repr(self) -> str:
        outputs, share, kh, kw = self.weight.shape
        text = f"{share * self.groups}, {outputs}, kernel_size=({kh}, {kw}), stride={self.stride}"
        for name, usual in (("padding", 0), ("dilation", 1), ("groups", 1), ("activation", None)):
            value = getattr(self, name)
            text += "" if value == usual else f", {name}={value!r}"
        return text + ("" if self.bias is not None else ", bias=False")


class Linear(Module):
    """Fully connected: (..., in_features) -> (..., out_features).

    weight: (out_features, in_features), Xavier-uniform at first; bias: (out_features,), zero at first.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        for name, features in (("in_features", in_features), ("out_features", out_features)):
            if features < 1:
                raise ValueError(f"Linear: {name}: given {features}, expected at least 1")
        self.weight = Parameter(np.empty((out_features, in_features), np.float32))
        init.xavier_uniform_(self.weight)
        self.bias = Parameter(np.zeros(out_features, np.float32)) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}" + ("" if self.bias is not None else ", bias=False")


class MaxPool2d(Module):
    """Maximum of each window; see functional.max_pool2d."""

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.options = (kernel_size, kernel_size if stride is None else stride, padding, dilation, ceil_mode)
        ops.MaxPool2d(*self.options)

    def forward(self, input: Tensor) -> Tensor:
        return F.max_pool2d(input, *self.options)

    def extra_repr(self) -> str:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join(f"{name}={value}" for name, value in zip(names, self.options, strict=True))


class AvgPool2d(Module):
    """Mean of each window; see functional.avg_pool2d."""

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        self.options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        ops.AvgPool2d(*self.options)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, *self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={v}" for n, v in zip(("kernel_size", "stride", "padding"), self.options, strict=False))


class AdaptiveAvgPool2d(Module):
    """Mean of windows that divide the input evenly; see functional.adaptive_avg_pool2d."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size
        ops.AdaptiveAvgPool2d(output_size)

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input)


class Dropout(Module):
    """In training, each element is zero with probability p; see functional.dropout."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        require_probability("Dropout", p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Softmax(Module):
    """Probabilities along `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """Logarithms of probabilities along `dim`."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Flatten(Module):
    """Some axes joined into one; by default all but the batch's."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class ConstantPad2d(Module):
    """`value` added around an image: `padding` is an int or (left, right, top, bottom)."""

    def __init__(self, padding: int | tuple[int, int, int, int], value: float) -> None:
        super().__init__()
        self.padding = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ZeroPad2d(ConstantPad2d):
    """Zeros added around an image."""

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        super().__init__(padding, 0.0)


class CrossEntropyLoss(Module):
    """Cross-entropy of logits; see functional.cross_entropy. `weight` is a buffer, which goes where the module goes."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if weight is None:
            self.weight = None
        else:
            self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, label_smoothing={self.label_smoothing}"
