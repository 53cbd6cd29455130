"""Optimiser steps. They change parameters and state in place, all parameters in one call.

`halted` is an int64 array (1,), or None: where it is not 0 nothing changes. It is an array so that a card can stop
updating after a step that went wrong (note_step in loss.py) before the host has heard of it.
"""

import math
from collections.abc import Sequence

import numpy as np

from kernels.layout import Array


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], velocities: Sequence[Array], lr: float, momentum: float,
    weight_decay: float, nesterov: bool, halted: Array | None,
) -> None:
    """v = momentum * v + g;  p -= lr * v, where g includes weight_decay * p. Nesterov: p -= lr * (g + momentum * v).

    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013, in PyTorch's form.
    Without momentum `velocities` is empty.
    """
    if halted is not None and halted[0]:
        return
    for index, (p, g) in enumerate(zip(params, grads, strict=True)):
        if weight_decay:
            g = g + weight_decay * p
        if momentum:
            v = velocities[index]
            v *= momentum
            v += g
            g = g + momentum * v if nesterov else v
        p -= lr * g


def adam_step(
    params: Sequence[Array], grads: Sequence[Array], means: Sequence[Array], squares: Sequence[Array], step: int,
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, decoupled: bool, halted: Array | None,
) -> None:
    """m = b1 m + (1-b1) g;  s = b2 s + (1-b2) g^2;  p -= lr * m' / (sqrt(s') + eps), primes for bias correction.

    D. Kingma and J. Ba, "Adam", 2015, algorithm 1. `decoupled` decay shrinks p itself instead of joining the gradient
    (I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019, algorithm 2). `step` counts from 1.
    """
    if halted is not None and halted[0]:
        return
    mean_correction, square_correction = (1 - beta**step for beta in betas)
    for p, g, m, s in zip(params, grads, means, squares, strict=True):
        if weight_decay and decoupled:
            p *= 1 - lr * weight_decay
        elif weight_decay:
            g = g + weight_decay * p
        m *= betas[0]
        m += (1 - betas[0]) * g
        s *= betas[1]
        s += (1 - betas[1]) * np.square(g)
        p -= (lr / mean_correction) * m / (np.sqrt(s) / math.sqrt(square_correction) + eps)
