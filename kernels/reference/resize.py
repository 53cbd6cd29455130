"""Bilinear resizing, as two matrix products.

Along one axis every output pixel is a weighted mean of two input pixels, which is a matrix with two entries a row.
Rows and columns are independent, so an image is resized by one such matrix from the left and one from the right.
Output pixel o lies, with pixel centres at halves, at input position (o + 0.5) * input / output - 0.5, held within the
image (PyTorch's `interpolate(mode="bilinear", align_corners=False)`). Shrinking does not average: pixels are skipped.
"""

import numpy as np

from kernels.layout import Array


def interpolation_matrix(output: int, input: int) -> Array:
    """The weights of the input pixels in each output pixel of one axis: (output, input) float64, each row sums to 1."""
    position = np.maximum((np.arange(output) + 0.5) * input / output - 0.5, 0)
    low = position.astype(np.int64)  # rounds down, as no position is negative
    high = np.minimum(low + 1, input - 1)
    weights = np.zeros((output, input))
    weights[np.arange(output), low] = 1 - (position - low)
    weights[np.arange(output), high] += position - low  # added: on the last pixel, low and high are the same
    return weights


def resize_bilinear(images: Array, size: tuple[int, int], scale: float, shift: float) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW)."""
    n, h, w, c = images.shape
    oh, ow = size
    rows = (interpolation_matrix(oh, h) * scale).astype(np.float32)  # scaling the small matrix scales the result
    columns = interpolation_matrix(ow, w).astype(np.float32)
    planes = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")  # (N, H, W, C) -> (N, C, H, W)
    resized = rows @ planes @ columns.T  # (OH, H) @ (N, C, H, W) @ (W, OW) -> (N, C, OH, OW)
    out = np.empty((n, oh, ow, c), np.float32)
    return np.add(resized.transpose(0, 2, 3, 1), np.float32(shift), out=out)  # (N, C, OH, OW) -> (N, OH, OW, C)
