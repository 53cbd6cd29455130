"""The operations as functions of tensors, with the names, argument order, defaults and meaning of
torch.nn.functional, and of torch.cat and torch.flatten. Not PyTorch's are `activation` and `ranks`, and that softmax
and log_softmax must be told their `dim`.

Shapes: an image batch is (N, C, H, W). Where PyTorch takes one image (C, H, W) without its batch, so do these.
All raise ValueError or TypeError, or IndexError for an axis that is not there, naming the argument, what was given and
what was expected.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels import is_on_card
from kernels.layout import Array
from minigrad import device, ops, random
from minigrad.function import is_grad_enabled
from minigrad.ops.arguments import require_probability, resolve_axis
from minigrad.tensor import Tensor


def _on_batch(operation: ops.Function, input: Tensor, *others: Tensor | None) -> Tensor:
    """Apply an operation on image batches to `input`, which may be a single image."""
    if input.ndim != 3:
        return operation(input, *others)
    output = operation(input.reshape(1, *input.shape), *others)
    return output.reshape(output.shape[1:])


# --- convolution and pooling


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, *, activation: str | None = None,
) -> Tensor:
    """Convolution: (N, C, H, W) and weight (O, C/groups, kh, kw) -> (N, O, OH, OW).

    stride, padding, dilation: ints, or pairs (rows, columns); padding may be "valid" (none) or "same" (OH = H).
    activation: "relu" applies ReLU in the same pass. An infinity or a NaN may make NaN, on the CPU, of outputs around
    those whose window holds it (kernels/cpu/winograd.py).
    """
    return _on_batch(ops.Conv2d(stride, padding, dilation, groups, activation), input, weight, bias)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Tensor:
    """Maximum of each window: (N, C, H, W) -> (N, C, OH, OW). `stride` None means `kernel_size`.

    Padding takes part as -inf. NaN wins; the first of equal maxima has the gradient. With `ceil_mode` a partial
    window at the end counts too, if it begins on the input or the padding before it.
    """
    return _on_batch(ops.MaxPool2d(kernel_size, stride, padding, dilation, ceil_mode), input)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:
    """Mean of each window: (N, C, H, W) -> (N, C, OH, OW). `stride` None means `kernel_size`.

    With `count_include_pad` padding counts as zeros in the mean. `divisor_override` replaces the number of elements.
    """
    operation = ops.AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _on_batch(operation, input)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Mean of windows that divide the input evenly: (N, C, H, W) -> (N, C, *output_size). None keeps a size."""
    return _on_batch(ops.AdaptiveAvgPool2d(output_size), input)


# --- layers


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias: (..., in_features) and (out_features, in_features) -> (..., out_features)."""
    return ops.Linear()(input, weight, bias)


def relu(input: Tensor) -> Tensor:
    """max(input, 0), elementwise."""
    return ops.ReLU()(input)


def softmax(input: Tensor, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`: numbers become probabilities."""
    return ops.Softmax(resolve_axis("softmax: dim", dim, input.ndim))(input)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """log(softmax(input, dim)), computed so that nothing overflows."""
    return ops.LogSoftmax(resolve_axis("log_softmax: dim", dim, input.ndim))(input)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, each element is 0 with probability p and otherwise scaled by 1 / (1 - p).

    The mask is counted out of `minigrad.manual_seed`'s seed, the number of the call and that of the image
    (kernels/reference/philox.py).
    """
    require_probability("dropout", p)
    return ops.Dropout(p, *random.next_call(), random.first_image())(input) if training and p > 0 else input


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    *, activation: str | None = None, ranks: Any = None,
) -> Tensor:
    """Normalise each channel of (N, C), (N, C, L) or (N, C, H, W); `activation="relu"` in the same pass.

    In training with the batch's mean and biased variance, and the running ones move towards the batch's by `momentum`
    (the running variance is unbiased); otherwise with the running ones. ranks: the processes that have other shares of
    the batch (minigrad.parallel.World), if in training its statistics are to be those of all of it.
    """
    if not 2 <= input.ndim <= 4:
        raise ValueError(f"batch_norm: input: given shape {input.shape}, expected 2 to 4 axes (N, C, ...)")
    channels = input.shape[1]
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, given in named.items():
        if given is not None and (given.shape, given.dtype) != ((channels,), input.dtype):
            raise ValueError(
                f"batch_norm: {name}: given {given.dtype} {given.shape}, expected {input.dtype} ({channels},)"
            )
    if training:
        if input.data.size == max(1, channels) and not ranks:
            raise ValueError(f"batch_norm: input: given shape {input.shape}, expected more than 1 value per channel")
        operation = ops.BatchNorm(None, eps, activation, ranks)
        output = operation(input, weight, bias)
        if (input.data.size or ranks) and running_mean is not None and running_var is not None:
            with device.holding(input.data):
                count = operation.batch_count
                unbiased = operation.batch_variance * (count / (count - 1))
                for running, batch in ((running_mean.data, operation.batch_mean), (running_var.data, unbiased)):
                    running *= 1 - momentum
                    running += momentum * batch
        return output
    if running_mean is None or running_var is None:
        raise ValueError("batch_norm: running_mean, running_var: given None, expected both unless training=True")
    with device.holding(input.data):  # copies, for training may change them before backward
        statistics = running_mean.data.copy(), running_var.data.copy()
    return ops.BatchNorm(statistics, eps, activation)(input, weight, bias)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divide by (k + alpha / size * sum of squares over `size` neighbouring channels) ** beta: (N, C, ...)."""
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: input: given shape {input.shape}, expected (N, C, ...), 3 axes or more")
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"local_response_norm: size: given {size}, expected an integer of at least 1")
    return ops.LocalResponseNorm(size, alpha, beta, k)(input)


# --- loss


def cross_entropy(
    input: Tensor, target: Tensor | Array, weight: Tensor | Array | None = None, *, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits `input` (C,), (N, C) or (N, C, d1, ...) of up to 5 axes.

    target: integer class numbers (N, d1, ...), or float class probabilities of input's shape, which may need a
    gradient. weight: (C,), how much each class counts, a constant. ignore_index: class number that counts nothing.
    reduction: "mean" (over what counts), "sum" or "none". label_smoothing: from 0 to 1.

    IndexError for a class number out of range; on a card, where looking would make the program wait for it, such an
    image's loss is NaN.
    """
    target = target if isinstance(target, Tensor) else Tensor(target)
    weight = weight if weight is None or isinstance(weight, Tensor) else Tensor(weight)
    for name, tensor in {"target": target, "weight": weight}.items():
        if tensor is not None and tensor.device != input.device:
            given = f"given on {tensor.device}, expected on {input.device}, as the input"
            raise TypeError(f"cross_entropy: {name}: {given}")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction: given {reduction!r}, expected 'mean', 'sum' or 'none'")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing: given {label_smoothing}, expected 0 to 1")
    if not 1 <= input.ndim <= 5:
        raise ValueError(f"cross_entropy: input: given shape {input.shape}, expected 1 to 5 axes (N, C, ...)")
    if weight is not None and weight.requires_grad and is_grad_enabled():
        raise ValueError("cross_entropy: weight: given one that requires a gradient, expected a constant; detach() it")
    if input.ndim == 1:
        if (target.shape, target.dtype.kind in "iu") not in (((), True), (input.shape, False)):
            given = f"given {target.dtype} {target.shape}"
            expected = f"an integer class number () or floats {input.shape} for an input of shape {input.shape}"
            raise ValueError(f"cross_entropy: target: {given}, expected {expected}")
        batch_target = target.reshape(1, *target.shape)
        loss = cross_entropy(
            input.reshape(1, *input.shape), batch_target, weight, ignore_index=ignore_index, reduction=reduction,
            label_smoothing=label_smoothing,
        )
        return loss.reshape(()) if reduction == "none" else loss
    classes = input.shape[1]
    if weight is not None and (weight.shape, weight.dtype) != ((classes,), input.dtype):
        given = f"{weight.dtype} {weight.shape}"
        raise ValueError(f"cross_entropy: weight: given {given}, expected {input.dtype} ({classes},)")
    scale = None if weight is None else weight.data
    if target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ValueError(
                f"cross_entropy: target: given floats of shape {target.shape}, expected class probabilities "
                f"{input.shape}, or integer class numbers {(input.shape[0], *input.shape[2:])}"
            )
        if ignore_index >= 0:
            raise ValueError(
                f"cross_entropy: ignore_index: given {ignore_index}, but a target of probabilities has no class numbers"
            )
        return ops.CrossEntropy(None, scale, ignore_index, reduction, label_smoothing)(input, target)
    _check_class_numbers(input, target, ignore_index)
    with device.holding(target.data):
        indices = target.data.astype(np.int64, copy=False)
    return ops.CrossEntropy(indices, scale, ignore_index, reduction, label_smoothing)(input, None)


def _check_class_numbers(input: Tensor, target: Tensor, ignore_index: int) -> None:
    expected = (input.shape[0], *input.shape[2:])
    if target.shape != expected or target.dtype.kind not in "iu":
        raise ValueError(
            f"cross_entropy: target: given {target.dtype} {target.shape}, expected integer class numbers {expected} "
            f"for an input of shape {input.shape}"
        )
    if is_on_card(target.data):
        return
    classes = input.shape[1]
    wrong = (target.data != ignore_index) & ((target.data < 0) | (target.data >= classes))
    if wrong.any():
        raise IndexError(
            f"cross_entropy: target: given class {target.data[wrong][0]}, expected 0 to {classes - 1} "
            f"or ignore_index={ignore_index}"
        )


# --- shape


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after another along `dim`; their other axes must agree."""
    return ops.Cat(dim)(*tensors)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` as one, in logical order."""
    if input.ndim == 0:
        return input.reshape(1)
    start = resolve_axis("flatten: start_dim", start_dim, input.ndim)
    end = resolve_axis("flatten: end_dim", end_dim, input.ndim)
    if start > end:
        raise ValueError(f"flatten: start_dim: given {start_dim}, expected no axis behind end_dim={end_dim}")
    joined = int(np.prod(input.shape[start : end + 1]))
    return input.reshape(*input.shape[:start], joined, *input.shape[end + 1 :])


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last axes: `pad` = (left, right), (left, right, top, bottom), ...; negative amounts cut off.

    mode: "constant" (with `value`, 0 if None), or "reflect", "replicate" and "circular", which take their places from
    what is left of the input after cutting.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: pad: given {len(pad)} amounts, expected an even number up to {2 * input.ndim}")
    amounts = [(0, 0)] * input.ndim
    for position in range(len(pad) // 2):
        amounts[input.ndim - 1 - position] = (pad[2 * position], pad[2 * position + 1])
    if mode == "constant":
        return ops.Pad(amounts, 0.0 if value is None else value)(input)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode: given {mode!r}, expected 'constant', 'reflect', 'replicate' or 'circular'")
    if value is not None:
        raise ValueError(f"pad: value: given {value}, expected None with mode={mode!r}")
    if any(amount < 0 for amount in pad):
        input = ops.Pad([(min(0, before), min(0, after)) for before, after in amounts], 0.0)(input)
    for axis, (before, after) in enumerate(amounts):
        if max(before, after) > 0:
            places = _padding_source(mode, input.shape[axis], max(0, before), max(0, after))
            input = input[(slice(None),) * axis + (places,)]
    return input


def _padding_source(mode: str, size: int, before: int, after: int) -> Array:
    """Which place of an axis of `size` each place of the padded axis shows: (before + size + after,) integers."""
    limits = {"reflect": size - 1, "replicate": max(before, after) if size else 0, "circular": size}
    if max(before, after) > limits[mode]:
        raise ValueError(f"pad: pad: given ({before}, {after}), expected at most {limits[mode]} with mode={mode!r}")
    places = np.arange(-before, size + after)
    if mode == "circular":
        return places % size
    if mode == "replicate":
        return places.clip(0, size - 1)
    return size - 1 - np.abs(size - 1 - np.abs(places))  # mirrored at the first and at the last place
