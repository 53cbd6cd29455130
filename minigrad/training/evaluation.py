"""Testing: how well a model, or several together, does on images that it did not learn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from rich.console import Console

from kernels.layout import Array
from kernels.views import named, whole_views
from minigrad import device, functional as F
from minigrad.data import batches
from minigrad.function import no_grad
from minigrad.nn import Module
from minigrad.nn.module import modes_kept
from minigrad.parallel import ALONE, World
from minigrad.tensor import Tensor
from minigrad.training.config import Config
from minigrad.training.progress import Reporter

BATCH_SIZE = 128
SHIFTS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""Where a test-time view begins, in pixels down and to the right."""


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy. confusion: (true class, predicted class) counts of images, int64.

    probabilities: (M, C) float64, of the classes for each image, in the images' order.
    """

    loss: float
    confusion: Array
    probabilities: Array

    @property
    def accuracy(self) -> float:
        """Share of images whose likeliest class is the true one."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))


def evaluate(
    model: Module, images: Array, labels: Array, config: Config, console: Console, log_every: int,
    after_batch: Callable[[], None] = lambda: None, views: Sequence[Array | None] = (None,), world: World = ALONE,
) -> Evaluation:
    """Run the model in evaluation mode over images (M, H, W) uint8 with labels (M,) int64, and show the progress.

    The images and labels are on the device that the model is on.

    log_every: without a terminal, a line of progress each so many batches. after_batch: called after each; it may
    raise to end the test. The model's mode is restored afterwards. views: ways to look at all the images, one after the
    other, such as `tta_views`; the probabilities are averaged over them. None is the images as they are. world: the
    ranks that share out the batches, and all come to the same result.
    """
    own = world.share(-(-len(images) // BATCH_SIZE))  # whole batches, so that nothing depends on the number of ranks
    part = slice(own.start * BATCH_SIZE, own.stop * BATCH_SIZE)
    done, total = 0, len(views) * (own.stop - own.start)
    losses, seen = [], []  # left on the device until the end: to look at a number there is to wait for it
    with modes_kept(model), no_grad(), Reporter(console, "test", total, 0, log_every) as reporter:
        model.eval()
        shares = (None if view is None else view[part] for view in views)
        loaders = (batches(images[part], labels[part], BATCH_SIZE, **config.inputs, views=view) for view in shares)
        for number, (x, y) in enumerate(chain.from_iterable(loaders), start=1):
            logits = model(Tensor(x))
            losses.append(F.cross_entropy(logits, y, reduction="sum").data)
            seen.append(logits.data)
            done += len(y)
            reporter.show(number, f"{done} images")
            after_batch()
    labels = device.host(labels)
    if not len(images):
        return mean_prediction(np.zeros((1, 0, config.num_classes)), labels)
    logits, sums = np.zeros((0, config.num_classes), np.float32), np.zeros(0, np.float32)
    if done:
        with device.holding(*losses):
            logits, sums = (device.host(array) for array in (np.concatenate(seen), np.stack(losses)))
    # (views * images, C) -> (views, images, C), and (views * batches,) -> (views, batches): those of all ranks
    with world.patiently():  # a rank may have had nothing to test
        logits = world.gather(logits.reshape(len(views), -1, config.num_classes).swapaxes(0, 1)).swapaxes(0, 1)
        sums = world.gather(sums.reshape(len(views), own.stop - own.start).T).T
    probabilities = softmax(logits)
    if len(views) > 1:
        return mean_prediction(probabilities, labels)
    counts = _confusion(labels, logits[0].argmax(axis=1), config.num_classes)
    return Evaluation(sum(sums[0].tolist()) / len(images), counts, probabilities[0])


def tta_views(count: int, height: int, width: int, *, with_mirrored: bool) -> list[Array]:
    """Five or ten ways to look at `count` images of height x width pixels, as `evaluate` takes them: (count, 9) int32.

    They are the image as it is and moved by one pixel each way, with zeros coming in; with_mirrored: and its mirror
    image likewise, for a model that has learnt from such. The paper looks at 144 crops, mirrored and not (C. Szegedy et
    al., 2015, section 7); these images have no edge to crop.
    """
    views = []
    for mirrored in (0, 1) if with_mirrored else (0,):
        for top, left in SHIFTS:
            views.append(whole_views(count, height, width))
            view = named(views[-1])
            view["top"], view["left"], view["mirrored"] = top, left, mirrored
    return views


def mean_prediction(probabilities: Array, labels: Array) -> Evaluation:
    """What several predictions, (K, M, C) float64, come to together, for labels (M,): their mean is the prediction.

    So the paper takes an ensemble's: "softmax probabilities are averaged" (C. Szegedy et al., 2015, section 7).
    """
    mean = probabilities.mean(axis=0)
    true = mean[np.arange(len(mean)), labels]
    loss = -np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean() if len(mean) else 0.0
    return Evaluation(float(loss), _confusion(labels, mean.argmax(axis=1), mean.shape[1]), mean)


def softmax(logits: Array) -> Array:
    """Logits (..., C) -> probabilities (..., C) float64."""
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _confusion(labels: Array, predicted: Array, num_classes: int) -> Array:
    """How many images of each class (rows) are taken for each (columns): (num_classes, num_classes) int64."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts
