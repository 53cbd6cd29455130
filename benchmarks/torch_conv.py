"""PyTorch's counterparts of the convolution kernels. Importing this imports torch."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.torch_memory import Memory, Rival, arrays, host
from kernels.layout import Array

aten = torch.ops.aten


def padding_before(padding: Any) -> list[int]:
    return [padding[0][0], padding[1][0]]  # PyTorch pads both sides alike, and so do the cases


def conv2d(a: Any, memory: Memory) -> Any:
    x, weight, bias = memory.images(a.x), memory.weight(a.weight), memory.tensor(a.bias)
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
    backward = _convolution_backward(a, memory, x, weight, [True, False, False])
    if a.into is None:
        return lambda: backward()[0]
    into = memory.images(a.into).clone()
    return lambda: into.add_(backward()[0])


def _weight_grads(results: Any) -> list[Array]:
    return host([results[1].permute(2, 3, 1, 0), results[2]])


def conv2d_weight_grad(a: Any, memory: Memory) -> Any:
    weight = memory.empty(a.grad.shape[3], a.x.shape[3] // a.groups, *a.kernel)
    return Rival(_convolution_backward(a, memory, memory.images(a.x), weight, [False, True, True]), _weight_grads)


def _pointwise(grad: Array, output: Array | None) -> Any:
    return SimpleNamespace(
        grad=grad, output=output, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1
    )


def pointwise_backward(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    backwards = [
        _convolution_backward(_pointwise(grad, output), memory, x, memory.weight(weight), [True, True, True])
        for grad, output, weight in zip(a.grads, a.outputs, a.weights, strict=True)
    ]
    before = None if a.into is None else memory.images(a.into).clone()

    def run() -> tuple[Tensor, list[Any]]:
        total, results = before, [backward() for backward in backwards]
        for result in results:
            total = result[0] if total is None else total.add_(result[0])
        assert total is not None
        return total, results

    return Rival(run, lambda result: arrays(result[0]) + [grad for each in result[1] for grad in _weight_grads(each)])
