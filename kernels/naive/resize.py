"""Bilinear resizing, pixel by pixel."""

import math

import numpy as np

from kernels.layout import Array


def resize_bilinear(images: Array, size: tuple[int, int], scale: float, shift: float) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW)."""
    n_images, h, w, channels = images.shape
    oh, ow = size
    out = np.empty((n_images, oh, ow, channels), np.float32)
    for n in range(n_images):
        for y in range(oh):
            for x in range(ow):
                # Where the centre of the output pixel lies in the input. Beyond the first pixel's centre, on it.
                in_y = max((y + 0.5) * h / oh - 0.5, 0.0)
                in_x = max((x + 0.5) * w / ow - 0.5, 0.0)
                top, left = math.floor(in_y), math.floor(in_x)
                bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
                down, across = in_y - top, in_x - left
                for c in range(channels):
                    upper = images[n, top, left, c] * (1 - across) + images[n, top, right, c] * across
                    lower = images[n, bottom, left, c] * (1 - across) + images[n, bottom, right, c] * across
                    out[n, y, x, c] = (upper * (1 - down) + lower * down) * scale + shift
    return out
