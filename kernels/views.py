"""Views: what is seen of each image of a batch when it is resized, a row of nine numbers an image. For every backend.

A crop is cut out of the image, resized, and mirrored if so wanted; then a hole is cut into the result. The crop may
reach beyond the image, where all pixels are 0; of the hole counts what lies on the result.
"""

import numpy as np

from kernels.layout import Array

COLUMNS = (
    "top", "left", "height", "width",  # of the crop, in pixels of the image; at least 1 high and wide
    "mirrored",  # 1 if left and right are exchanged, otherwise 0
    "hole_top", "hole_left", "hole_height", "hole_width",  # in pixels of the result; 0 high or wide: there is none
)  # fmt: skip
"""Of an array of views, in their order; that of struct View in kernels/cuda/resize_bilinear.cu."""
VIEW = np.dtype([(name, np.int32) for name in COLUMNS])


def named(views: Array) -> Array:
    """The columns by their names: (N, 9) int32 with contiguous rows -> (N,) of VIEW, on the same memory."""
    return views.view(VIEW)[:, 0]


def whole_views(images: int, height: int, width: int) -> Array:
    """Views that show images of height x width pixels as they are: (images, 9) int32."""
    views = np.zeros((images, len(COLUMNS)), np.int32)
    columns = named(views)
    columns["height"], columns["width"] = height, width
    return views
