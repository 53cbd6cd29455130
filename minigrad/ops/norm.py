"""Normalisations: over the batch, and over neighbouring channels."""

from kernels.layout import Array, nchw, nhwc
from minigrad.function import Function
from minigrad.ops.arguments import require_activation


class BatchNorm(Function):
    """Each channel of (N, C), (N, C, L) or (N, C, H, W) to mean `bias` and standard deviation `weight`.

    statistics: (mean, variance) to use, two (C,); None takes those of the batch, which are then in `batch_mean` and
    `batch_variance` (biased) after forward.
    """

    floats_only = True
    fresh = True

    def __init__(self, statistics: tuple[Array, Array] | None, eps: float, activation: str | None) -> None:
        super().__init__()
        require_activation("batch_norm", activation)
        self.statistics, self.eps, self.activation = statistics, float(eps), activation

    def forward(self, input: Array, weight: Array | None, bias: Array | None) -> Array:
        x = nhwc(input)
        mean, variance = self.statistics or self.kernels.batch_statistics(x)
        y: Array = self.kernels.batch_norm(
            x, mean, variance, weight, bias, self.eps, self.activation
        )
        self.save(x, mean, variance, weight, y if self.activation else None)
        self.batch_mean: Array = mean
        self.batch_variance: Array = variance
        return nchw(y)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        x, mean, variance, weight, y = self.saved
        g = nhwc(grad)
        if self.activation:
            g = self.kernels.relu_backward(g, y)
        x_grad, weight_grad, bias_grad = self.kernels.batch_norm_backward(
            g, x, mean, variance, weight, self.eps, self.statistics is None
        )
        return nchw(x_grad), weight_grad, bias_grad


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
