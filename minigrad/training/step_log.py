"""What training steps came to: noted where it was computed, and read now and then."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device
from minigrad.parallel import ALONE, World
from minigrad.training.objective import Scored


class Record(NamedTuple):
    """One step of the optimiser. loss: mean over the batch. correct: of so many images. rate: the learning rate.

    head_losses: of each classifier by name, where the network has several. own_loss: mean over this rank's share, 0 if
    that is empty; the same as loss where there is but one rank.
    """

    step: int
    loss: float
    correct: int
    images: int
    rate: float
    head_losses: dict[str, float]
    own_loss: float


class StepLog:
    """Losses and right answers of the steps since the last `read`, on the device where they were computed.

    To look at a number on a GPU, the program has to wait until the GPU has computed everything before it. So a step
    only notes its loss there, and many are read at once.

    beside: an array on the device in question, of the losses' dtype. capacity: most steps between two readings. world:
    the ranks whose shares of a batch are one step; each notes its own, and reads that of all.
    halted: (1,) int64, the first step whose loss was not finite, 0 if there is none. An optimiser that is given it
    changes nothing from that step on, though nobody has read yet.
    """

    def __init__(self, beside: Array, capacity: int, world: World = ALONE) -> None:
        self._beside, self._capacity, self._world = beside, capacity, world
        self._heads: tuple[str, ...] | None = None  # known after the first step
        self._noted: list[tuple[int, int, int, float]] = []
        self.halted = device.beside(beside, np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self._noted)

    @property
    def full(self) -> bool:
        """Whether `read` must come before the next `note`."""
        return len(self) == self._capacity

    def note(
        self, step: int, rate: float, images: int, target: Array, total: Scored, heads: Mapping[str, Scored]
    ) -> None:
        """Note a step of so many images in all: what minigrad.training.objective.score has made of target (N,) int64
        is of this rank's share."""
        if self._heads is None:
            self._heads = tuple(heads)
            # Loss and right answers of the whole, and then of each classifier.
            self._numbers = device.zeros_like(self._beside, (self._capacity, 1 + len(heads), 2))
        for place, (logits, loss) in zip(self._numbers[len(self)], (total, *heads.values()), strict=True):
            with device.holding(logits.data):
                if not len(target):
                    place[...] = 0  # the mean of nothing is not a number, but no reason to halt
                    continue
                kernels.serving(logits.data).note_step(logits.data, target, loss.data, step, place, self.halted)
        self._noted.append((step, images, len(target), rate))

    def read(self) -> list[Record]:
        """The steps since the last reading. On a GPU this waits until they are done."""
        noted, self._noted = self._noted, []
        if not noted:
            return []
        own = device.host(self._numbers[: len(noted)])
        numbers = own if self._world.size == 1 else self._of_all(own, noted)
        records = []
        for (step, images, _, rate), ((loss, correct), *heads), alone in zip(
            noted, numbers.tolist(), own.tolist(), strict=True
        ):
            losses = {name: of_head for name, (of_head, _) in zip(self._heads or (), heads, strict=True)}
            records.append(Record(step, loss, int(correct), images, rate, losses, alone[0][0]))
        return records

    def _of_all(self, own: Array, noted: list[tuple[int, int, int, float]]) -> Array:
        """Losses and right answers of this rank's shares -> of whole batches: (steps, 1 + heads, 2), float64."""
        sums = own.astype(np.float64)
        for (_, images, share, _), step in zip(noted, sums, strict=True):
            step[:, 0] *= share / images
        return self._world.sum(sums)
