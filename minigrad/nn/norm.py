"""Normalisation layers."""

from typing import Any

import numpy as np

from minigrad import device, functional as F
from minigrad.nn.module import Module, Parameter
from minigrad.ops.arguments import require_activation
from minigrad.tensor import Tensor


class BatchNorm(Module):
    """Batch normalisation; see functional.batch_norm.

    weight, bias: (C,), ones and zeros at first. running_mean, running_var: (C,) buffers, used in evaluation.
    momentum: how far the running statistics move towards a batch's; None takes the mean over all batches so far.
    ranks: whose batches count in training besides (minigrad.parallel.share_statistics); None for only this process's.
    """

    axes: tuple[int, ...]
    ranks: Any = None

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, *, activation: str | None = None,
    ) -> None:
        super().__init__()
        require_activation(type(self).__name__, activation)
        self.num_features, self.eps, self.momentum, self.activation = num_features, eps, momentum, activation
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)))
            self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)))
            self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)))

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ValueError(f"{type(self).__name__}: input: given shape {input.shape}, expected {self.axes} axes")
        ranks = self.ranks if self.training else None
        if not self.track_running_stats:
            return F.batch_norm(
                input, None, None, self.weight, self.bias, True, 0.0, self.eps, activation=self.activation, ranks=ranks
            )
        momentum = self.momentum
        if momentum is None:
            momentum = 1 / (self.num_batches_tracked.item() + 1) if self.training else 0.0
        output = F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps,
            activation=self.activation, ranks=ranks,
        )
        if self.training:  # not before, for a batch that is refused does not count
            with device.holding(self.num_batches_tracked.data):
                self.num_batches_tracked.data += 1
        return output

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L)."""

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch normalisation of (N, C, H, W)."""

    axes = (4,)


class LocalResponseNorm(Module):
    """Normalisation over neighbouring channels; see functional.local_response_norm."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.options = (size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, *self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={v}" for n, v in zip(("size", "alpha", "beta", "k"), self.options, strict=True))
