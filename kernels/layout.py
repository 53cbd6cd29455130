"""The border between the public side (NCHW) and the kernel side (NHWC).

A user's image batch has the logical shape (N, C, H, W), as in PyTorch. Its memory is channels-last: the pixels of all
channels at one place lie next to each other. So a tensor's data is an NCHW *view* of NHWC memory, and crossing the
border is a transpose that moves no data. Why channels-last: a 1x1 convolution is then one matrix product without
im2col, pooling and bias run along contiguous channels, and im2col copies contiguous runs.
"""

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]  # or a cupy.ndarray, which answers the same methods

copies = 0
"""How often `nhwc` had to copy because an array was not channels-last in memory. A step of GoogLeNet makes none."""


def memory_order(array: Array) -> list[int]:
    """The axes of an array, from the one whose neighbours lie farthest apart in memory to the one whose lie closest."""
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def address(array: Array) -> int:
    """Where the first element is, on the CPU or on a card."""
    place: int = array.data.ptr if hasattr(array.data, "ptr") else array.ctypes.data
    return place


def nhwc(x: Array) -> Array:
    """Axis 1 moved to the end, C-contiguous: a view where the memory is channels-last already, otherwise a copy.

    Shapes: (N, C, H, W) -> (N, H, W, C); likewise (N, C) and (N, C, L). Copies are counted in `copies`.
    """
    global copies
    moved = x.transpose(0, *range(2, x.ndim), 1)
    if moved.flags.c_contiguous:
        return moved
    copies += 1
    return moved.copy(order="C")


def nchw(y: Array) -> Array:
    """The way back: the last axis moved to position 1, always a view. (N, H, W, C) -> (N, C, H, W)."""
    return y.transpose(0, y.ndim - 1, *range(1, y.ndim - 1))


def hwio(weight: Array) -> Array:
    """A convolution's weight as the kernels take it: (O, I, kh, kw) -> (kh, kw, I, O), a view or a counted copy."""
    global copies
    moved = weight.transpose(2, 3, 1, 0)
    if moved.flags.c_contiguous:
        return moved
    copies += 1
    return moved.copy(order="C")


def oihw(weight: Array) -> Array:
    """The way back: (kh, kw, I, O) -> (O, I, kh, kw), always a view."""
    return weight.transpose(3, 2, 0, 1)
