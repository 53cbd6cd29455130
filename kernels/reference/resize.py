"""Bilinear resizing, as two matrix products.

Along one axis every output pixel is a weighted mean of two input pixels, which is a matrix with two entries a row.
Rows and columns are independent, so an image is resized by one such matrix from the left and one from the right.
Output pixel o lies, with pixel centres at halves, at position (o + 0.5) * input / output - 0.5 of what is resized, held
within it (PyTorch's `interpolate(mode="bilinear", align_corners=False)`). Shrinking does not average: pixels are
skipped. A crop is resized by the same matrices with other entries: pixels outside it have none, and those beyond the
image, which are 0, need none.
"""

import numpy as np

from kernels.layout import Array
from kernels.views import named, whole_views


def interpolation_matrices(output: int, input: int, start: Array, length: Array) -> Array:
    """The weights of the input pixels in each output pixel of one axis: (V, output, input) float64.

    Matrix v resizes the length[v] pixels from start[v] on; its rows sum to 1 where these lie within the input.
    """
    start, length = start[:, None], length[:, None]  # (V,) -> (V, 1)
    position = np.maximum((np.arange(output) + 0.5) * length / output - 0.5, 0)  # (V, output)
    low = position.astype(np.int64)  # rounds down, as no position is negative
    high = np.minimum(low + 1, length - 1)
    pixels = np.arange(input)
    # Added: on the last pixel, low and high are the same.
    return sum(
        weight[..., None] * (pixels == (start + pixel)[..., None])  # (V, output, 1) * (V, output, input)
        for pixel, weight in ((low, 1 - (position - low)), (high, position - low))
    )


def resize_bilinear(
    images: Array, size: tuple[int, int], scale: float, shift: float, views: Array | None = None
) -> Array:
    """bilinear(images) * scale + shift: uint8 (N, H, W, C) -> float32 (N, OH, OW, C), where size = (OH, OW).

    `views`, (N, 9) int32, say what is seen of each image (kernels/views.py); None: all of it. A crop's pixels beyond
    the image count as 0, and so become `shift`; a hole in the result is 0.
    """
    n, h, w, c = images.shape
    oh, ow = size
    view = named(whole_views(1, h, w) if views is None else views)  # (V,): one for all images, or one each
    # Scaling the small matrices scales the result.
    rows = (interpolation_matrices(oh, h, view["top"], view["height"]) * scale).astype(np.float32)
    columns = interpolation_matrices(ow, w, view["left"], view["width"]).astype(np.float32)
    mirrored = view["mirrored"] != 0
    columns[mirrored] = columns[mirrored, ::-1]
    planes = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")  # (N, H, W, C) -> (N, C, H, W)
    # (V, 1, OH, H) @ (N, C, H, W) @ (V, 1, W, OW) -> (N, C, OH, OW)
    resized = rows[:, None] @ planes @ columns[:, None].transpose(0, 1, 3, 2)
    out = np.empty((n, oh, ow, c), np.float32)
    np.add(resized.transpose(0, 2, 3, 1), np.float32(shift), out=out)  # (N, C, OH, OW) -> (N, OH, OW, C)
    hole_rows = _hole(oh, view["hole_top"], view["hole_height"])
    hole_columns = _hole(ow, view["hole_left"], view["hole_width"])
    np.copyto(out, 0, where=(hole_rows[:, :, None] & hole_columns[:, None, :])[..., None])  # (V, OH, OW, 1)
    return out


def _hole(output: int, start: Array, length: Array) -> Array:
    """Which output pixels of one axis lie in each view's hole: (V, output) bool."""
    place = np.arange(output) - start[:, None]
    return (place >= 0) & (place < length[:, None])
