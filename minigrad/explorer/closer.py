"""A closer look: one pixel of a convolution, the winners of a max-pool, the mask of a dropout, the parts of a cat, the
classes of a cross-entropy.

Each gives what a page needs to show any output pixel of one channel, in JSON. Shapes without the batch: one image.
"""

from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad import device
from minigrad.explorer.arrays import Pool, shown
from minigrad.explorer.record import Operation
from minigrad.ops import Cat, Conv2d, CrossEntropy, Dropout, MaxPool2d

CLASSES = 100
"""A cross-entropy with more of them is not opened."""


def closer_look(operation: Operation, image: int, channel: int | None, pool: Pool) -> dict[str, Any] | None:
    """What there is to open at this operation, or None. channel: of a convolution's or pool's output; None or one that
    it does not have: that with the largest gradient."""
    if operation.output is None or operation.output_grad is None:
        return None
    image = min(image, len(operation.output) - 1) if operation.output.ndim else 0
    if isinstance(operation.function, Conv2d):
        return _convolution(operation, operation.function, image, channel, pool)
    if isinstance(operation.function, MaxPool2d):
        return _max_pool(operation, operation.function, image, channel, pool)
    if isinstance(operation.function, Cat):
        return {"kind": "cat", "axis": operation.function.dim % operation.output.ndim}
    if isinstance(operation.function, Dropout):
        kept = pool.maps(shown(_mask(operation), image))
        return {"kind": "dropout", "p": operation.function.p, "kept": kept}
    if isinstance(operation.function, CrossEntropy):
        return _cross_entropy(operation, operation.function, image)
    return None


def _convolution(
    operation: Operation, function: Conv2d, image: int, channel: int | None, pool: Pool
) -> dict[str, Any]:
    """The window of input pixels that each output pixel sees, and the weights that it meets, are two arrays' parts.

    `gradient` is that before the ReLU, if there is one: what is multiplied by the weights on the way back.
    """
    x, weight = (device.host(array) for array in operation.inputs[:2])
    bias = operation.inputs[2]
    y, gradient = _of_image(operation, image)
    if function.activation:
        gradient = np.where(y > 0, gradient, 0)
    chosen = _channel(gradient, channel)
    stride, padding, dilation, groups = function.window
    per_group = len(weight) // groups  # output channels
    return {
        "kind": "convolution", "channel": chosen, "stride": stride, "padding": [padding[0][0], padding[1][0]],
        "dilation": dilation, "activation": function.activation, "needs": function.needs[:2],
        "first_input_channel": chosen // per_group * weight.shape[1],
        "input": pool.exact(x[image]),  # (C, H, W)
        "weight": pool.exact(weight[chosen]),  # (C/groups, kh, kw)
        "bias": None if bias is None else float(device.host(bias)[chosen]),
        "output": pool.exact(y[chosen]), "gradient": pool.exact(gradient[chosen]),  # (OH, OW) each
    }  # fmt: skip


def _max_pool(
    operation: Operation, function: MaxPool2d, image: int, channel: int | None, pool: Pool
) -> dict[str, Any]:
    """`winner`: for each output pixel the place in its window, row by row, that has won."""
    y, gradient = _of_image(operation, image)
    chosen = _channel(gradient, channel)
    winner = next(saved.array for saved in operation.saved if saved.name == "winner")
    x, x_grad = operation.inputs[0], operation.input_grads[0]
    assert winner is not None
    assert x_grad is not None
    return {
        "kind": "max_pool", "channel": chosen, "stride": function.stride, "kernel": function.kernel,
        "padding": [function.padding[0][0], function.padding[1][0]], "dilation": function.dilation,
        "input": pool.exact(x[image, chosen]), "input_gradient": pool.exact(x_grad[image, chosen]),  # (H, W) each
        "output": pool.exact(y[chosen]), "gradient": pool.exact(gradient[chosen]),  # (OH, OW) each
        "winner": pool.exact(winner[image, :, :, chosen]),  # of (N, OH, OW, C)
    }  # fmt: skip


def _cross_entropy(operation: Operation, function: CrossEntropy, image: int) -> dict[str, Any] | None:
    """For one image and each class: logit, probability, what the probability should be, and the logit's gradient."""
    logits, gradient = operation.inputs[0], operation.input_grads[0]
    if logits.ndim != 2 or logits.shape[1] > CLASSES or gradient is None:
        return None
    image = min(image, len(logits) - 1)
    row = device.host(logits[image]).astype(np.float64)
    powers = np.exp(row - row.max())
    if function.indices is None:
        target = device.host(operation.inputs[1][image]).astype(np.float64)
    else:
        target = (np.arange(len(row)) == int(function.indices[image])).astype(np.float64)
    target = (1 - function.label_smoothing) * target + function.label_smoothing / len(row)
    columns = row, powers / powers.sum(), target, device.host(gradient[image])
    return {"kind": "cross_entropy", "image": image, "columns": [column.tolist() for column in columns]}


def _of_image(operation: Operation, image: int) -> tuple[Array, Array]:
    """Output and its gradient for one image, (C, OH, OW) each."""
    assert operation.output is not None
    assert operation.output_grad is not None
    return device.host(operation.output[image]), device.host(operation.output_grad[image])


def _channel(gradient: Array, wanted: int | None) -> int:
    if wanted is not None and wanted < len(gradient):
        return wanted
    return int(np.linalg.norm(gradient.reshape(len(gradient), -1), axis=1).argmax())  # (C, OH, OW) -> (C, OH*OW)


def _mask(operation: Operation) -> Array:
    """The same bits counted out once more, over ones: true where an element was kept."""
    with device.holding(operation.inputs[0]):
        kept: Array = device.host(operation.again().forward(np.ones_like(operation.inputs[0]))) > 0
    return kept
