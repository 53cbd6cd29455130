"""Optimisers: how a parameter moves, given its gradient. The arithmetic is a kernel (kernels/reference/optim.py)."""

from collections.abc import Iterable, Mapping

import numpy as np

import kernels
from kernels.layout import Array
from minigrad.nn.module import Parameter


def at_least_zero(name: str, value: float) -> float:
    """`value`, if it is a number of at least 0. ValueError otherwise."""
    if not value >= 0:
        raise ValueError(f"{name}: given {value}, expected at least 0")
    return value


class Optimizer:
    """Base class: holds parameters, the learning rate, and arrays of state of the parameters' shapes.

    Parameters whose `grad` is None are passed over. `lr` may be changed at any time; schedules do.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        self.params = list(params)
        if not self.params:
            raise ValueError("params: given none, expected at least one parameter")
        self.lr = at_least_zero("lr", lr)
        self.steps = 0
        self.state: dict[str, list[Array]] = {
            name: [np.zeros_like(parameter.data) for parameter in self.params] for name in self.state_names
        }

    def step(self) -> None:
        """Move every parameter that has a gradient, in place."""
        self.steps += 1
        live = [index for index, parameter in enumerate(self.params) if parameter.grad is not None]
        params = [self.params[index].data for index in live]
        grads = [self.params[index].grad for index in live]
        state = {name: [arrays[index] for index in live] for name, arrays in self.state.items()}
        self._update(kernels.serving(*params), params, grads, state)

    def _update(
        self, table: kernels.Kernels, params: list[Array], grads: list[Array | None], state: dict[str, list[Array]]
    ) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.params:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """A copy of all state by name: `steps`, and e.g. `velocity.0`, C-contiguous. The learning rate is not state."""
        arrays = {
            f"{name}.{index}": np.array(array, order="C")
            for name, slots in self.state.items()
            for index, array in enumerate(slots)
        }
        return {"steps": np.array(self.steps, np.int64), **arrays}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over state saved by `state_dict`. KeyError or ValueError if it does not fit; then nothing changes."""
        own = {f"{name}.{index}": array for name, slots in self.state.items() for index, array in enumerate(slots)}
        missing, extra = {"steps", *own} - state.keys(), state.keys() - {"steps", *own}
        if missing or extra:
            raise KeyError(f"state: missing {sorted(missing) or 'none'}, unexpected {sorted(extra) or 'none'}")
        for name, array in own.items():
            given = state[name]
            if (given.shape, given.dtype) != (array.shape, array.dtype):
                raise ValueError(
                    f"state: {name}: given {given.dtype} {given.shape}, expected {array.dtype} {array.shape}"
                )
        for name, array in own.items():
            array[...] = state[name]
        self.steps = int(state["steps"])


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (plain or Nesterov's) and weight decay; as torch.optim.SGD."""

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum = at_least_zero("momentum", momentum)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        if nesterov and not momentum:
            raise ValueError("nesterov: given True with momentum 0, expected a momentum above 0")
        self.nesterov = nesterov
        self.state_names = ("velocity",) if momentum else ()
        super().__init__(params, lr)

    def _update(
        self, table: kernels.Kernels, params: list[Array], grads: list[Array | None], state: dict[str, list[Array]]
    ) -> None:
        velocities = state.get("velocity", [])
        table.sgd_step(params, grads, velocities, self.lr, self.momentum, self.weight_decay, self.nesterov)


class Adam(Optimizer):
    """Adam, with weight decay added to the gradient; as torch.optim.Adam."""

    state_names = ("mean", "square")
    decoupled = False

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: given {betas}, expected two numbers from 0 to below 1")
        self.betas, self.eps = betas, at_least_zero("eps", eps)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        super().__init__(params, lr)

    def _update(
        self, table: kernels.Kernels, params: list[Array], grads: list[Array | None], state: dict[str, list[Array]]
    ) -> None:
        table.adam_step(
            params, grads, state["mean"], state["square"], self.steps, self.lr, self.betas, self.eps,
            self.weight_decay, self.decoupled,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves; as torch.optim.AdamW."""

    decoupled = True

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
