"""Normalisations: over the batch, and over neighbouring channels."""

from typing import Any

import numpy as np

from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function
from minigrad.ops.arguments import require_activation


class BatchNorm(Function):
    """Each channel of (N, C), (N, C, L) or (N, C, H, W) to mean `bias` and standard deviation `weight`.

    Where ReLU blocked, backward sees by normalising the input, which it keeps, once more: the output need not be kept.
    statistics: (mean, variance) to use, two (C,); None takes those of the batch, which are then in `batch_mean` and
    `batch_variance` (biased) after forward, and in `batch_count` of how many numbers they are. ranks: the processes
    that have other shares of this batch (minigrad.parallel.World), if its statistics are to be those of all of it.
    """

    floats_only = True
    fresh = True

    def __init__(
        self, statistics: tuple[Array, Array] | None, eps: float, activation: str | None, ranks: Any = None
    ) -> None:
        super().__init__()
        require_activation("batch_norm", activation)
        self.statistics, self.eps, self.activation, self.ranks = statistics, float(eps), activation, ranks

    def forward(self, input: Array, weight: Array | None, bias: Array | None) -> Array:
        x = nhwc(input)
        mean, variance = self.statistics or self.kernels.batch_statistics(x)
        self.batch_count: Any = x.size // max(1, x.shape[-1])
        if self.ranks:
            mean, variance, self.batch_count = _of_all(self.ranks, mean, variance, self.batch_count)
        y: Array = self.kernels.batch_norm(x, mean, variance, weight, bias, self.eps, self.activation)
        self.save(x, mean, variance, weight, bias)
        self.batch_mean: Array = mean
        self.batch_variance: Array = variance
        return nchw(y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, mean, variance, weight, bias = self.saved
        x_grad, weight_grad, bias_grad = self.kernels.batch_norm_backward(
            nhwc(grad), x, mean, variance, weight, bias, self.eps, self.activation,
            self.statistics is None and not self.ranks,
        )
        if self.ranks:
            x_grad -= self._through_statistics(x, mean, variance, weight, weight_grad, bias_grad)
        return nchw(x_grad), weight_grad, bias_grad

    def _through_statistics(
        self, x: Array, mean: Array, variance: Array, weight: Array | None, weight_grad: Array, bias_grad: Array
    ) -> Array:
        """What an input's gradient lacks if mean and variance are taken for constants, where they are of all ranks.

        It is a batch normalisation of x itself, to a deviation and a mean that follow from all ranks' gradients: the
        two subtracted terms of kernels/reference/norm.py.
        """
        sums = np.stack([weight_grad, bias_grad]).astype(np.float64)  # (2, C)
        means = self.ranks.sum(sums) / self.batch_count
        deviation, centre = (means / np.sqrt(variance + self.eps)).astype(x.dtype)
        if weight is not None:
            deviation, centre = deviation * weight, centre * weight
        through: Array = self.kernels.batch_norm(x, mean, variance, deviation, centre, self.eps, None)
        return through


def _of_all(ranks: Any, mean: Array, variance: Array, count: int) -> tuple[Array, Array, Array]:
    """Mean and biased variance over all ranks, and of how many numbers, three (C,), out of those of this one."""
    own = mean.astype(np.float64)
    sums = np.stack([own, variance + own * own, np.ones_like(own)]) * count
    total = ranks.sum(sums if count else np.zeros_like(sums))  # (3, C); the mean of nothing is NaN
    of_all = total[0] / total[2]
    square = total[1] / total[2] - of_all * of_all
    return of_all.astype(mean.dtype), np.maximum(square, 0).astype(mean.dtype), total[2]


class LocalResponseNorm(Function):
    """Each channel divided by a power of the energy in the channels beside it."""

    floats_only = True
    fresh = True

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.options = (size, float(alpha), float(beta), float(k))

    def forward(self, input: Array) -> Array:
        x = nhwc(input)
        self.save(x)
        return nchw(self.kernels.local_response_norm(x, *self.options))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (x,) = self.saved
        return (nchw(self.kernels.local_response_norm_backward(nhwc(grad), x, *self.options)),)
