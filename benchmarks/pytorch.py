"""PyTorch's counterpart of every kernel, on the same numbers. Importing this imports torch."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.torch_conv import conv2d, conv2d_input_grad, conv2d_weight_grad, padding_before, pointwise_backward
from benchmarks.torch_memory import Memory, Rival, arrays
from benchmarks.torch_optimizers import adam_step, sgd_step
from kernels.layout import Array

aten = torch.ops.aten


def rival(kernel: str, arguments: dict[str, Any], channels_last: bool, place: str) -> Rival:
    """The counterpart of `kernel` for these arguments, which it leaves unchanged, on a device of this name."""
    made = RIVALS[kernel](SimpleNamespace(**arguments), Memory(channels_last, place))
    return made if isinstance(made, Rival) else Rival(made, arrays)


def knows_layouts(kernel: str, arguments: dict[str, Any]) -> bool:
    """Whether it makes a difference to PyTorch how the arrays lie in memory."""
    first = next(iter(arguments.values()))
    return kernel not in ("sgd_step", "adam_step") and (first[0] if isinstance(first, list) else first).ndim == 4


# --- linear


def channel_sum(a: Any, memory: Memory) -> Any:
    grad = memory.images(a.grad)
    axes = [axis for axis in range(grad.ndim) if axis != 1]
    return lambda: grad.sum(axes)


def linear(a: Any, memory: Memory) -> Any:
    x, weight, bias = (memory.tensor(array) for array in (a.x, a.weight, a.bias))
    return lambda: F.linear(x, weight, bias)


def linear_input_grad(a: Any, memory: Memory) -> Any:
    grad, weight = memory.tensor(a.grad), memory.tensor(a.weight)
    return lambda: grad @ weight


def linear_weight_grad(a: Any, memory: Memory) -> Any:
    grad, x = memory.tensor(a.grad), memory.tensor(a.x)
    return lambda: grad.T @ x


# --- pooling


def _first_taps(a: Any, places: tuple[int, int]) -> tuple[Array, Array]:
    """The row and the column of each window's first tap: (OH, 1, 1) and (OW, 1)."""
    rows, cols = (np.arange(places[axis]) * a.stride[axis] - a.padding[axis][0] for axis in (0, 1))
    return rows[:, None, None], cols[:, None]


def max_pool2d(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    options = (a.kernel, a.stride, padding_before(a.padding), a.dilation, a.ceil_mode)

    def taps(results: Any) -> list[Array]:
        """PyTorch numbers the winners by pixel of the image, the kernels by tap of the window."""
        y, pixel = arrays(results)
        rows, cols = _first_taps(a, y.shape[1:3])
        row, col = pixel // a.x.shape[2] - rows, pixel % a.x.shape[2] - cols
        winner = row // a.dilation[0] * a.kernel[1] + col // a.dilation[1]
        return [y, winner.astype(np.uint8)]

    return Rival(lambda: aten.max_pool2d_with_indices(x, *options), taps)


def max_pool2d_backward(a: Any, memory: Memory) -> Any:
    rows, cols = _first_taps(a, a.grad.shape[1:3])
    row = rows + a.winner // a.kernel[1] * np.int64(a.dilation[0])
    pixel = row * a.size[1] + cols + a.winner % a.kernel[1] * np.int64(a.dilation[1])
    grad, indices = memory.images(a.grad), memory.images(pixel)
    x = memory.empty(len(a.grad), a.grad.shape[3], *a.size)
    options = (a.kernel, a.stride, padding_before(a.padding), a.dilation, False)
    return lambda: aten.max_pool2d_with_indices_backward(grad, x, *options, indices)


def avg_pool2d(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    options = (a.kernel, a.stride, padding_before(a.padding), a.ceil_mode, a.count_include_pad, a.divisor_override)
    return lambda: F.avg_pool2d(x, *options)


def avg_pool2d_backward(a: Any, memory: Memory) -> Any:
    grad, x = memory.images(a.grad), memory.empty(len(a.grad), a.grad.shape[3], *a.size)
    options = (a.kernel, a.stride, padding_before(a.padding), False, a.count_include_pad, a.divisor_override)
    return lambda: aten.avg_pool2d_backward(grad, x, *options)


def adaptive_avg_pool2d(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    return lambda: F.adaptive_avg_pool2d(x, a.outputs)


def adaptive_avg_pool2d_backward(a: Any, memory: Memory) -> Any:
    grad, x = memory.images(a.grad), memory.empty(len(a.grad), a.grad.shape[3], *a.size)
    return lambda: aten._adaptive_avg_pool2d_backward(grad, x)


# --- activations, normalisation, dropout


def relu(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    return lambda: torch.relu(x)


def relu_backward(a: Any, memory: Memory) -> Any:
    grad, output = memory.images(a.grad), memory.images(a.output)
    return lambda: aten.threshold_backward(grad, output, 0)


def softmax(a: Any, memory: Memory) -> Any:
    x = memory.tensor(a.x)
    return lambda: torch.softmax(x, a.axis)


def softmax_backward(a: Any, memory: Memory) -> Any:
    grad, output = memory.tensor(a.grad), memory.tensor(a.output)
    return lambda: aten._softmax_backward_data(grad, output, a.axis, output.dtype)


def log_softmax(a: Any, memory: Memory) -> Any:
    x = memory.tensor(a.x)
    return lambda: torch.log_softmax(x, a.axis)


def log_softmax_backward(a: Any, memory: Memory) -> Any:
    grad, output = memory.tensor(a.grad), memory.tensor(a.output)
    return lambda: aten._log_softmax_backward_data(grad, output, a.axis, output.dtype)


def batch_statistics(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    return Rival(lambda: torch.var_mean(x, (0, 2, 3), correction=0), lambda results: arrays(results[::-1]))


def batch_norm(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    mean, variance, weight, bias = (memory.tensor(array) for array in (a.mean, a.variance, a.weight, a.bias))
    if a.activation == "relu":
        return lambda: torch.relu_(F.batch_norm(x, mean, variance, weight, bias, eps=a.eps))
    return lambda: F.batch_norm(x, mean, variance, weight, bias, eps=a.eps)


def batch_norm_backward(a: Any, memory: Memory) -> Any:
    grad, x = memory.images(a.grad), memory.images(a.x)
    weight, mean = memory.tensor(a.weight), memory.tensor(a.mean)
    inverse_std = memory.tensor(1 / np.sqrt(a.variance + np.float32(a.eps)))
    options = (None, None, mean, inverse_std, a.training, a.eps, [True, True, True])
    if a.activation == "relu":
        bias, variance = memory.tensor(a.bias), memory.tensor(a.variance)
        y = torch.relu_(F.batch_norm(x, mean, variance, weight, bias, eps=a.eps))  # which PyTorch's ReLU has kept
        return lambda: aten.native_batch_norm_backward(aten.threshold_backward(grad, y, 0), x, weight, *options)
    return lambda: aten.native_batch_norm_backward(grad, x, weight, *options)


def local_response_norm(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    return lambda: F.local_response_norm(x, a.size, a.alpha, a.beta, a.k)


def local_response_norm_backward(a: Any, memory: Memory) -> Any:
    grad, x = memory.images(a.grad), memory.images(a.x).requires_grad_()
    y = F.local_response_norm(x, a.size, a.alpha, a.beta, a.k)
    return lambda: torch.autograd.grad(y, x, grad, retain_graph=True)


def dropout(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    return Rival(lambda: F.dropout(x, a.p), None)  # its random bits are others


# --- loss


def cross_entropy(a: Any, memory: Memory) -> Any:
    logits, target = memory.tensor(a.logits), memory.tensor(a.target)

    def run() -> tuple[Tensor, Tensor, Tensor]:
        log_probabilities = F.log_softmax(logits, 1)
        losses = F.nll_loss(log_probabilities, target, reduction="none", ignore_index=a.ignore_index)
        return losses, log_probabilities, (target != a.ignore_index).float()

    return run


def cross_entropy_backward(a: Any, memory: Memory) -> Any:
    row_grad, target = memory.tensor(a.row_grad), memory.tensor(a.target)
    logits = memory.tensor(a.log_probabilities).requires_grad_()  # their log_softmax is themselves
    losses = F.cross_entropy(logits, target, reduction="none", ignore_index=a.ignore_index)
    return lambda: torch.autograd.grad(losses, logits, row_grad, retain_graph=True)


def cross_entropy_target_grad(a: Any, memory: Memory) -> Any:
    row_grad, logits = memory.tensor(a.row_grad), memory.tensor(a.log_probabilities)
    target = torch.zeros_like(logits).requires_grad_()
    losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=a.label_smoothing)
    return lambda: torch.autograd.grad(losses, target, row_grad, retain_graph=True)


def note_step(a: Any, memory: Memory) -> Any:
    logits, target, loss = (memory.tensor(array) for array in (a.logits, a.target, a.loss))
    record, halted = (memory.tensor(array).clone() for array in (a.record, a.halted))

    def run() -> tuple[Tensor, Tensor]:
        record[0] = loss
        record[1] = (logits.argmax(1) == target).sum()
        halted.masked_fill_((halted == 0) & ~loss.isfinite(), a.step)
        return record, halted

    return run


# --- shape


def _public_axis(axis: int, ndim: int) -> int:
    return (0, 2, 3, 1)[axis] if ndim == 4 else axis


def cat(a: Any, memory: Memory) -> Any:
    tensors = [memory.images(array) for array in a.arrays]
    return lambda: torch.cat(tensors, _public_axis(a.axis, tensors[0].ndim))


def split(a: Any, memory: Memory) -> Any:
    tensor = memory.images(a.array)
    axis = _public_axis(a.axis, tensor.ndim)
    # PyTorch's own pieces are views; the kernel's are contiguous, and so are these.
    return lambda: [piece.clone(memory_format=memory.format) for piece in torch.split(tensor, a.sizes, axis)]


def pad(a: Any, memory: Memory) -> Any:
    x = memory.images(a.x)
    _, rows, cols, _ = a.amounts
    return lambda: F.pad(x, (*cols, *rows), value=a.value)


def _positions(output: int, input: int, start: Tensor, length: Tensor) -> Tensor:
    """Where the outputs of one axis lie in the input, whose edges are -1 and 1: (N, output) float32, N crops."""
    start, length = start[:, None], length[:, None]
    place = (torch.arange(output, device=start.device) + 0.5) * length / output - 0.5
    return (start + torch.minimum(place.clamp(min=0), length - 1) + 0.5) * 2 / input - 1


def _hole(output: int, start: Tensor, length: Tensor) -> Tensor:
    place = torch.arange(output, device=start.device) - start[:, None]
    return (place >= 0) & (place < length[:, None])


def resize_bilinear(a: Any, memory: Memory) -> Any:
    images = memory.images(a.images)
    if "views" in vars(a):
        (h, w), (oh, ow), views = images.shape[2:], a.size, memory.tensor(a.views)

        def run() -> Tensor:
            top, left, height, width, mirrored, hole_top, hole_left, hole_height, hole_width = views.T
            rows, columns = _positions(oh, h, top, height), _positions(ow, w, left, width)
            columns = torch.where(mirrored[:, None] != 0, columns.flip(1), columns)
            grid = torch.stack([columns[:, None].expand(-1, oh, -1), rows[:, :, None].expand(-1, -1, ow)], dim=3)
            result = F.grid_sample(images.float(), grid, align_corners=False).mul_(a.scale).add_(a.shift)
            hole = _hole(oh, hole_top, hole_height)[:, :, None] & _hole(ow, hole_left, hole_width)[:, None]
            return result.masked_fill_(hole[:, None], 0)

        return run
    return lambda: F.interpolate(images.float(), a.size, mode="bilinear").mul_(a.scale).add_(a.shift)


RIVALS: dict[str, Callable[[Any, Memory], Any]] = {
    function.__name__: function
    for function in (
        conv2d, conv2d_input_grad, conv2d_weight_grad, pointwise_backward, channel_sum,
        linear, linear_input_grad, linear_weight_grad, max_pool2d, max_pool2d_backward, avg_pool2d,
        avg_pool2d_backward, adaptive_avg_pool2d, adaptive_avg_pool2d_backward, relu, relu_backward, softmax,
        softmax_backward, log_softmax, log_softmax_backward, batch_statistics, batch_norm, batch_norm_backward,
        local_response_norm, local_response_norm_backward, dropout, cross_entropy, cross_entropy_backward,
        cross_entropy_target_grad, note_step, cat, split, pad, resize_bilinear, sgd_step, adam_step,
    )
}
