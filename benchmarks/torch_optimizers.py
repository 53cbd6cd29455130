"""PyTorch's optimisers with a kernel's state put into them; they step copies. Importing this imports torch."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.torch_memory import Memory, Rival, host


def _parameters(a: Any, memory: Memory) -> list[Tensor]:
    params = [memory.tensor(array).clone().requires_grad_() for array in a.params]
    for param, grad in zip(params, a.grads, strict=True):
        param.grad = memory.tensor(grad)
    return params


def sgd_step(a: Any, memory: Memory) -> Any:
    params = _parameters(a, memory)
    optimizer = torch.optim.SGD(params, a.lr, a.momentum, weight_decay=a.weight_decay, nesterov=a.nesterov)
    velocities = [memory.tensor(array).clone() for array in a.velocities]
    for param, velocity in zip(params, velocities, strict=True):
        optimizer.state[param]["momentum_buffer"] = velocity
    return Rival(optimizer.step, lambda _: host([*params, *velocities]))


def adam_step(a: Any, memory: Memory) -> Any:
    params = _parameters(a, memory)
    kind = torch.optim.AdamW if a.decoupled else torch.optim.Adam
    optimizer = kind(params, a.lr, a.betas, a.eps, a.weight_decay)
    means, squares = ([memory.tensor(array).clone() for array in group] for group in (a.means, a.squares))
    for param, mean, square in zip(params, means, squares, strict=True):
        optimizer.state[param].update(step=torch.tensor(a.step - 1.0), exp_avg=mean, exp_avg_sq=square)
    return Rival(optimizer.step, lambda _: host([*params, *means, *squares]))
