"""What training steps came to: noted where it was computed, and read now and then."""

from typing import NamedTuple

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device


class Record(NamedTuple):
    """One step of the optimiser. loss: mean over the batch. correct: of so many images. rate: the learning rate."""

    step: int
    loss: float
    correct: int
    images: int
    rate: float


class StepLog:
    """Losses and right answers of the steps since the last `read`, on the device where they were computed.

    To look at a number on a GPU, the program has to wait until the GPU has computed everything before it. So a step
    only notes its loss there, and many are read at once.

    beside: an array on the device in question, of the losses' dtype. capacity: most steps between two readings.
    halted: (1,) int64, the first step whose loss was not finite, 0 if there is none. An optimiser that is given it
    changes nothing from that step on, though nobody has read yet.
    """

    def __init__(self, beside: Array, capacity: int) -> None:
        self._numbers = device.beside(beside, np.zeros((capacity, 2), beside.dtype))
        self._noted: list[tuple[int, int, float]] = []
        self.halted = device.beside(beside, np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self._noted)

    @property
    def full(self) -> bool:
        """Whether `read` must come before the next `note`."""
        return len(self) == len(self._numbers)

    def note(self, step: int, rate: float, logits: Array, target: Array, loss: Array) -> None:
        """Note a step: logits (N, C), target (N,) int64, and the mean loss."""
        place = self._numbers[len(self)]
        with device.holding(logits):
            kernels.serving(logits).note_step(logits, target, loss, step, place, self.halted)
        self._noted.append((step, len(target), rate))

    def read(self) -> list[Record]:
        """The steps since the last reading. On a GPU this waits until they are done."""
        noted, self._noted = self._noted, []
        numbers = device.host(self._numbers[: len(noted)]).tolist() if noted else []
        return [
            Record(step, loss, int(correct), images, rate)
            for (step, images, rate), (loss, correct) in zip(noted, numbers, strict=True)
        ]
