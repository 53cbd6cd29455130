"""Bilinear resizing (kernels/reference/resize.py): each number of the result is mixed of four pixels."""

import cupy
import numpy as np

from kernels.cuda.launch import NULL, THREADS, contiguous, launch
from kernels.layout import Array


def resize_bilinear(
    images: Array, size: tuple[int, int], scale: float, shift: float, views: Array | None = None
) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW).

    `views`, (N, 9) int32, say what is seen of each image (kernels/views.py); None: all of it. A crop's pixels beyond
    the image count as 0, and so become `shift`; a hole in the result is 0.
    """
    images = contiguous(images)
    n, h, w, c = images.shape
    oh, ow = size
    out = cupy.empty((n, oh, ow, c), np.float32)
    arrays = images, NULL if views is None else contiguous(views), out
    sizes = [np.int32(length) for length in (h, w, oh, ow, c)]
    scalars = np.float64(scale), np.float32(shift)
    launch("resize_bilinear", "resize_bilinear", out.dtype, (n * oh,), (THREADS,), *arrays, *sizes, *scalars)
    return out
