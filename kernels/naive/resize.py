"""Bilinear resizing, pixel by pixel."""

import math

import numpy as np

from kernels.layout import Array
from kernels.views import named, whole_views


def neighbours(output: int, outputs: int, start: int, length: int) -> tuple[int, int, float]:
    """Along one axis, the two pixels of the image that an output pixel mixes, and the share of the second.

    What is resized are the `length` pixels from `start` on.
    """
    # Where the centre of the output pixel lies among them. Beyond the first pixel's centre, on it.
    position = max((output + 0.5) * length / outputs - 0.5, 0.0)
    low = math.floor(position)
    return start + low, start + min(low + 1, length - 1), position - low


def pixel(image: Array, y: int, x: int, c: int) -> float:
    """What an image (H, W, C) shows at a place, which is 0 beyond its edges."""
    h, w, _ = image.shape
    return float(image[y, x, c]) if 0 <= y < h and 0 <= x < w else 0.0


def resize_bilinear(
    images: Array, size: tuple[int, int], scale: float, shift: float, views: Array | None = None
) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW).

    `views`, (N, 9) int32, say what is seen of each image (kernels/views.py); None: all of it. A crop's pixels beyond
    the image count as 0, and so become `shift`; a hole in the result is 0.
    """
    n_images, h, w, channels = images.shape
    oh, ow = size
    out = np.empty((n_images, oh, ow, channels), np.float32)
    for n, view in enumerate(named(whole_views(n_images, h, w) if views is None else views)):
        image = images[n]
        for y in range(oh):
            top, bottom, down = neighbours(y, oh, view["top"], view["height"])
            for x in range(ow):
                unmirrored = ow - 1 - x if view["mirrored"] else x
                left, right, across = neighbours(unmirrored, ow, view["left"], view["width"])
                for c in range(channels):
                    upper = pixel(image, top, left, c) * (1 - across) + pixel(image, top, right, c) * across
                    lower = pixel(image, bottom, left, c) * (1 - across) + pixel(image, bottom, right, c) * across
                    out[n, y, x, c] = (upper * (1 - down) + lower * down) * scale + shift
                row, column = y - view["hole_top"], x - view["hole_left"]
                if 0 <= row < view["hole_height"] and 0 <= column < view["hole_width"]:
                    out[n, y, x] = 0
    return out
