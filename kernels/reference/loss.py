"""Softmax and cross-entropy in one kernel.

For one row of logits z with log-probabilities l = log_softmax(z), the loss is - sum_c t_c l_c, where t_c says how much
class c counts. Its gradient has the form that makes the pair worth fusing: dz_c = softmax_c * sum_k t_k - t_c, that
is "what the network believes minus what is true" (C. Bishop, "Pattern Recognition and Machine Learning", 2006, 4.109).

Logits are rows (M, C). A target is a row of class numbers (M,), integers, or of class probabilities (M, C), floats.
"""

import numpy as np

from kernels.layout import Array
from kernels.reference.activation import log_softmax


def class_weights(
    target: Array, classes: int, weight: Array | None, ignore_index: int, label_smoothing: float, dtype: np.dtype
) -> tuple[Array, Array]:
    """How much each class counts in each row, t (M, C), and how much the row counts in a mean, (M,).

    Label smoothing moves that share of a row's belief evenly to all classes (C. Szegedy et al., "Rethinking the
    Inception architecture for computer vision", 2016, section 7). `weight` (C,) rescales classes.
    """
    rows = len(target)
    scale = np.ones(classes, dtype) if weight is None else weight
    if np.issubdtype(target.dtype, np.floating):
        belief = target
        row_weight = np.ones(rows, dtype)
    else:
        kept = target != ignore_index
        known = np.where(kept, target, 0)
        belief = np.zeros((rows, classes), dtype)
        belief[np.arange(rows), known] = 1
        row_weight = np.where(kept, scale[known], dtype.type(0))
    if label_smoothing:
        belief = belief * (1 - label_smoothing) + label_smoothing / classes
    counted = belief * scale
    if not np.issubdtype(target.dtype, np.floating):
        counted[~kept] = 0
    return counted, row_weight


def cross_entropy(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row (M,), the log-probabilities (M, C), and how much each row counts in a mean (M,)."""
    log_probabilities = log_softmax(logits, axis=1)
    counted, row_weight = class_weights(
        target, logits.shape[1], weight, ignore_index, label_smoothing, logits.dtype
    )
    # A class that does not count adds nothing, even where its log-probability is -inf.
    losses = -(counted * np.where(counted == 0, 0, log_probabilities)).sum(axis=1)
    return losses, log_probabilities, row_weight


def cross_entropy_backward(
    row_grad: Array, log_probabilities: Array, target: Array, weight: Array | None, ignore_index: int,
    label_smoothing: float,
) -> Array:
    """Gradient of the logits: (M,) -> (M, C)."""
    counted, _ = class_weights(
        target, log_probabilities.shape[1], weight, ignore_index, label_smoothing, log_probabilities.dtype
    )
    error = np.exp(log_probabilities) * counted.sum(axis=1, keepdims=True) - counted
    result: Array = row_grad[:, None] * error
    return result


def cross_entropy_target_grad(
    row_grad: Array, log_probabilities: Array, weight: Array | None, label_smoothing: float
) -> Array:
    """Gradient of a target of class probabilities: (M,) -> (M, C)."""
    scale = 1 if weight is None else weight
    result: Array = row_grad[:, None] * (-(1 - label_smoothing) * scale * log_probabilities)
    return result


def note_step(logits: Array, target: Array, loss: Array, step: int, record: Array, halted: Array) -> None:
    """What a training step came to, left where it was computed, so that nobody has to wait for it.

    `record` (2,), of the logits' dtype, becomes the loss and how many rows of logits (M, C) have their largest, of
    equals the first, at their class number in target (M,) int64. If the loss, () or (1,), is not finite and `halted`
    (1,) int64 is 0, it becomes `step`, which counts from 1: the optimisers' kernels then change nothing any more.
    """
    record[0] = loss.reshape(())
    record[1] = np.count_nonzero(logits.argmax(axis=1) == target)
    if halted[0] == 0 and not np.isfinite(record[0]):
        halted[0] = step
