"""Pooling as in kernels/reference/pool.py, every result gathered from the few places that it depends on.

Backward too: an input adds up what the windows that see it owe it, so that no addition has to be atomic.
"""

import cupy
import numpy as np

from kernels.cuda.launch import NULL, SUM_LANES, SUM_TILE, THREADS, contiguous, launch, pack_size, window
from kernels.geometry import Padding, Pair, output_size, winner_dtype
from kernels.layout import Array

DIVISOR = np.dtype([("fields", np.int32, 6)])


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool, winners: bool = True
) -> tuple[Array, Array | None]:
    """Maximum of each window, and which tap won it: (N, H, W, C) -> two (N, OH, OW, C).

    NaN wins against numbers; among equal maxima the first tap wins, as in PyTorch. Winners are of `winner_dtype`; None
    if they are not wanted.
    """
    x = contiguous(x)
    n, h, w, c = x.shape
    outputs = output_size((h, w), kernel, stride, padding, dilation, ceil_mode)
    y = cupy.empty((n, *outputs, c), x.dtype)
    winner = cupy.empty(y.shape, winner_dtype(kernel)) if winners else None
    variant, pack = _variant(kernel, x, y)
    win = window((h, w), kernel, stride, padding, dilation, outputs)
    arguments = x, y, NULL if winner is None else winner, win, np.int32(c // pack)
    launch("max_pool", f"max_pool{variant}", x.dtype, (n * outputs[0],), (THREADS,), *arguments)
    return y, winner


def max_pool2d_backward(
    grad: Array, winner: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """The winner of each window alone receives its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    grad, winner = contiguous(grad), contiguous(winner)
    n, oh, ow, c = grad.shape
    x_grad = cupy.empty((n, *size, c), grad.dtype)
    variant, pack = _variant(kernel, grad, winner)
    win = window(size, kernel, stride, padding, dilation, (oh, ow))
    arguments = grad, winner, x_grad, win, np.int32(c // pack)
    launch("max_pool", f"max_pool_backward{variant}", grad.dtype, (n * size[0],), (THREADS,), *arguments)
    return x_grad


def _variant(kernel: Pair, x: Array, *others: Array) -> tuple[str, int]:
    """How the name of max_pool.cu's kernel ends, and how many of x's channels a thread takes at once."""
    if winner_dtype(kernel) != "uint8":
        return "_wide", 1
    pack = pack_size(x.dtype, x.shape[-1:], x, *others)
    return "_packs" if pack > 1 else "", pack


def avg_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Mean of each window: (N, H, W, C) -> (N, OH, OW, C)."""
    x = contiguous(x)
    n, h, w, c = x.shape
    outputs = output_size((h, w), kernel, stride, padding, (1, 1), ceil_mode)
    y = cupy.empty((n, *outputs, c), x.dtype)
    pack = pack_size(x.dtype, (c,), x, y)
    win = window((h, w), kernel, stride, padding, (1, 1), outputs)
    divisor = _divisor((h, w), padding, count_include_pad, divisor_override)
    name = "avg_pool_packs" if pack > 1 else "avg_pool"
    launch("avg_pool", name, x.dtype, (n * outputs[0],), (THREADS,), x, y, win, divisor, np.int32(c // pack))
    return y


def avg_pool2d_backward(
    grad: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Each input of a window receives an equal share of its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    grad = contiguous(grad)
    n, oh, ow, c = grad.shape
    x_grad = cupy.empty((n, *size, c), grad.dtype)
    pack = pack_size(grad.dtype, (c,), grad, x_grad)
    win = window(size, kernel, stride, padding, (1, 1), (oh, ow))
    divisor = _divisor(size, padding, count_include_pad, divisor_override)
    name = "avg_pool_backward_packs" if pack > 1 else "avg_pool_backward"
    launch("avg_pool", name, grad.dtype, (n * size[0],), (THREADS,), grad, x_grad, win, divisor, np.int32(c // pack))
    return x_grad


def _divisor(size: Pair, padding: Padding, count_include_pad: bool, divisor_override: int | None) -> Array:
    """avg_pool.cu's struct Divisor. Padding counts up to the padded edge, and not what a `ceil_mode` window has beyond
    it: `divisors` in kernels/reference/pool.py."""
    (top, bottom), (left, right) = padding if count_include_pad else ((0, 0), (0, 0))
    fixed = (0, False) if divisor_override is None else (divisor_override, True)
    return np.array([((-top, size[0] + bottom, -left, size[1] + right, *fixed),)], DIVISOR)


def adaptive_avg_pool2d(x: Array, outputs: Pair) -> Array:
    """Mean of windows that divide the input evenly among `outputs`: (N, H, W, C) -> (N, OH, OW, C)."""
    x = contiguous(x)
    n, h, w, c = x.shape
    y = cupy.empty((n, *outputs, c), x.dtype)
    sizes = [np.int32(length) for length in (h, w, *outputs, c)]
    grid = (n * outputs[0] * outputs[1], -(-c // SUM_TILE))
    launch("adaptive_avg_pool", "adaptive_avg_pool", x.dtype, grid, (SUM_TILE, SUM_LANES), x, y, *sizes)
    return y


def adaptive_avg_pool2d_backward(grad: Array, size: Pair) -> Array:
    """Each input receives its share of every window that saw it: (N, OH, OW, C) -> (N, H, W, C)."""
    grad = contiguous(grad)
    n, oh, ow, c = grad.shape
    x_grad = cupy.empty((n, *size, c), grad.dtype)
    pack = pack_size(grad.dtype, (c,), grad, x_grad)
    sizes = [np.int32(length) for length in (*size, oh, ow, c // pack)]
    name = "adaptive_avg_pool_backward_packs" if pack > 1 else "adaptive_avg_pool_backward"
    launch("adaptive_avg_pool", name, grad.dtype, (n * size[0],), (THREADS,), grad, x_grad, *sizes)
    return x_grad
