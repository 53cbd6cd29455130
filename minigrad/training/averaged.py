"""The model with averaged weights, beside the one that is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

from kernels.layout import Array
from minigrad import device
from minigrad.data import batches
from minigrad.function import no_grad
from minigrad.nn import Module
from minigrad.nn.norm import BatchNorm1d, BatchNorm2d
from minigrad.optim import WeightAverage
from minigrad.tensor import Tensor
from minigrad.training.config import Config

NAME = "averaged.safetensors"
STATISTICS_IMAGES = 4096
"""How many images batch statistics are taken over; of so many they are as good as of all (Y. Wu and J. Johnson,
"Rethinking 'batch' in batch normalization", 2021, section 3)."""


@contextmanager
def averaged(model: Module, average: WeightAverage, images: Array, config: Config) -> Iterator[None]:
    """Inside the block the model has the averaged weights, and batch statistics that belong to them.

    The statistics are computed anew over the first training images (M, H, W), as they are without augmentation: so will
    the images be on which the model is used. Afterwards the model is as it was.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm1d | BatchNorm2d) and m.track_running_stats]
    buffers = [buffer for norm in norms for buffer in norm.buffers()]
    kept = [(buffer, buffer.data) for buffer in buffers], [(norm, norm.momentum) for norm in norms]
    try:
        with average.applied():
            for buffer in buffers:
                buffer.data = device.zeros_like(buffer.data)
            for norm in norms:
                norm.momentum = None  # the mean over all batches
            if norms:
                _collect_statistics(model, images[:STATISTICS_IMAGES], config)
            yield
    finally:
        for buffer, data in kept[0]:
            buffer.data = data
        for norm, momentum in kept[1]:
            norm.momentum = momentum


def _collect_statistics(model: Module, images: Array, config: Config) -> None:
    was_training = model.training
    model.train()
    nothing = device.zeros_like(images[:, 0, 0])  # labels, which nobody looks at
    with no_grad():
        for x, _ in batches(images, nothing, config.batch_size, config.image_size, config.in_channels):
            model(Tensor(x))
    model.train(was_training)
