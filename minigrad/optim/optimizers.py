"""Optimisers: how a parameter moves, given its gradient. The arithmetic is a kernel (kernels/reference/optim.py)."""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device, state
from minigrad.function import as_array
from minigrad.nn.module import Parameter
from minigrad.tensor import Tensor


def at_least_zero(name: str, value: float) -> float:
    """`value`, if it is a number of at least 0. ValueError otherwise."""
    if not value >= 0:
        raise ValueError(f"{name}: given {value}, expected at least 0")
    return value


class Optimizer:
    """Base class: holds parameters, the learning rate, and arrays of state of the parameters' shapes.

    Parameters whose `grad` is None are passed over. `lr` may be changed at any time; schedules do. TypeError if a
    parameter is no leaf that requires a gradient; ValueError if there are none, if one is there twice, or if another
    option is out of its range.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter], lr: float) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params: given one tensor, expected several in a list or from module.parameters()")
        self.params = list(params)
        places: dict[Tensor, int] = {}
        for index, parameter in enumerate(self.params):
            if not isinstance(parameter, Tensor) or not parameter.requires_grad or parameter.grad_fn is not None:
                given = type(parameter).__name__
                raise TypeError(f"params: number {index}: given {given}, expected a leaf that requires a gradient")
            if (first := places.setdefault(parameter, index)) != index:
                raise ValueError(f"params: number {index} is number {first} again, expected each once")
        if not self.params:
            raise ValueError("params: given none, expected at least one parameter")
        self.lr = at_least_zero("lr", lr)
        self._steps = np.zeros(len(self.params), np.int64)  # a parameter without gradient does not make a step
        self.state: dict[str, list[Array]] = {
            name: [device.zeros_like(parameter.data) for parameter in self.params] for name in self.state_names
        }

    def step(self, halted: Array | None = None) -> None:
        """Move every parameter that has a gradient, in place: in one call those that have made equally many steps.

        ValueError, with nothing moved, if a gradient has not its parameter's shape and dtype, or a parameter is
        read-only.
        Where `halted`, an int64 array (1,) beside the parameters, is not 0, parameters and state stay as they are, but
        the step is counted: on a card, looking whether it was made would be waiting for it.
        """
        live = {index: as_array(p.grad) for index, p in enumerate(self.params) if p.grad is not None}
        for index, grad in live.items():
            data = self.params[index].data
            if isinstance(data, np.ndarray) and not data.flags.writeable:
                raise ValueError(f"params: number {index}: given an array that is read-only, expected one to write to")
            if (grad.shape, grad.dtype) != (data.shape, data.dtype):
                given, expected = (f"{array.dtype} {array.shape}" for array in (grad, data))
                raise ValueError(f"params: number {index}: given a gradient that is {given}, expected {expected}")
        for done in np.unique(self._steps[list(live)]).tolist()[::-1]:  # so that nobody is among the next ones again
            chosen = [index for index in live if self._steps[index] == done]
            params = [self.params[index].data for index in chosen]
            grads = [live[index] for index in chosen]
            slots = {name: [arrays[index] for index in chosen] for name, arrays in self.state.items()}
            table = kernels.serving(*params, *grads, *itertools.chain(*slots.values()))
            with device.holding(*params):
                self._update(table, done + 1, params, grads, slots, halted)
            self._steps[chosen] += 1  # now that it is done

    def _update(
        self, table: kernels.Kernels, step: int, params: list[Array], grads: list[Array],
        slots: dict[str, list[Array]], halted: Array | None,
    ) -> None:
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.params:
            parameter.grad = None

    def state_arrays(self) -> dict[str, Array]:
        """All state by name, `steps` and e.g. `velocity.0`: its memory, not a copy. The learning rate is not state."""
        named = {"steps": self._steps}
        for name, arrays in self.state.items():
            named |= {f"{name}.{index}": array for index, array in enumerate(arrays)}
        return named

    def state_dict(self) -> dict[str, Array]:
        """A copy of all state by name, C-contiguous."""
        return state.copies(self.state_arrays())

    def load_state_dict(self, given: Mapping[str, Array]) -> None:
        """Take over state saved by `state_dict`. KeyError or ValueError if it does not fit; then nothing changes."""
        if (np.asarray(given.get("steps", 0)) < 0).any():
            raise ValueError(f"state: steps: given {given['steps']}, expected numbers of at least 0")
        state.load(self.state_arrays(), given)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (plain or Nesterov's) and weight decay.

    As torch.optim.SGD, which has a dampening behind `momentum`: what comes behind is given by name.
    """

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, momentum: float = 0.0, *,
        weight_decay: float = 0.0, nesterov: bool = False,
    ) -> None:
        self.momentum = at_least_zero("momentum", momentum)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        if nesterov and not momentum:
            raise ValueError("nesterov: given True with momentum 0, expected a momentum above 0")
        self.nesterov = nesterov
        self.state_names = ("velocity",) if momentum else ()
        super().__init__(params, lr)

    def _update(
        self, table: kernels.Kernels, step: int, params: list[Array], grads: list[Array],
        slots: dict[str, list[Array]], halted: Array | None,
    ) -> None:
        velocities = slots.get("velocity", [])
        table.sgd_step(params, grads, velocities, self.lr, self.momentum, self.weight_decay, self.nesterov, halted)


class Adam(Optimizer):
    """Adam, with weight decay added to the gradient; as torch.optim.Adam."""

    state_names = ("mean", "square")
    decoupled = False

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.0,
    ) -> None:
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: given {betas}, expected two numbers from 0 to below 1")
        self.betas, self.eps = betas, at_least_zero("eps", eps)
        self.weight_decay = at_least_zero("weight_decay", weight_decay)
        super().__init__(params, lr)

    def _update(
        self, table: kernels.Kernels, step: int, params: list[Array], grads: list[Array],
        slots: dict[str, list[Array]], halted: Array | None,
    ) -> None:
        table.adam_step(
            params, grads, slots["mean"], slots["square"], step, self.lr, self.betas, self.eps,
            self.weight_decay, self.decoupled, halted,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves; as torch.optim.AdamW."""

    decoupled = True

    def __init__(
        self, params: Iterable[Parameter], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
