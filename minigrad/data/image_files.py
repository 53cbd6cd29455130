"""Ordinary image files, brought into the form of Fashion-MNIST's pictures.

Its authors describe how they made those out of a shop's photographs (H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST",
2017, section 2): edges of the background's colour are trimmed, the longer side becomes 28 pixels, the picture is put
into the middle of 28x28, its grey values are inverted, so that clothes are light on black. Here too, but for two
things: pixels are averaged, not skipped, and a picture that is light on dark already is not inverted.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kernels.layout import Array
from minigrad.files import require_ordinary
from minigrad.messages import plain

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 28
FORMATS = ("PNG", "JPEG")
SAME = round(0.05 * 255)
"""How far a grey value may be from the background's and still be background; the share is the authors'."""


LONGEST_SIDE = 20_000
"""Pixels of a picture that is read at all."""
LARGEST_SIDE = 2048
"""Larger pictures are made smaller at once, or some arrays of numbers that a file of a few kilobytes asks for would
fill the memory."""


class ImageFileError(ValueError):
    """A file that cannot be read as an image; the message names it and what is wrong."""


class Picture(NamedTuple):
    """pixels: (28, 28) uint8, light on dark. inverted: whether the file's were dark on light."""

    pixels: Array
    inverted: bool


def read_image(path: Path) -> Picture:
    """Read a PNG or JPEG file, turned as its EXIF data say. Where it is transparent there is white behind what is dark,
    and black behind what is light.

    A picture of 28x28 pixels is neither trimmed nor moved, and its background stays as it is, where that of others
    becomes black. ImageFileError if the file is missing, broken, not an image, nothing but background, or so large
    that Pillow takes it for an attack.
    """
    from PIL import Image, UnidentifiedImageError  # here, so that only who reads image files loads it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF data, which Pillow passes over
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            require_ordinary(path)
            pixels = np.asarray(_grey(path))
    except FileNotFoundError:
        raise ImageFileError(f"{path}: no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(f"{path}: too large: {plain(error)}") from None
    except UnidentifiedImageError:
        raise ImageFileError(f"{path}: expected a PNG or JPEG image") from None
    except Exception as error:  # whatever Pillow stumbles over in what is broken further in: it has no error of its own
        raise ImageFileError(f"{path}: cannot be read as an image: {plain(error)}") from None
    background = int(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))
    inverted = background > 127
    if inverted:
        pixels, background = 255 - pixels, 255 - background
    if not _differs(pixels, background).any():
        raise ImageFileError(f"{path}: there is nothing on it but background")
    return Picture(pixels if pixels.shape == (SIDE, SIDE) else _fitted(pixels, background), inverted)


def _grey(path: Path) -> "Image":
    from PIL import Image, ImageOps

    with Image.open(path, formats=FORMATS) as image:
        if max(image.size) > LONGEST_SIDE:  # Pillow's own limit is for the area, and each row takes memory besides
            raise ValueError(f"given {image.width}x{image.height} pixels, expected sides of at most {LONGEST_SIDE}")
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255
        colours = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGBA")
    else:
        colours = image.convert("RGBA")
    if (factor := -(-max(colours.size) // LARGEST_SIDE)) > 1:
        colours = colours.reduce(factor)
    grey, opaque = (np.asarray(colours.convert("LA"))[..., channel].astype(float) for channel in (0, 1))
    behind = "black" if (grey * opaque).sum() > 127 * opaque.sum() else "white"
    return Image.alpha_composite(Image.new("RGBA", colours.size, behind), colours).convert("L")


def _differs(pixels: Array, background: int) -> Array:
    """(H, W) uint8 -> (H, W) bool: what is not background."""
    different: Array = np.abs(pixels.astype(np.int16) - background) > SAME
    return different


def _fitted(pixels: Array, background: int) -> Array:
    """(H, W) uint8, light on dark -> (28, 28): what differs from the background, the longer side 28 pixels, in the
    middle of black."""
    from PIL import Image

    rows, columns = (np.flatnonzero(_differs(pixels, background).any(axis=axis)) for axis in (1, 0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(SIDE * side / max(pixels.shape))) for side in pixels.shape)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    small = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), float)
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    lifted = np.maximum(0, small - background) * (255 / (255 - background))  # so that the background is black too
    canvas[top : top + height, left : left + width] = np.rint(lifted)
    return canvas
