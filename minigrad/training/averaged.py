"""The model with averaged weights, beside the one that is trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from kernels.layout import Array
from minigrad import device
from minigrad.data import batches
from minigrad.function import no_grad
from minigrad.nn import Dropout, Module
from minigrad.nn.module import modes_kept
from minigrad.nn.norm import BatchNorm
from minigrad.optim import WeightAverage
from minigrad.parallel import ALONE, World, share_statistics
from minigrad.tensor import Tensor
from minigrad.training.config import Config

NAME = "averaged.safetensors"
STATISTICS_BATCHES = 32
"""How many batches statistics are the mean of; of a few thousand images they are as good as of all (Y. Wu and J.
Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3)."""


@contextmanager
def averaged(
    model: Module, average: WeightAverage, images: Array, config: Config, world: World = ALONE
) -> Iterator[None]:
    """Inside the block the model has the averaged weights, and batch statistics that belong to them.

    The statistics are computed anew over the first training images (M, H, W), as they are without augmentation: so will
    the images be on which the model is used. The ranks of `world` share out the batches. Afterwards the model is as it
    was.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    buffers = [(buffer, buffer.data) for norm in norms for buffer in norm.buffers()]
    try:
        with average.applied():
            if norms:
                for buffer, data in buffers:
                    buffer.data = device.zeros_like(data)
                _collect_statistics(model, norms, images, config, world)
            yield
    finally:
        for buffer, data in buffers:
            buffer.data = data


def _collect_statistics(
    model: Module, norms: Sequence[BatchNorm], images: Array, config: Config, world: World
) -> None:
    """Make the running statistics of `norms` their mean over the first whole batches."""
    size = min(len(images), config.batch_size)
    count = min(STATISTICS_BATCHES, len(images) // size)
    own = world.share(count)
    part = slice(own.start * size, own.stop * size)
    labels = device.zeros_like(images, (len(images),))  # which nobody looks at
    loader = batches(images[part], labels[part], size, **config.inputs)
    momenta = [(norm, norm.momentum) for norm in norms]
    shared = [(module, module.ranks) for module in model.modules() if isinstance(module, BatchNorm)]
    try:
        share_statistics(model, None)  # each batch is one rank's
        with modes_kept(model), no_grad():
            for module in model.train().modules():
                if isinstance(module, Dropout):  # whose masks are counted
                    module.eval()
            for number, (x, _) in enumerate(loader, start=1):
                for norm in norms:
                    norm.momentum = 1 / number  # the mean over all batches so far
                model(Tensor(x))
        if world.size > 1:
            for norm in norms:
                world.sum(norm.num_batches_tracked.data)
                for buffer in (norm.running_mean, norm.running_var):
                    total = world.sum(buffer.data.astype(np.float64) * (own.stop - own.start))
                    buffer.data[...] = total / count
            world.wait_for(device.finished(norms[-1].running_var.data), "the others' statistics")
    finally:
        for norm, momentum in momenta:
            norm.momentum = momentum
        for norm, ranks in shared:
            norm.ranks = ranks
