"""An average of the weights along the way, which is often better than where the way ends."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device, state
from minigrad.nn.module import Parameter


class WeightAverage:
    """Averages parameters over the steps of an optimiser: call `step()` after each of its own.

    decay: the share of the average that stays in each step, so that about 1 / (1 - decay) steps count (averages of
    iterates: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992). As long as that
    is more, the share is (1 + n) / (10 + n) after n steps, lest the first weights stay in for long: about n / 9 steps
    count then, for step k weighs as k^8 (polynomial decay: O. Shamir and T. Zhang, 2013, section 4).
    ValueError if decay is not above 0 and below 1.
    """

    def __init__(self, params: Iterable[Parameter], decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay: given {decay}, expected above 0 and below 1")
        self.params, self.decay = list(params), decay
        self.averages = [device.zeros_like(parameter.data) for parameter in self.params]
        self._steps = np.zeros(1, np.int64)

    def step(self, halted: Array | None = None) -> None:
        """Move the average towards the parameters. Where `halted`, (1,) int64, is not 0, it stays as it is, but the
        step is counted."""
        step = int(self._steps[0])
        share = 1 - min(self.decay, (1 + step) / (10 + step)) if step else 1.0
        params = [parameter.data for parameter in self.params]
        with device.holding(*params):
            # a + share * (p - a) is what gradient descent makes of `a` with rate -share, gradient p and decay -1: one
            # kernel for all arrays, which is there already.
            kernels.serving(*params).sgd_step(self.averages, params, [], -share, 0.0, -1.0, False, halted)
        self._steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the parameters are the averages. RuntimeError before the first step: there are none yet."""
        if not self._steps[0]:
            raise RuntimeError("WeightAverage: nothing is averaged yet, expected step() first")
        own = [parameter.data for parameter in self.params]
        for parameter, average in zip(self.params, self.averages, strict=True):
            parameter.data = average
        try:
            yield
        finally:
            for parameter, data in zip(self.params, own, strict=True):
                parameter.data = data

    def state_arrays(self) -> dict[str, Array]:
        """`steps` and the averages by number: their memory, not a copy."""
        return {"steps": self._steps} | {str(index): array for index, array in enumerate(self.averages)}

    def state_dict(self) -> dict[str, Array]:
        """A copy of all state by name, C-contiguous."""
        return state.copies(self.state_arrays())

    def load_state_dict(self, given: Mapping[str, Array]) -> None:
        """Take over state saved by `state_dict`. KeyError or ValueError if it does not fit; then nothing changes."""
        state.load(self.state_arrays(), given)
