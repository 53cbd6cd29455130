"""Augmentation: each epoch sees every training image another way, moved, cropped, mirrored or with a hole in it.

What is done to an image follows from the seed, the epoch and the image's number alone (kernels/reference/philox.py),
so a run that stopped anywhere can go on as if it had not, and it does not matter who prepares which images.
"""

from dataclasses import dataclass
from numbers import Real

import numpy as np

from kernels.layout import Array
from kernels.reference.philox import random_words
from kernels.views import named, whole_views
from minigrad.data.batches import check_integer

FIRST_CALL = 2**63
"""The number of the random call of epoch 0. Dropout's calls are counted from 0, and will never reach it."""
CROP_ASPECT = 3 / 4
ERASED_SHARE = (0.02, 0.4)
ERASED_ASPECT = 0.3


@dataclass(frozen=True)
class Augmentation:
    """What is done to training images, by chance and independently for each. By default nothing.

    flip: mirrored with probability 1/2.
    shift: moved by up to so many pixels each way, with zeros coming in (K. He et al., "Deep residual learning for image
        recognition", 2015, section 4.2, with 4). Pixels are those of the images as they are given, before any resizing.
    crop: the smallest share of the area that a crop may have. Crops lie anywhere in the image; their areas are uniform
        from there to all of it, their aspects log-uniform from 3/4 to 4/3 (C. Szegedy et al., "Going deeper with
        convolutions", 2015, section 6, with 0.08).
    erase: the probability that a hole is cut into the result, 2 to 40 % of its area with an aspect from 0.3 to 1/0.3
        (Z. Zhong et al., "Random erasing data augmentation", 2017, with 0.5). The hole is 0, the mean grey of
        normalised images.

    ValueError where a field has another type or range, and where both `shift` and `crop` are asked for.
    """

    flip: bool = False
    shift: int = 0
    crop: float = 1.0
    erase: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.flip, bool | np.bool_):
            raise ValueError(f"flip: given {self.flip!r}, expected True or False")
        check_integer("shift", self.shift, at_least=0)
        if not _is_number(self.crop) or not 0 < self.crop <= 1:
            raise ValueError(f"crop: given {self.crop!r}, expected a share of the area, above 0 and at most 1")
        if not _is_number(self.erase) or not 0 <= self.erase <= 1:
            raise ValueError(f"erase: given {self.erase!r}, expected a probability from 0 to 1")
        if self.shift and self.crop < 1:
            raise ValueError(f"shift: given {self.shift} beside crop {self.crop}, expected one or the other")

    def views(self, count: int, image_height: int, image_width: int, out_size: int, seed: int, epoch: int) -> Array:
        """What an epoch sees of images 0 to count - 1: (count, 9) int32, as `batches` takes it (kernels/views.py).

        The images are image_height x image_width, and become out_size x out_size. Raises ValueError where an argument
        is out of range.
        """
        check_integer("count", count, at_least=0)
        check_integer("seed", seed, at_least=0, below=2**64)
        check_integer("epoch", epoch, at_least=0, below=2**64 - FIRST_CALL)
        for name, value in (("image_height", image_height), ("image_width", image_width), ("out_size", out_size)):
            check_integer(name, value, at_least=1)
        if self.shift >= min(image_height, image_width):
            raise ValueError(f"shift: given {self.shift}, expected less than the {image_height}x{image_width} images")
        # Each decision has a word of its own, whether it is needed or not: (count, 10) numbers in (0, 1).
        uniform = (random_words(count, 10, seed, FIRST_CALL + epoch) + 0.5) / 2**32
        mirrored, erased, crop, hole = uniform[:, 0], uniform[:, 1], uniform[:, 2:6], uniform[:, 6:10]
        views = whole_views(count, image_height, image_width)
        view = named(views)
        if self.flip:
            view["mirrored"] = mirrored < 0.5
        if self.shift:
            view["top"], view["left"] = np.floor(crop[:, :2] * (2 * self.shift + 1)).T - self.shift
        if self.crop < 1:
            rectangles = _rectangles(crop, image_height, image_width, (self.crop, 1), CROP_ASPECT)
            view["top"], view["left"], view["height"], view["width"] = rectangles
        if self.erase:
            rectangles = _rectangles(hole, out_size, out_size, ERASED_SHARE, ERASED_ASPECT) * (erased < self.erase)
            view["hole_top"], view["hole_left"], view["hole_height"], view["hole_width"] = rectangles
        return views


def _rectangles(uniform: Array, height: int, width: int, share: tuple[float, float], narrowest: float) -> Array:
    """Rectangles that lie anywhere in height x width pixels: (N, 4) numbers in (0, 1) -> (4, N) whole numbers.

    These are top, left, height and width. The area is uniform between two shares of all, the aspect, width / height,
    log-uniform from `narrowest` to 1 / `narrowest`. Of these aspects only those are drawn from that fit, given the
    area, or else it is the one nearest to them that does; so nothing is ever drawn again.
    """
    area = (share[0] + (share[1] - share[0]) * uniform[:, 0]) * (height * width)
    fitting = area / height**2, width**2 / area  # the aspects of those as high, and as wide, as all
    low, high = (np.log(np.clip(aspect, *fitting)) for aspect in (narrowest, 1 / narrowest))
    aspect = np.exp(low + (high - low) * uniform[:, 1])
    sizes = [
        np.clip(np.rint(length), 1, most)
        for length, most in ((np.sqrt(area / aspect), height), (np.sqrt(area * aspect), width))
    ]
    starts = [np.floor(uniform[:, 2 + axis] * (most - sizes[axis] + 1)) for axis, most in enumerate((height, width))]
    return np.stack([*starts, *sizes])


def _is_number(value: object) -> bool:
    """Whether it is a number and not True, which counts as 1: who writes crop=True wants crops, and 1 is none."""
    return isinstance(value, Real) and not isinstance(value, bool)
