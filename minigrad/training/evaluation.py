"""Testing: how well a model does on images that it did not learn from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kernels.layout import Array
from minigrad import functional as F
from minigrad.data import batches
from minigrad.function import no_grad
from minigrad.nn import Module
from minigrad.tensor import Tensor
from minigrad.training.config import Config

BATCH_SIZE = 128


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy. confusion: (true class, predicted class) counts of images, int64."""

    loss: float
    confusion: Array

    @property
    def accuracy(self) -> float:
        """Share of images whose likeliest class is the true one."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))


def evaluate(
    model: Module, images: Array, labels: Array, config: Config, progress: Callable[[int], None] = lambda images: None
) -> Evaluation:
    """Run the model in evaluation mode over images (M, H, W) uint8 with labels (M,).

    progress: called with the number of images done, after each batch. The model's mode is restored afterwards.
    """
    loss_sum, done = 0.0, 0
    confusion = np.zeros((config.num_classes, config.num_classes), np.int64)
    was_training = model.training
    model.eval()
    try:
        with no_grad():
            for x, y in batches(images, labels, BATCH_SIZE, config.image_size, config.in_channels):
                logits = model(Tensor(x))
                loss_sum += F.cross_entropy(logits, y, reduction="sum").item()
                np.add.at(confusion, (y, logits.numpy().argmax(axis=1)), 1)
                done += len(y)
                progress(done)
    finally:
        model.train(was_training)
    return Evaluation(loss_sum / max(1, done), confusion)
