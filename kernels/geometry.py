"""Sizes: how many places a sliding window has, and how its taps are numbered. The same for every backend.

A window of `kernel` taps, `dilation` apart, spans dilation * (kernel - 1) + 1 inputs. It is moved by `stride` over
`size` inputs with `before` and `after` places of padding (V. Dumoulin and F. Visin, "A guide to convolution arithmetic
for deep learning", 2016, relationship 14).
"""

import functools

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))


def span(kernel: int, dilation: int) -> int:
    """Inputs from a window's first tap to its last."""
    return dilation * (kernel - 1) + 1


def output_length(size: int, kernel: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool = False) -> int:
    """How many windows fit along one axis.

    With `ceil_mode` the last, partial window counts too, but not one that would start beyond the input and its
    padding before it: such a window would see no input at all.
    """
    before, after = padding
    room = size + before + after - span(kernel, dilation)
    if not ceil_mode:
        return room // stride + 1
    length = -(-room // stride) + 1
    if (length - 1) * stride >= size + before:
        length -= 1
    return length


@functools.lru_cache(maxsize=4096)  # a network asks for the same few sizes at every step
def output_size(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool = False
) -> Pair:
    """`output_length` for rows and columns: (H, W) -> (OH, OW)."""
    height, width = (
        output_length(size[axis], kernel[axis], stride[axis], padding[axis], dilation[axis], ceil_mode)
        for axis in (0, 1)
    )
    return height, width


def valid_outputs(tap: int, size: int, outputs: int, stride: int, before: int, dilation: int) -> tuple[slice, slice]:
    """For one tap of a window along one axis: the outputs for which it lies on the input, and the inputs it meets.

    Output o's tap t meets input o * stride - before + t * dilation. Returns (outputs, inputs) as slices of equal
    length, so that padding never has to be stored.
    """
    offset = tap * dilation - before
    first = max(0, -(offset // stride))  # smallest o with o * stride + offset >= 0
    last = min(outputs, (size - 1 - offset) // stride + 1)  # one past the largest o with o * stride + offset < size
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)


def winner_dtype(kernel: Pair) -> str:
    """What a max-pool writes its winners' tap numbers in: a byte holds them all and one more number, that of nobody."""
    return "uint8" if kernel[0] * kernel[1] < 256 else "int32"


def adaptive_window(index: int, size: int, outputs: int) -> Pair:
    """Inputs [start, stop) of output `index` when `size` inputs are divided among `outputs` windows, which may overlap.

    start = floor(index * size / outputs), stop = ceil((index + 1) * size / outputs), as PyTorch has it.
    """
    return index * size // outputs, -(-(index + 1) * size // outputs)
