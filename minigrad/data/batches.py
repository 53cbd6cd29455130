"""What feeds the network: the images in the order of an epoch, resized and normalised a batch at a time."""

from collections.abc import Callable, Iterator

import numpy as np

import kernels
from kernels.views import COLUMNS
from minigrad import device

# Of the training images' pixels, 0 to 1.
MEAN = 0.2860
STD = 0.3530


def normalization(normalized: bool) -> tuple[float, float]:
    """What is subtracted from pixels from 0 to 1, and what the rest is divided by."""
    return (MEAN, STD) if normalized else (0.0, 1.0)


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits `count` images: a permutation of 0 to count - 1, shape (count,), int64.

    It follows from the arguments alone, so a run that stopped anywhere can go on as if it had not.
    Raises ValueError where one of them is negative, or the seed or the epoch has more than 64 bits.
    """
    check_integer("count", count, at_least=0)
    check_integer("seed", seed, at_least=0, below=2**64)
    check_integer("epoch", epoch, at_least=0, below=2**64)
    key = np.array([seed, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(count)


def prepare(
    images: np.ndarray, image_size: int, in_channels: int = 1, normalized: bool = True, views: np.ndarray | None = None
) -> np.ndarray:
    """Make grey images, (N, H, W) uint8, what the network takes in: (N, in_channels, image_size, image_size) float32.

    Resized bilinearly, normalised by `MEAN` and `STD` or else from 0 to 1, the grey channel repeated; channels-last in
    memory. `views`, (N, 9) int32, say what is seen of each image (kernels/views.py); None: all of it.
    Raises ValueError where an argument has another type or range.
    """
    _check_images(images)
    check_integer("image_size", image_size, at_least=1)
    check_integer("in_channels", in_channels, at_least=1)
    views = _checked_views(views, images)
    images = images if images.flags.c_contiguous else images.copy(order="C")
    pixels = images[..., None]  # (N, H, W, 1)
    mean, std = normalization(normalized)
    with device.holding(pixels):
        x = kernels.serving(pixels).resize_bilinear(
            pixels, (image_size, image_size), scale=1 / (255 * std), shift=-mean / std, views=views
        )  # (N, S, S, 1)
        if in_channels > 1:
            x = np.repeat(x, in_channels, axis=3)  # (N, S, S, in_channels)
    return x.transpose(0, 3, 1, 2)


def batches(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    image_size: int,
    in_channels: int = 1,
    normalized: bool = True,
    order: np.ndarray | None = None,
    start: int = 0,
    views: np.ndarray | None = None,
    share: Callable[[int], slice] = slice,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the images and labels in batches of `batch_size`; the last one may be smaller.

    `images` is (count, H, W) uint8 and `labels` (count,) of any integer type. `order` holds the indices of the images
    to visit, any number of them; without it all are visited as they lie. `start` is the number of batches to skip.
    `views`, (count, 9) int32, say what is seen of each image, by its index (`Augmentation.views`); None: all of it.
    `share` tells which of a batch's so many images are taken; by default all.

    A batch is `x`, what `prepare` returns, and `y`, (N,) int64. Images and labels that are on a GPU stay there, and so
    are the batches; only `order` and `views`, which are NumPy's, are copied to it, once each. Raises ValueError, at
    once and not at the first batch, where an argument has another type, shape or range.
    """
    _check_images(images)
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(f"labels: given {_describe(labels)}, expected integers of shape {images.shape[:1]}")
    check_integer("batch_size", batch_size, at_least=1)
    check_integer("image_size", image_size, at_least=1)
    check_integer("in_channels", in_channels, at_least=1)
    if order is None:
        order = np.arange(len(images))
    if order.ndim != 1 or order.dtype.kind not in "iu":
        raise ValueError(f"order: given {_describe(order)}, expected integers of one dimension")
    if order.size and not 0 <= order.min() <= order.max() < len(images):
        raise ValueError(f"order: given indices {order.min()} to {order.max()}, expected 0 to {len(images) - 1}")
    check_integer("start", start, at_least=0)
    total = -(-len(order) // batch_size)
    if start > total:
        raise ValueError(f"start: given {start}, expected at most {total}, the number of batches")
    views = _checked_views(views, images)

    # A generator of its own, since a function that yields would run the checks only when the first batch is taken.
    def generate(order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for begin in range(start * batch_size, len(order), batch_size):
            with device.holding(images):
                chosen = order[begin : begin + batch_size]
                chosen = chosen[share(len(chosen))]
                seen = None if views is None else views[chosen]
                x = prepare(images[chosen], image_size, in_channels, normalized, seen)
                batch = x, labels[chosen].astype(np.int64, copy=False)
            yield batch

    return generate(device.beside(images, order))


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape[1:]:
        raise ValueError(f"images: given {_describe(images)}, expected uint8 of shape (N, H, W)")


def _checked_views(views: np.ndarray | None, images: np.ndarray) -> np.ndarray | None:
    """The views on the device of the images, if there are any."""
    if views is None:
        return None
    expected = (len(images), len(COLUMNS))
    if views.shape != expected or views.dtype != np.int32:
        raise ValueError(f"views: given {_describe(views)}, expected int32 of shape {expected}")
    return device.beside(images, views)


def check_integer(name: str, value: int, at_least: int, below: int | None = None) -> None:
    """ValueError unless `value`, which the message calls `name`, is an integer of that range (True is none)."""
    fits = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not fits or value < at_least or (below is not None and value >= below):
        most = "" if below is None else f", and below {below}"
        raise ValueError(f"{name}: given {value!r}, expected an integer of at least {at_least}{most}")


def _describe(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
