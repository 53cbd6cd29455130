"""Learning-rate schedules. The rate is a function of the step number alone, so resuming one needs no other state.

Steps count from 0: `rate(0)` is the rate of the first update, and building a schedule sets it. Call `schedule.step()`
once after each `optimizer.step()`. Whether a step is a batch or an epoch is up to whoever calls.
"""

import math

from minigrad.optim.optimizers import Optimizer


class Schedule:
    """Base class: the constant rate that the optimiser came with. Subclasses override `rate`, and raise ValueError if a
    number is out of its range."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base = optimizer.lr
        self.steps = 0
        self.go_to(0)

    def rate(self, step: int) -> float:
        """The learning rate of the update number `step`."""
        return self.base

    def go_to(self, step: int) -> None:
        """Continue as if `step` updates had been made."""
        self.steps = step
        self.optimizer.lr = self.rate(step)

    def step(self) -> None:
        """Go on to the next update."""
        self.go_to(self.steps + 1)


class StepLR(Schedule):
    """The rate times `gamma` after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"step_size: given {step_size}, expected at least 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, step: int) -> float:
        return float(self.base * self.gamma ** (step // self.step_size))


class CosineLR(Schedule):
    """Half a cosine wave from the rate down to `minimum` after `total_steps` steps, where it stays.

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, eq. 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, minimum: float = 0.0) -> None:
        if total_steps < 1:
            raise ValueError(f"total_steps: given {total_steps}, expected at least 1")
        self.total_steps, self.minimum = total_steps, minimum
        super().__init__(optimizer)

    def rate(self, step: int) -> float:
        return cosine(self.base, self.minimum, min(1.0, step / self.total_steps))


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to max_lr, then down to that start / final_div_factor, both along cosines.

    As torch.optim.lr_scheduler.OneCycleLR for the rate; momentum is left alone (L. Smith and N. Topin,
    "Super-convergence", 2018).
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float, total_steps: int, pct_start: float = 0.3, div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if total_steps < 1:
            raise ValueError(f"total_steps: given {total_steps}, expected at least 1")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"pct_start: given {pct_start}, expected 0 to 1")
        self.max_lr, self.start = max_lr, max_lr / div_factor
        self.end = self.start / final_div_factor
        self.top, self.last = pct_start * total_steps - 1, total_steps - 1
        super().__init__(optimizer)

    def rate(self, step: int) -> float:
        step = min(step, self.last)
        if step <= self.top:
            return cosine(self.start, self.max_lr, step / self.top if self.top > 0 else 1.0)
        return cosine(self.max_lr, self.end, (step - self.top) / (self.last - self.top))


class WarmUp(Schedule):
    """The rate of another schedule, scaled by (step + 1) / `warm_steps` during the first `warm_steps` steps."""

    def __init__(self, schedule: Schedule, warm_steps: int) -> None:
        if warm_steps < 1:
            raise ValueError(f"warm_steps: given {warm_steps}, expected at least 1")
        self.schedule, self.warm_steps = schedule, warm_steps
        super().__init__(schedule.optimizer)

    def rate(self, step: int) -> float:
        return self.schedule.rate(step) * min(1.0, (step + 1) / self.warm_steps)


def cosine(start: float, end: float, share: float) -> float:
    """From `start` at share 0 to `end` at share 1, along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
