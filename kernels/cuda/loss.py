"""Softmax and cross-entropy in one kernel, and what a training step came to; kernels/reference/loss.py has the
mathematics. Logits are rows (M, C). A target is class numbers (M,), integers, or class probabilities (M, C), floats."""

from typing import Any

import cupy
import numpy as np

from kernels.cuda.launch import NULL, contiguous, launch, over_rows
from kernels.layout import Array

WARPS = 4
"""Of a block of cross_entropy.cu, each with a row of its own: few, so that a batch of 128 spreads over the card."""
NOTING_WARPS = 32
"""Of note_step.cu's only block."""


def _rule(
    target: Array, weight: Array | None, ignore_index: int, label_smoothing: float, classes: int, dtype: np.dtype
) -> tuple[str, tuple[Any, ...]]:
    """The end of the kernel's name, and its arguments that say how much each class counts."""
    kind, suffix = (dtype, "probabilities") if target.dtype.kind == "f" else (np.dtype(np.int64), "numbers")
    return suffix, (
        contiguous(target.astype(kind, copy=False)),
        NULL if weight is None else contiguous(weight),
        np.int64(ignore_index),
        dtype.type(1 - label_smoothing),
        dtype.type(label_smoothing / max(1, classes)),
    )


def cross_entropy(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row (M,), the log-probabilities (M, C), and how much each row counts in a mean (M,).

    For a class number that does not exist the row's loss and weight are NaN.
    """
    rows, classes = logits.shape
    losses, log_probabilities, row_weights = (
        cupy.empty(shape, logits.dtype) for shape in ((rows,), (rows, classes), (rows,))
    )
    suffix, rule = _rule(target, weight, ignore_index, label_smoothing, classes, logits.dtype)
    launch(
        "cross_entropy", f"cross_entropy_of_{suffix}", logits.dtype, (-(-rows // WARPS),), (32, WARPS),
        contiguous(logits), *rule, losses, log_probabilities, row_weights, np.int64(rows), np.int32(classes),
    )
    return losses, log_probabilities, row_weights


def cross_entropy_backward(
    row_grad: Array, log_probabilities: Array, target: Array, weight: Array | None, ignore_index: int,
    label_smoothing: float,
) -> Array:
    """Gradient of the logits: (M,) -> (M, C). NaN in the row of a class number that does not exist."""
    rows, classes = log_probabilities.shape
    grad = cupy.empty((rows, classes), log_probabilities.dtype)
    suffix, rule = _rule(target, weight, ignore_index, label_smoothing, classes, grad.dtype)
    launch(
        "cross_entropy", f"backward_of_{suffix}", grad.dtype, (-(-rows // WARPS),), (32, WARPS), contiguous(row_grad),
        contiguous(log_probabilities), *rule, grad, np.int64(rows), np.int32(classes),
    )
    return grad


def cross_entropy_target_grad(
    row_grad: Array, log_probabilities: Array, weight: Array | None, label_smoothing: float
) -> Array:
    """Gradient of a target of class probabilities: (M,) -> (M, C)."""
    rows, classes = log_probabilities.shape
    grad = cupy.empty((rows, classes), log_probabilities.dtype)
    grid, block = over_rows(rows, classes)
    launch(
        "cross_entropy", "target_grad", grad.dtype, grid, block, contiguous(row_grad), contiguous(log_probabilities),
        NULL if weight is None else contiguous(weight), grad.dtype.type(1 - label_smoothing), grad, np.int64(rows),
        np.int32(classes),
    )
    return grad


def note_step(logits: Array, target: Array, loss: Array, step: int, record: Array, halted: Array) -> None:
    """What a training step came to, left on the card, so that nobody has to wait for it.

    `record` (2,), of the logits' dtype, becomes the loss and how many rows of logits (M, C) have their largest, of
    equals the first, at their class number in target (M,) int64. If the loss, () or (1,), is not finite and `halted`
    (1,) int64 is 0, it becomes `step`, which counts from 1: the optimisers' kernels then change nothing any more.
    """
    rows, classes = logits.shape
    launch(
        "note_step", "note_step", logits.dtype, (1,), (32, NOTING_WARPS), contiguous(logits), contiguous(target), loss,
        np.int64(step), record, halted, np.int64(rows), np.int32(classes),
    )
