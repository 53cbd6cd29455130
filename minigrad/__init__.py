"""minigrad: a convolutional-network engine from scratch, on NumPy and CuPy.

    from minigrad import Tensor
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad  # [2, 4, 6]
"""

import kernels

if not getattr(kernels, "IS_MINIGRADS", False):
    raise ImportError(
        f"`kernels` was imported from {kernels.__file__}, which is not minigrad's: another package has that name. "
        "Install minigrad from its clone (`pip install -e .`) into an environment of its own."
    )

from kernels import backend as backend
from minigrad import (
    device as device,
    functional as functional,
    nn as nn,
    optim as optim,
)
from minigrad.anomaly import AnomalyError as AnomalyError, detect_anomaly as detect_anomaly
from minigrad.explorer import draw as draw, explore as explore
from minigrad.function import Function as Function, is_grad_enabled as is_grad_enabled, no_grad as no_grad
from minigrad.gradcheck import GradientError as GradientError, gradcheck as gradcheck
from minigrad.observe import Observer as Observer, observe as observe
from minigrad.profiler import Profiler as Profiler
from minigrad.random import manual_seed as manual_seed
from minigrad.tensor import Tensor as Tensor
