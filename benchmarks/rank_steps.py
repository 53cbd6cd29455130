"""What two ranks of one thread come to beside one process of two, in turns.

    mpiexec -n 2 python -m benchmarks.rank_steps BATCH_SIZE IMAGE_SIZE REPEATS

are the ranks: rank 0 prints the figures as JSON. While it takes its turn alone, the others sleep.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.competitors import CLASSES, SGD
from googlenet import GoogLeNet
from kernels import threads
from kernels.layout import nchw
from minigrad import Tensor, functional as F, optim, random
from minigrad.parallel import ALONE, GradientAverage, World, join

CHECKED_STEPS = 3
"""Whose losses are compared, and which warm up: they are not timed."""


class Trained:
    """GoogLeNet and its share of a batch, the same each time it is made; `step` trains, and returns the loss."""

    def __init__(self, world: World, images: int, image_size: int) -> None:
        share = world.share(images)
        random.manual_seed(0)
        self.model = GoogLeNet(num_classes=CLASSES, image_size=image_size, dropout=0.0)
        self.optimizer = optim.SGD(self.model.parameters(), **SGD)
        numbers = np.random.default_rng(0)
        pixels = numbers.standard_normal((images, image_size, image_size, 1), np.float32)
        self.batch = Tensor(nchw(np.ascontiguousarray(pixels[share])))
        self.labels = numbers.integers(0, CLASSES, images)[share]
        self.weight = len(self.labels) / images
        self.average = GradientAverage(world, self.model.parameters())

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.batch), self.labels)
        if self.average.world.size > 1:
            self.average.backward(loss, self.weight)
        else:
            loss.backward()
        self.optimizer.step()
        return loss.item() * self.weight


def measure(world: World, images: int, image_size: int, repeats: int) -> dict[str, Any]:
    """Seconds of each turn by kind, losses, and the bytes of the buckets.

    together, alone: a training step. exchange: the buckets' sums with nothing else to do. waited: what the rank that
    came last in a step still waited for the sums; what others waited for longer was for that rank and not for bytes.
    """
    together = Trained(world, images, image_size)
    alone = Trained(ALONE, images, image_size) if world.rank == 0 else None
    arrays = [bucket.array for bucket in together.average.buckets]

    def exchange() -> None:
        for array in arrays:
            world.start_sum(array)
        world.finish()

    seconds: dict[str, list[float]] = {name: [] for name in ("together", "waited", "alone", "exchange")}
    losses: dict[str, list[float]] = {"together": [], "alone": []}
    for turn in range(CHECKED_STEPS + repeats):
        world.sum(np.zeros(1))  # all begin at once
        with threads.limit(world.threads(None)):
            waited, began = world.waited, time.perf_counter()
            loss = together.step()
            took, waited = time.perf_counter() - began, world.waited - waited
        losses["together"].append(float(world.sum(np.array([loss]))[0]))
        waited = world.gather(np.array([waited])).min()
        began = time.perf_counter()
        exchange()
        exchanged = time.perf_counter() - began
        if alone:
            began = time.perf_counter()
            losses["alone"].append(alone.step())
            if turn >= CHECKED_STEPS:
                by_itself = time.perf_counter() - began
                for name, value in zip(seconds, (took, waited, by_itself, exchanged), strict=True):
                    seconds[name].append(value)
    sizes = [array.nbytes for array in arrays]
    return {"seconds": seconds, "losses": losses, "bucket_bytes": sizes}


def main(arguments: Sequence[str]) -> None:
    """Measure, and print what rank 0 has found."""
    world = join()
    found = measure(world, *map(int, arguments))
    if world.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
