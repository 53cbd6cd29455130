"""Softmax and cross-entropy in one kernel on all cores; kernels/reference/loss.py has the mathematics.

A row of logits is read, and its loss and log-probabilities written, while it is in the cache. How much each class
counts in a row is computed where it is needed: for class numbers there is never a row of zeros with a single one in
memory. Logits are rows (M, C). A target is a row of class numbers (M,) or of class probabilities (M, C).

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): a training step's 128 rows of 10 logits take 0.15 ms each way, most
of it the call; the gradient of probabilities, 128 rows of 1000, runs at 14 % of what copying does.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.activation import log_softmax_row, row_parts
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array
from kernels.reference import loss as reference


@compiled
def _belief(target: Any, row: int, c: int) -> Any:
    """How much the target believes in class c. Compiled once for class numbers (M,), once for probabilities (M, C)."""
    if target.ndim == 1:
        return np.float32(target[row] == c)
    else:  # Numba drops the branch that does not fit the target's number of axes
        return target[row, c]


@compiled
def _ignored(target: Any, row: int, ignore_index: int) -> bool:
    return target.ndim == 1 and target[row] == ignore_index


@compiled
def _row_weight(target: Any, row: int, scale: Any) -> Any:
    """How much a row that is not ignored counts in a mean."""
    return scale[target[row]] if target.ndim == 1 else np.float32(1)


@parallel
def _cross_entropy(
    workers: int, logits: Any, target: Any, scale: Any, ignore_index: int, share: Any, even: Any, losses: Any,
    log_probabilities: Any, row_weights: Any, rows: int, parts: int,
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(logits), (part + 1) * rows)):
                log_softmax_row(logits[row], log_probabilities[row])
                losses[row] = row_weights[row] = 0
                if not _ignored(target, row, ignore_index):
                    row_weights[row] = _row_weight(target, row, scale)
                    losses[row] = _loss(target, row, scale, share, even, log_probabilities[row])
            part = next_part(counter)


@compiled
def _loss(target: Any, row: int, scale: Any, share: Any, even: Any, log_probabilities: Any) -> Any:
    total = np.float32(0)
    for c in range(len(log_probabilities)):
        counted = (_belief(target, row, c) * share + even) * scale[c]
        if counted != 0:  # a class that does not count adds nothing, even where its log-probability is -inf
            total -= counted * log_probabilities[c]
    return total


@compiled
def _logits_grad(
    target: Any, row: int, scale: Any, share: Any, even: Any, log_probabilities: Any, row_grad: Any, grad: Any
) -> None:
    total = np.float32(0)
    for c in range(len(grad)):
        grad[c] = (_belief(target, row, c) * share + even) * scale[c]
        total += grad[c]
    for c in range(len(grad)):
        grad[c] = row_grad * (np.exp(log_probabilities[c]) * total - grad[c])


@parallel
def _cross_entropy_backward(
    workers: int, row_grad: Any, log_probabilities: Any, target: Any, scale: Any, ignore_index: int, share: Any,
    even: Any, grad: Any, rows: int, parts: int,
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            for row in range(part * rows, min(len(grad), (part + 1) * rows)):
                if _ignored(target, row, ignore_index):
                    grad[row] = 0
                else:
                    _logits_grad(target, row, scale, share, even, log_probabilities[row], row_grad[row], grad[row])
            part = next_part(counter)


def _prepared(
    classes: int, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, int, np.float32, np.float32]:
    """Target, class weights, ignored class, and a class's share of the belief in it and of everything else."""
    kind = np.float32 if target.dtype.kind == "f" else np.int64
    scale = np.ones(classes, np.float32) if weight is None else np.ascontiguousarray(weight, np.float32)
    shares = np.float32(1 - label_smoothing), np.float32(label_smoothing / max(1, classes))
    target = np.ascontiguousarray(target, kind)
    if kind is np.int64:
        known = target[target != ignore_index]
        if known.size and not 0 <= known.min() <= known.max() < classes:
            raise IndexError(f"cross_entropy: class numbers from {known.min()} to {known.max()} of {classes} classes")
    return target, scale, int(ignore_index), *shares


def cross_entropy(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Loss of each row (M,), the log-probabilities (M, C), and how much each row counts in a mean (M,)."""
    rows, classes = logits.shape
    losses, log_probabilities, row_weights = (memory.empty(shape) for shape in ((rows,), (rows, classes), (rows,)))
    _cross_entropy(
        np.ascontiguousarray(logits), *_prepared(classes, target, weight, ignore_index, label_smoothing), losses,
        log_probabilities, row_weights, *row_parts(logits.shape),
    )
    return losses, log_probabilities, row_weights


def cross_entropy_backward(
    row_grad: Array, log_probabilities: Array, target: Array, weight: Array | None, ignore_index: int,
    label_smoothing: float,
) -> Array:
    """Gradient of the logits: (M,) -> (M, C)."""
    grad = memory.empty(log_probabilities.shape)
    _cross_entropy_backward(
        np.ascontiguousarray(row_grad), np.ascontiguousarray(log_probabilities),
        *_prepared(grad.shape[1], target, weight, ignore_index, label_smoothing), grad, *row_parts(grad.shape),
    )
    return grad


def cross_entropy_target_grad(
    row_grad: Array, log_probabilities: Array, weight: Array | None, label_smoothing: float
) -> Array:
    """Gradient of a target of class probabilities: (M,) -> (M, C)."""
    scale = np.float32(label_smoothing - 1) * (np.float32(1) if weight is None else weight)
    grad: Array = np.multiply(log_probabilities, scale, out=memory.empty(log_probabilities.shape))
    grad *= row_grad[:, None]  # (M, 1): the targets' gradient is asked for so rarely that NumPy will do
    return grad


def note_step(logits: Array, target: Array, loss: Array, step: int, record: Array, halted: Array) -> None:
    """The loss and how many rows are right into `record` (2,), and `step` into `halted` (1,) if the loss is not finite:
    logits (M, C), target (M,) class numbers, loss () or (1,). A batch has few rows: NumPy will do."""
    reference.note_step(logits, target, loss, step, record, halted)
