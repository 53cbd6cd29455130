"""Testing: how well a model does on images that it did not learn from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from kernels.layout import Array
from minigrad import device, functional as F
from minigrad.data import batches
from minigrad.function import no_grad
from minigrad.nn import Module
from minigrad.tensor import Tensor
from minigrad.training.config import Config
from minigrad.training.progress import Reporter

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
    model: Module, images: Array, labels: Array, config: Config, console: Console, log_every: int,
    after_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Run the model in evaluation mode over images (M, H, W) uint8 with labels (M,), and show the progress.

    The images and labels are on the device that the model is on.

    log_every: without a terminal, a line of progress each so many batches. after_batch: called after each; it may
    raise to end the test. The model's mode is restored afterwards.
    """
    done, total = 0, -(-len(images) // BATCH_SIZE)
    losses, predicted = [], []  # left on the device until the end: to look at a number there is to wait for it
    was_training = model.training
    model.eval()
    try:
        with no_grad(), Reporter(console, "test", total, 0, log_every) as reporter:
            loader = batches(images, labels, BATCH_SIZE, config.image_size, config.in_channels)
            for number, (x, y) in enumerate(loader, start=1):
                logits = model(Tensor(x))
                losses.append(F.cross_entropy(logits, y, reduction="sum").data)
                with device.holding(logits.data):
                    predicted.append(logits.data.argmax(axis=1))
                done += len(y)
                reporter.show(number, f"{done} images")
                after_batch()
    finally:
        model.train(was_training)
    confusion = np.zeros((config.num_classes, config.num_classes), np.int64)
    if not done:
        return Evaluation(0.0, confusion)
    with device.holding(*losses):
        everything = np.concatenate(predicted), np.stack(losses)
    guesses, sums = (device.host(array) for array in everything)
    np.add.at(confusion, (device.host(labels), guesses), 1)
    return Evaluation(sum(sums.tolist()) / done, confusion)
