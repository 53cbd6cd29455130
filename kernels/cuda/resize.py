"""Bilinear resizing (kernels/reference/resize.py): each number of the result is mixed of four pixels."""

import cupy
import numpy as np

from kernels.cuda.launch import THREADS, contiguous, launch
from kernels.layout import Array


def resize_bilinear(images: Array, size: tuple[int, int], scale: float, shift: float) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW)."""
    images = contiguous(images)
    n, h, w, c = images.shape
    oh, ow = size
    out = cupy.empty((n, oh, ow, c), np.float32)
    sizes = [np.int32(length) for length in (h, w, oh, ow, c)]
    scalars = np.float64(scale), np.float32(shift)
    launch("resize_bilinear", "resize_bilinear", out.dtype, (n * oh,), (THREADS,), images, out, *sizes, *scalars)
    return out
