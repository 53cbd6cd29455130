"""Pooling: each window of the input becomes one number, its maximum or its mean.

A window has kh * kw taps. Instead of gathering windows, these kernels visit the taps one after the other and handle
all windows at once: for a given tap, the inputs that the windows meet form one strided slice of the image. Padding
takes part in no maximum, and is never stored.

All arrays are NHWC. Images are done one at a time, so that what the taps share stays in the cache.
"""

from collections.abc import Iterator

import numpy as np

from kernels.geometry import Padding, Pair, adaptive_window, output_size, valid_outputs, winner_dtype
from kernels.layout import Array

Tap = tuple[int, tuple[slice, slice], tuple[slice, slice]]


def window_taps(size: Pair, outputs: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> list[Tap]:
    """For each tap in row order: its number, the outputs whose tap lies on the input, the inputs that those meet."""
    taps = []
    for i in range(kernel[0]):
        out_rows, rows = valid_outputs(i, size[0], outputs[0], stride[0], padding[0][0], dilation[0])
        for j in range(kernel[1]):
            out_cols, cols = valid_outputs(j, size[1], outputs[1], stride[1], padding[1][0], dilation[1])
            taps.append((i * kernel[1] + j, (out_rows, out_cols), (rows, cols)))
    return taps


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool, winners: bool = True
) -> tuple[Array, Array | None]:
    """Maximum of each window, and which tap won it: (N, H, W, C) -> two (N, OH, OW, C).

    NaN wins against numbers; among equal maxima the first tap wins, as in PyTorch. Winners are of `winner_dtype`; None
    if they are not wanted.
    """
    n, h, w, c = x.shape
    oh, ow = output_size((h, w), kernel, stride, padding, dilation, ceil_mode)
    taps = window_taps((h, w), (oh, ow), kernel, stride, padding, dilation)
    y = np.full((n, oh, ow, c), -np.inf, x.dtype)
    for image, best in zip(x, y, strict=True):
        for _, outputs, inputs in taps:
            np.maximum(best[outputs], image[inputs], out=best[outputs])
    if not winners:
        return y, None
    winner = np.zeros((n, oh, ow, c), winner_dtype(kernel))
    for image, best, which in zip(x, y, winner, strict=True):
        # From the last tap to the first, so that the first of several equal maxima has the last word.
        for tap, outputs, inputs in reversed(taps):
            np.copyto(which[outputs], tap, where=image[inputs] == best[outputs])
    if np.isnan(y).any():
        _last_nan_wins(x, y, winner, taps)
    return y, winner


def _last_nan_wins(x: Array, y: Array, winner: Array, taps: list[Tap]) -> None:
    """NaN equals nothing, so the search above missed it. Among several NaN the last tap wins, as in PyTorch."""
    for image, which in zip(x, winner, strict=True):
        for tap, outputs, inputs in taps:
            np.copyto(which[outputs], tap, where=np.isnan(image[inputs]))


def max_pool2d_backward(
    grad: Array, winner: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """The winner of each window alone receives its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    n, oh, ow, c = grad.shape
    taps = window_taps(size, (oh, ow), kernel, stride, padding, dilation)
    x_grad = np.zeros((n, *size, c), grad.dtype)
    for image_grad, image_winner, out in zip(grad, winner, x_grad, strict=True):
        for tap, outputs, inputs in taps:
            out[inputs] += np.where(image_winner[outputs] == tap, image_grad[outputs], 0)
    return x_grad


def divisors(
    size: Pair, outputs: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """What each window's sum is divided by: (OH, OW, 1).

    With `count_include_pad` a window's padding counts, but only up to the padded edge: the part of a `ceil_mode`
    window beyond it does not. Without, only inputs count.
    """
    if divisor_override is not None:
        return np.full((*outputs, 1), divisor_override)
    counts = []
    for axis in (0, 1):
        before, after = padding[axis]
        low, high = (-before, size[axis] + after) if count_include_pad else (0, size[axis])
        start = np.arange(outputs[axis]) * stride[axis] - before
        counts.append(np.minimum(start + kernel[axis], high) - np.maximum(start, low))
    rows, cols = counts
    return (rows[:, None] * cols[None, :])[..., None]  # (OH, 1) * (1, OW) -> (OH, OW, 1)


def avg_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Mean of each window: (N, H, W, C) -> (N, OH, OW, C)."""
    n, h, w, c = x.shape
    outputs = output_size((h, w), kernel, stride, padding, (1, 1), ceil_mode)
    y = np.zeros((n, *outputs, c))
    for image, total in zip(x, y, strict=True):
        for _, out, inputs in window_taps((h, w), outputs, kernel, stride, padding, (1, 1)):
            total[out] += image[inputs]
    y /= divisors((h, w), outputs, kernel, stride, padding, count_include_pad, divisor_override)
    return y.astype(x.dtype)


def avg_pool2d_backward(
    grad: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Each input of a window receives an equal share of its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    n, oh, ow, c = grad.shape
    divisor = divisors(size, (oh, ow), kernel, stride, padding, count_include_pad, divisor_override)
    share = grad / divisor.astype(grad.dtype)
    x_grad = np.zeros((n, *size, c), grad.dtype)
    for image_share, out in zip(share, x_grad, strict=True):
        for _, outputs, inputs in window_taps(size, (oh, ow), kernel, stride, padding, (1, 1)):
            out[inputs] += image_share[outputs]
    return x_grad


def adaptive_windows(size: Pair, outputs: Pair) -> Iterator[tuple[int, int, slice, slice]]:
    """Each output place (row, column) with the rows and columns of the input that it averages."""
    for row in range(outputs[0]):
        for col in range(outputs[1]):
            yield (
                row, col,
                slice(*adaptive_window(row, size[0], outputs[0])),
                slice(*adaptive_window(col, size[1], outputs[1])),
            )


def adaptive_avg_pool2d(x: Array, outputs: Pair) -> Array:
    """Mean of windows that divide the input evenly among `outputs`: (N, H, W, C) -> (N, OH, OW, C)."""
    n, h, w, c = x.shape
    y = np.empty((n, *outputs, c), x.dtype)
    for row, col, rows, cols in adaptive_windows((h, w), outputs):
        y[:, row, col] = x[:, rows, cols].mean(axis=(1, 2), dtype=np.float64)  # as channel_sum, for the same reason
    return y


def adaptive_avg_pool2d_backward(grad: Array, size: Pair) -> Array:
    """Each input receives its share of every window that saw it: (N, OH, OW, C) -> (N, H, W, C)."""
    n, oh, ow, c = grad.shape
    x_grad = np.zeros((n, *size, c), grad.dtype)
    for row, col, rows, cols in adaptive_windows(size, (oh, ow)):
        area = (rows.stop - rows.start) * (cols.stop - cols.start)
        x_grad[:, rows, cols] += grad[:, row, col][:, None, None, :] / area
    return x_grad
