"""Gradients averaged over ranks, while backward still runs.

Backward finishes the gradients of the last layers first. So parameters are put into buckets from the last to the first;
as soon as a bucket is full it goes to the other ranks, and comes back as the sum of all, while backward works on the
layers before (S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", 2020, section
3.2). Each rank begins its loss's gradient with the share of the batch that it has, so this sum is the average.
"""

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from kernels.layout import Array, memory_order
from minigrad import device
from minigrad.function import Function
from minigrad.observe import Observer, observe
from minigrad.parallel.world import World
from minigrad.tensor import Tensor

BUCKET_BYTES = 4 << 20
"""Few enough that the first is under way early, and enough that what each costs besides its bytes does not count."""


class Bucket:
    """Some parameters' gradients, one after another in one array. missing: how many are still to come."""

    def __init__(self, parameters: list[Tensor]) -> None:
        one = parameters[0].data
        self.array = device.zeros_like(one, (sum(each.data.size for each in parameters),))
        self.places: dict[Tensor, Array] = {}
        end = 0
        for parameter in parameters:
            begin, end = end, end + parameter.data.size
            axes = memory_order(parameter.data)
            lengths = [parameter.shape[axis] for axis in axes]
            # (size,) -> the parameter's axes as they lie in memory -> as they are numbered
            self.places[parameter] = self.array[begin:end].reshape(lengths).transpose(np.argsort(axes).tolist())
        self.missing = len(parameters)


class GradientAverage(Observer):
    """After `backward`, each parameter's `grad` is the average of what all ranks would have without it.

    parameters: in the order in which forward uses them, or about so; of one dtype and device, and the same ones on each
    rank. All of them must take part in what the loss is computed from. `grad` is a view of a bucket: copy it to keep it
    over the next backward.
    """

    needs_own_gradients: ClassVar[bool] = False

    def __init__(self, world: World, parameters: Iterable[Tensor], bucket_bytes: int = BUCKET_BYTES) -> None:
        self.world = world
        self.buckets = [Bucket(some) for some in _in_buckets(list(parameters)[::-1], bucket_bytes)]
        self._bucket_of = {parameter: bucket for bucket in self.buckets for parameter in bucket.places}
        self._next = 0

    def backward(self, loss: Tensor, weight: float) -> None:
        """loss.backward(), and then the average. weight: what this rank's loss, (), counts: its share of the batch.

        Gradients must be None before. RuntimeError if a parameter has none afterwards.
        """
        self._next = 0
        for bucket in self.buckets:
            bucket.missing = len(bucket.places)
        with observe(self), device.holding(loss.data):
            loss.backward(np.full_like(loss.data, weight))
        if self._next < len(self.buckets):
            raise RuntimeError("backward: some parameters had no part in the loss, and the other ranks wait for them")
        self.world.finish()
        for parameter, bucket in self._bucket_of.items():
            parameter.grad = bucket.places[parameter]

    def gradient_ready(self, leaf: Tensor, gradient: Array) -> None:
        bucket = self._bucket_of.get(leaf)
        if bucket is None:
            return
        bucket.places[leaf][...] = gradient
        bucket.missing -= 1
        while self._next < len(self.buckets) and not self.buckets[self._next].missing:
            self.world.start_sum(self.buckets[self._next].array)
            self._next += 1

    def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
        self.world.advance()  # MPI moves bytes only while it is called


def _in_buckets(parameters: list[Tensor], most: int) -> Iterable[list[Tensor]]:
    """The parameters in the same order, as many together as `most` bytes hold, and at least one."""
    bucket: list[Tensor] = []
    for parameter in parameters:
        if bucket and sum(each.data.nbytes for each in bucket) + parameter.data.nbytes > most:
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket
