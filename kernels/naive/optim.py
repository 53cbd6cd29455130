"""Optimiser steps: every number of every parameter takes a small step downhill. Parameters and state change in place.

SGD with momentum rolls like a ball: v gathers the gradients, old ones fading, and p follows v.
Adam gathers two averages, of the gradient and of its square, and steps by their ratio: about lr in each direction,
however steep it is.

Where `halted`, an int64 array (1,), is given and not 0, nothing changes: an earlier step went wrong.
"""

import math
from collections.abc import Sequence

import numpy as np

from kernels.layout import Array


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], velocities: Sequence[Array], lr: float, momentum: float,
    weight_decay: float, nesterov: bool, halted: Array | None,
) -> None:
    """v = momentum * v + g;  p = p - lr * v, where g includes weight_decay * p. Nesterov: p - lr * (g + momentum * v).

    Without momentum `velocities` is empty.
    """
    if halted is not None and halted[0] != 0:
        return
    for number, (param, grad) in enumerate(zip(params, grads, strict=True)):
        for place in np.ndindex(param.shape):
            g = grad[place] + weight_decay * param[place]
            if momentum:
                v = momentum * velocities[number][place] + g
                velocities[number][place] = v
                g = g + momentum * v if nesterov else v
            param[place] -= lr * g


def adam_step(
    params: Sequence[Array], grads: Sequence[Array], means: Sequence[Array], squares: Sequence[Array], step: int,
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, decoupled: bool, halted: Array | None,
) -> None:
    """m = b1 * m + (1 - b1) * g;  s = b2 * s + (1 - b2) * g * g;  p = p - lr * m' / (sqrt(s') + eps).

    The averages start at 0; m' = m / (1 - b1 ** step) and s' = s / (1 - b2 ** step) undo that. `step` counts from 1.
    Weight decay joins the gradient, or, `decoupled`, shrinks p itself (AdamW).
    """
    if halted is not None and halted[0] != 0:
        return
    beta1, beta2 = betas
    for param, grad, mean, square in zip(params, grads, means, squares, strict=True):
        for place in np.ndindex(param.shape):
            g = grad[place]
            if decoupled:
                param[place] -= lr * weight_decay * param[place]
            else:
                g = g + weight_decay * param[place]
            mean[place] = m = beta1 * mean[place] + (1 - beta1) * g
            square[place] = s = beta2 * square[place] + (1 - beta2) * g * g
            corrected_mean = m / (1 - beta1**step)
            corrected_square = s / (1 - beta2**step)
            param[place] -= lr * corrected_mean / (math.sqrt(corrected_square) + eps)
