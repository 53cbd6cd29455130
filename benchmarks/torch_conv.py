"""PyTorch's counterparts of the convolution kernels. Importing this imports torch."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.torch_memory import Memory, Rival
from kernels.layout import Array

aten = torch.ops.aten


def padding_before(padding: Any) -> list[int]:
    return [padding[0][0], padding[1][0]]  # PyTorch pads both sides alike, and so do the cases


def conv2d(a: Any, memory: Memory) -> Any:
    x, weight, bias = memory.images(a.x), memory.weight(a.weight), torch.from_numpy(a.bias)
    options = (a.stride, padding_before(a.padding), a.dilation, a.groups)
    if a.activation == "relu":
        return lambda: torch.relu_(F.conv2d(x, weight, bias, *options))
    return lambda: F.conv2d(x, weight, bias, *options)


def _convolution_backward(a: Any, memory: Memory, x: Tensor, weight: Tensor, mask: list[bool]) -> Callable[[], Any]:
    """Backward through the ReLU, if there was one, and then through the convolution, as autograd does it."""
    grad = memory.images(a.grad)
    output = None if a.output is None else memory.images(a.output)
    options = ([grad.shape[1]], a.stride, padding_before(a.padding), a.dilation, False, [0, 0], a.groups)

    def run() -> Any:
        passed = grad if output is None else aten.threshold_backward(grad, output, 0)
        return aten.convolution_backward(passed, x, weight, *options, mask)

    return run


def conv2d_input_grad(a: Any, memory: Memory) -> Any:
    weight = memory.weight(a.weight)
    x = memory.empty(len(a.grad), weight.shape[1] * a.groups, *a.size)
    return _added([_convolution_backward(a, memory, x, weight, [True, False, False])], a.into, memory)


def _added(backwards: list[Callable[[], Any]], into: Array | None, memory: Memory) -> Callable[[], Tensor]:
    """The sum of input gradients, and of what was there before."""
    total = None if into is None else memory.images(into).clone()

    def run() -> Tensor:
        result = total
        for backward in backwards:
            part: Tensor = backward()[0]
            result = part if result is None else result.add_(part)
        assert result is not None
        return result

    return run


def _weight_grads(results: Any) -> list[Array]:
    return [results[1].permute(2, 3, 1, 0).numpy(), results[2].numpy()]


def conv2d_weight_grad(a: Any, memory: Memory) -> Any:
    weight = memory.empty(a.grad.shape[3], a.x.shape[3] // a.groups, *a.kernel)
    return Rival(_convolution_backward(a, memory, memory.images(a.x), weight, [False, True, True]), _weight_grads)


def _pointwise(grad: Array, output: Array | None) -> Any:
    return SimpleNamespace(
        grad=grad, output=output, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1
    )


def pointwise_input_grad(a: Any, memory: Memory) -> Any:
    x = memory.empty(*a.grads[0].shape[:1], a.weights[0].shape[2], *a.grads[0].shape[1:3])
    backwards = [
        _convolution_backward(_pointwise(grad, output), memory, x, memory.weight(weight), [True, False, False])
        for grad, output, weight in zip(a.grads, a.outputs, a.weights, strict=True)
    ]
    return _added(backwards, a.into, memory)


def pointwise_weight_grads(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    backwards = [
        _convolution_backward(
            _pointwise(grad, output), memory, x, memory.empty(grad.shape[3], x.shape[1], 1, 1), [False, True, True]
        )
        for grad, output in zip(a.grads, a.outputs, strict=True)
    ]
    return Rival(
        lambda: [backward() for backward in backwards],
        lambda results: [array for result in results for array in _weight_grads(result)],
    )
