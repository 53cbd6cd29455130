"""Softmax and cross-entropy together, reduced to one number or not at all."""

from typing import Any

import numpy as np

from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function


class CrossEntropy(Function):
    """Logits (N, C, ...) against class numbers (N, ...) in `indices`, or against class probabilities (N, C, ...)."""

    floats_only = True

    def __init__(
        self, indices: Array | None, weight: Array | None, ignore_index: int, reduction: str, label_smoothing: float
    ) -> None:
        super().__init__()
        self.indices, self.weight, self.ignore_index = indices, weight, ignore_index
        self.reduction, self.label_smoothing = reduction, float(label_smoothing)

    def forward(self, input: Array, target: Any) -> Array:
        self.shape = nhwc(input).shape
        rows = nhwc(input).reshape(-1, input.shape[1])  # (N, ..., C) -> (M, C)
        aims = nhwc(target).reshape(rows.shape) if self.indices is None else self.indices.reshape(-1)
        losses, log_probabilities, row_weight = self.kernels.cross_entropy(
            rows, aims, self.weight, self.ignore_index, self.label_smoothing
        )
        total_weight = row_weight.sum()
        self.save(log_probabilities, aims, total_weight)
        if self.reduction == "none":
            return losses.reshape(self.shape[:-1])  # (M,) -> (N, ...)
        total: Array = losses.sum()
        return total / total_weight if self.reduction == "mean" else total

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        log_probabilities, aims, total_weight = self.saved
        if self.reduction == "mean":
            grad = grad / total_weight
        row_grad = np.broadcast_to(grad, self.shape[:-1]).reshape(-1)  # (N, ...) -> (M,)
        if self.indices is not None:  # ignored rows have no gradient, also where nothing counts and the mean is 0/0
            row_grad = np.where(aims == self.ignore_index, grad.dtype.type(0), row_grad)
        options = (self.weight, self.ignore_index, self.label_smoothing)
        input_grad: Any = None
        target_grad: Any = None
        if self.needs[0]:
            input_grad = self.kernels.cross_entropy_backward(row_grad, log_probabilities, aims, *options)
            input_grad = nchw(input_grad.reshape(self.shape))  # (M, C) -> (N, ..., C)
        if self.needs[1]:
            target_grad = self.kernels.cross_entropy_target_grad(
                row_grad, log_probabilities, self.weight, self.label_smoothing
            )
            target_grad = nchw(target_grad.reshape(self.shape))
        return input_grad, target_grad
