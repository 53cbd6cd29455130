"""Initialisers: random weights of a size that keeps signals alive through many layers.

Each changes a tensor's data in place and returns the tensor. A weight's first axis is its outputs and its second its
inputs; a convolution has kh * kw taps for each, so fan_in = C/groups * kh * kw and fan_out = O * kh * kw.
"""

import math

from minigrad import device, random
from minigrad.tensor import Tensor

GAINS = {"linear": 1.0, "relu": math.sqrt(2.0)}
"""How much larger weights must be for a signal to keep its size through what follows: ReLU drops half of it."""


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight. ValueError for fewer than two axes."""
    if tensor.ndim < 2:
        raise ValueError(f"tensor: given shape {tensor.shape}, expected a weight of at least two axes")
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


def constant_(tensor: Tensor, value: float) -> Tensor:
    """Every element `value`."""
    tensor.data[...] = value
    return tensor


def uniform_(tensor: Tensor, low: float, high: float) -> Tensor:
    """Evenly from [low, high)."""
    device.assign(tensor.data, random.generator().uniform(low, high, tensor.shape))
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """From a normal distribution."""
    device.assign(tensor.data, random.generator().normal(mean, std, tensor.shape))
    return tensor


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Evenly, with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (X. Glorot, Y. Bengio, 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal, with standard deviation gain * sqrt(2 / (fan_in + fan_out)) (X. Glorot, Y. Bengio, 2010, eq. 12)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def _kaiming_std(tensor: Tensor, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode: given {mode!r}, expected 'fan_in' or 'fan_out'")
    if nonlinearity not in GAINS:
        raise ValueError(f"nonlinearity: given {nonlinearity!r}, expected one of {', '.join(GAINS)}")
    return GAINS[nonlinearity] / math.sqrt(fans(tensor)[mode == "fan_out"])


def kaiming_uniform_(tensor: Tensor, mode: str = "fan_in", nonlinearity: str = "relu") -> Tensor:
    """Evenly, with standard deviation gain / sqrt(fan) (K. He et al., "Delving deep into rectifiers", 2015, eq. 10)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, mode: str = "fan_in", nonlinearity: str = "relu") -> Tensor:
    """Normal, with standard deviation gain / sqrt(fan) (K. He et al., 2015, eq. 10)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, mode, nonlinearity))
