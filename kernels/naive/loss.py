"""Softmax and cross-entropy: how surprised is the network by the truth?

For one row of logits z, with log-probabilities l = log_softmax(z) and t_c saying how much class c counts:

    loss = - sum over c of t_c * l_c
    dloss / dz_c = softmax_c * sum over k of t_k - t_c

Without weights and smoothing t is 1 at the true class and 0 elsewhere, the loss is -l at the true class, and the
gradient is what the network believes minus what is true.

Logits are rows (M, C). A target is a row of class numbers (M,), integers, or of class probabilities (M, C), floats.
"""

import math

import numpy as np

from kernels.layout import Array
from kernels.naive.activation import log_softmax


def class_weights(
    row_target: Array, classes: int, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[list[float], float]:
    """How much each class counts in one row, the list t, and how much the row counts in a mean over rows.

    Label smoothing takes that share of the truth and spreads it evenly over all classes. `weight` (C,) rescales them.
    """
    is_class_number = row_target.ndim == 0
    if is_class_number and row_target == ignore_index:
        return [0.0] * classes, 0.0
    t = []
    for c in range(classes):
        truth = float(c == row_target) if is_class_number else float(row_target[c])
        truth = truth * (1 - label_smoothing) + label_smoothing / classes
        t.append(truth if weight is None else truth * float(weight[c]))
    return t, float(weight[row_target]) if is_class_number and weight is not None else 1.0


def cross_entropy(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row (M,), the log-probabilities (M, C), and how much each row counts in a mean (M,)."""
    rows, classes = logits.shape
    log_probabilities = log_softmax(logits, axis=1)
    losses, row_weights = np.zeros(rows, logits.dtype), np.zeros(rows, logits.dtype)
    for m in range(rows):
        t, row_weights[m] = class_weights(target[m], classes, weight, ignore_index, label_smoothing)
        for c in range(classes):
            if t[c] != 0:  # a class that does not count adds nothing, even where its log-probability is -inf
                losses[m] -= t[c] * log_probabilities[m, c]
    return losses, log_probabilities, row_weights


def cross_entropy_backward(
    row_grad: Array, log_probabilities: Array, target: Array, weight: Array | None, ignore_index: int,
    label_smoothing: float,
) -> Array:
    """Gradient of the logits: (M,) -> (M, C)."""
    rows, classes = log_probabilities.shape
    logits_grad = np.zeros_like(log_probabilities)
    for m in range(rows):
        t, _ = class_weights(target[m], classes, weight, ignore_index, label_smoothing)
        for c in range(classes):
            logits_grad[m, c] = row_grad[m] * (math.exp(log_probabilities[m, c]) * sum(t) - t[c])
    return logits_grad


def cross_entropy_target_grad(
    row_grad: Array, log_probabilities: Array, weight: Array | None, label_smoothing: float
) -> Array:
    """Gradient of a target of class probabilities: (M,) -> (M, C). What is smoothed away has no say."""
    target_grad = np.zeros_like(log_probabilities)
    for m, c in np.ndindex(log_probabilities.shape):
        scale = 1.0 if weight is None else weight[c]
        target_grad[m, c] = row_grad[m] * -log_probabilities[m, c] * scale * (1 - label_smoothing)
    return target_grad


def note_step(logits: Array, target: Array, loss: Array, step: int, record: Array, halted: Array) -> None:
    """What a training step came to. `record` (2,) becomes the loss, and how many rows are largest at their target.

    Of equal logits the first counts, and NaN as larger than any number. logits (M, C), target (M,) class numbers, loss
    () or (1,). If the loss is not finite and `halted` (1,) is 0, it becomes `step`, which counts from 1.
    """
    correct = 0
    for row, true_class in zip(logits, target, strict=True):
        largest = 0
        for c in range(len(row)):
            if row[c] > row[largest] or (math.isnan(row[c]) and not math.isnan(row[largest])):
                largest = c
        correct += largest == true_class
    record[0], record[1] = loss.item(), correct
    if halted[0] == 0 and not math.isfinite(loss.item()):
        halted[0] = step
