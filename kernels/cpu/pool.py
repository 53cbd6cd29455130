"""Pooling on all cores: every element of the result is gathered from the few pixels it depends on, and written once.

Which pixels those are is looked up in lists made once per geometry (windows.py). The innermost loop runs along the
channels, one vector register after the other: for a maximum, up to nine pixels (a 3x3 window) are compared in registers
without a look at memory in between, and maximum and winner are written once. At the border and for smaller windows the
missing pixels are copies of the last one, which change nothing: so one loop serves all windows. The backward works the
same way from the other side: an input pixel adds up the gradients of those windows that it has won.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): in a training step's shapes max_pool2d reaches 47 % of what copying
does and its backward 44 %, the means between 29 and 43 %. All count arguments and results once.
"""

from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.cpu.windows import IN_REGISTERS, load, nine, nine_numbers, store, window_plan
from kernels.geometry import Padding, Pair, adaptive_window, output_size, winner_dtype
from kernels.layout import Array
from kernels.reference.pool import divisors

BAND = 8  # rows of the result in one part: neighbouring rows share most of their input, which is then in the cache
RUN = 64  # taps of a mean that are added up in float32; runs of them, for a window may be the whole image, in float64


@compiled
def _better(best: Any, which: Any, value: Any, number: Any) -> Any:
    """The larger of two values and its tap. NaN is larger than all numbers; the first of equals stays."""
    better = (value > best) | (value != value)
    return value if better else best, number if better else which


@compiled
def _best_of_nine(
    x: Any, start: int, offsets: Any, numbers: Any, y: Any, winner: Any, place: int, channels: int
) -> None:
    a, b, c, d, e, f, g, h, i = nine(offsets, start)
    na, nb, nc, nd, ne, nf, ng, nh, ni = nine_numbers(numbers)
    for channel in range(channels):  # three short chains of comparisons, which the processor interleaves
        best, which = load(x, a + channel), na
        best, which = _better(best, which, load(x, b + channel), nb)
        best, which = _better(best, which, load(x, c + channel), nc)
        second, its = load(x, d + channel), nd
        second, its = _better(second, its, load(x, e + channel), ne)
        second, its = _better(second, its, load(x, f + channel), nf)
        third, thirds = load(x, g + channel), ng
        third, thirds = _better(third, thirds, load(x, h + channel), nh)
        third, thirds = _better(third, thirds, load(x, i + channel), ni)
        best, which = _better(best, which, second, its)
        best, which = _better(best, which, third, thirds)
        store(y, place + channel, best)
        store(winner, place + channel, which)


@compiled
def _larger(best: Any, value: Any) -> Any:
    """The larger of two values, as in `_better`."""
    return value if (value > best) | (value != value) else best


@compiled
def _largest_of_nine(x: Any, start: int, offsets: Any, y: Any, place: int, channels: int) -> None:
    a, b, c, d, e, f, g, h, i = nine(offsets, start)
    for channel in range(channels):
        best = _larger(_larger(load(x, a + channel), load(x, b + channel)), load(x, c + channel))
        second = _larger(_larger(load(x, d + channel), load(x, e + channel)), load(x, f + channel))
        third = _larger(_larger(load(x, g + channel), load(x, h + channel)), load(x, i + channel))
        store(y, place + channel, _larger(_larger(best, second), third))


@compiled
def _one_more(x: Any, offset: int, number: Any, y: Any, winner: Any, place: int, channels: int) -> None:
    """Pixels beyond the ninth come one by one."""
    for channel in range(place, place + channels):
        if len(winner):
            y[channel], winner[channel] = _better(y[channel], winner[channel], x[offset + channel - place], number)
        else:
            y[channel] = _larger(y[channel], x[offset + channel - place])


@compiled
def _max_pool_part(x: Any, y: Any, winner: Any, shape: Any, outputs: Any, plan: Any, lowest: Any, part: int) -> None:
    _, height, width, channels = shape
    rows, cols = outputs
    row_plan, col_plan, counts, all_offsets, all_numbers = plan
    bands = (rows + BAND - 1) // BAND
    image, band = part // bands, part % bands
    for row in range(band * BAND, min(rows, (band + 1) * BAND)):
        for col in range(cols):
            place = ((image * rows + row) * cols + col) * channels
            start = ((image * height + row_plan[row, 1]) * width + col_plan[col, 1]) * channels
            pattern = row_plan[row, 0], col_plan[col, 0]
            count, offsets, numbers = counts[pattern], all_offsets[pattern], all_numbers[pattern]
            if count == 0:
                y[place : place + channels] = lowest
                winner[place : place + channels] = 0
            elif not len(winner):
                _largest_of_nine(x, start, offsets, y, place, channels)
            else:
                _best_of_nine(x, start, offsets, numbers, y, winner, place, channels)
            for further in range(IN_REGISTERS, count):
                _one_more(x, start + offsets[further], numbers[further], y, winner, place, channels)


@parallel
def _max_pool(
    workers: int, x: Any, y: Any, winner: Any, shape: Any, outputs: Any, plan: Any, lowest: Any, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _max_pool_part(x, y, winner, shape, outputs, plan, lowest, part)
            part = next_part(counter)


def _bands(images: int, rows: int) -> int:
    return images * -(-rows // BAND)


def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, ceil_mode: bool, winners: bool = True
) -> tuple[Array, Array | None]:
    """Maximum of each window, and which tap won it: (N, H, W, C) -> two (N, OH, OW, C).

    NaN wins against numbers; among equal maxima the first tap wins, as in PyTorch. Winners are of `winner_dtype`; None
    if they are not wanted.
    """
    n, h, w, c = x.shape
    outputs = output_size((h, w), kernel, stride, padding, dilation, ceil_mode)
    y = memory.empty((n, *outputs, c), x.dtype)
    winner = memory.empty(y.shape if winners else (0,), winner_dtype(kernel))
    lowest = x.dtype.type(-np.inf if x.dtype.kind == "f" else 0)
    plan = window_plan((h, w), outputs, kernel, stride, padding, dilation, c, backward=False)
    # (N, H, W, C) -> (N*H*W*C,): indices are computed by hand
    flat = np.ascontiguousarray(x).reshape(-1)
    _max_pool(flat, y.reshape(-1), winner.reshape(-1), x.shape, outputs, plan, lowest, _bands(n, outputs[0]))
    return y, winner if winners else None


@compiled
def _won(grad: Any, winner: Any, place: int, number: Any) -> Any:
    """A window's gradient, if the pixel at tap `number` has won it."""
    return load(grad, place) if load(winner, place) == number else np.float32(0)


@compiled
def _sum_of_nine(
    grad: Any, winner: Any, start: int, count: int, offsets: Any, numbers: Any, x_grad: Any, place: int, channels: int
) -> None:
    a, b, c, d, e, f, g, h, i = nine(offsets, start)
    na, nb, nc, nd, ne, nf, ng, nh, ni = nine_numbers(numbers)
    if count <= 4:  # as with a 3x3 window and a stride of 2
        for k in range(channels):
            first = _won(grad, winner, a + k, na) + _won(grad, winner, b + k, nb)
            second = _won(grad, winner, c + k, nc) + _won(grad, winner, d + k, nd)
            store(x_grad, place + k, first + second)
    else:
        for k in range(channels):
            first = _won(grad, winner, a + k, na) + _won(grad, winner, b + k, nb) + _won(grad, winner, c + k, nc)
            second = _won(grad, winner, d + k, nd) + _won(grad, winner, e + k, ne) + _won(grad, winner, f + k, nf)
            third = _won(grad, winner, g + k, ng) + _won(grad, winner, h + k, nh) + _won(grad, winner, i + k, ni)
            store(x_grad, place + k, first + second + third)


@compiled
def _max_pool_backward_part(
    grad: Any, winner: Any, x_grad: Any, shape: Any, size: Any, plan: Any, part: int
) -> None:
    _, out_rows, out_cols, channels = shape
    rows, cols = size
    row_plan, col_plan, counts, all_offsets, all_numbers = plan
    bands = (rows + BAND - 1) // BAND
    image, band = part // bands, part % bands
    for row in range(band * BAND, min(rows, (band + 1) * BAND)):
        for col in range(cols):
            place = ((image * rows + row) * cols + col) * channels
            start = ((image * out_rows + row_plan[row, 1]) * out_cols + col_plan[col, 1]) * channels
            pattern = row_plan[row, 0], col_plan[col, 0]
            count, offsets, numbers = counts[pattern], all_offsets[pattern], all_numbers[pattern]
            if count == 0:
                x_grad[place : place + channels] = 0
            else:
                _sum_of_nine(grad, winner, start, count, offsets, numbers, x_grad, place, channels)
            for further in range(IN_REGISTERS, count):
                offset = start + offsets[further]
                for channel in range(channels):
                    x_grad[place + channel] += _won(grad, winner, offset + channel, numbers[further])


@parallel
def _max_pool_backward(
    workers: int, grad: Any, winner: Any, x_grad: Any, shape: Any, size: Any, plan: Any, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _max_pool_backward_part(grad, winner, x_grad, shape, size, plan, part)
            part = next_part(counter)


def max_pool2d_backward(
    grad: Array, winner: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Array:
    """The winner of each window alone receives its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    n, oh, ow, c = grad.shape
    x_grad = memory.empty((n, *size, c))
    plan = window_plan(size, (oh, ow), kernel, stride, padding, dilation, c, backward=True)
    # (N, OH, OW, C) -> (N*OH*OW*C,)
    flat, flat_winner = np.ascontiguousarray(grad).reshape(-1), np.ascontiguousarray(winner).reshape(-1)
    _max_pool_backward(flat, flat_winner, x_grad.reshape(-1), grad.shape, size, plan, _bands(n, size[0]))
    return x_grad


@compiled
def _mean_part(
    source: Any, source_divisor: Any, rows: Any, cols: Any, target_divisor: Any, target: Any, part: int
) -> None:
    _, height, width, channels = target.shape
    bands = (height + BAND - 1) // BAND
    image, band = part // bands, part % bands
    run, total = np.empty(channels, np.float32), np.empty(channels, np.float64)
    for row in range(band * BAND, min(height, (band + 1) * BAND)):
        for col in range(width):
            run[:] = 0
            total[:] = 0
            taps = 0
            for i in range(rows[row, 0], rows[row, 1]):
                for j in range(cols[col, 0], cols[col, 1]):
                    addend, divisor = source[image, i, j], source_divisor[i, j]
                    for channel in range(channels):
                        run[channel] += addend[channel] / divisor
                    taps += 1
                    if taps % RUN == 0:
                        total += run
                        run[:] = 0
            mean, divisor = target[image, row, col], target_divisor[row, col]
            for channel in range(channels):
                mean[channel] = np.float32(total[channel] + run[channel]) / divisor


@parallel
def _mean(
    workers: int, source: Any, source_divisor: Any, rows: Any, cols: Any, target_divisor: Any, target: Any, parts: int
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _mean_part(source, source_divisor, rows, cols, target_divisor, target, part)
            part = next_part(counter)


def _window_means(x: Array, rows: Array, cols: Array, divisor: Array) -> Array:
    """Sums over windows [start, stop) of rows (OH, 2) and columns (OW, 2), divided by `divisor` (OH, OW)."""
    y = memory.empty((len(x), len(rows), len(cols), x.shape[3]))
    ones = np.ones(x.shape[1:3], np.float32)
    _mean(np.ascontiguousarray(x), ones, rows, cols, divisor, y, _bands(len(y), y.shape[1]))
    return y


def _window_means_backward(grad: Array, size: Pair, rows: Array, cols: Array, divisor: Array) -> Array:
    """The same sums from the other side. A pixel's windows follow each other, as starts and stops never go back: those
    that have begun, less those that have ended."""
    x_grad = memory.empty((len(grad), *size, grad.shape[3]))
    meeting = [
        np.stack([windows[:, 1].searchsorted(places, "right"), windows[:, 0].searchsorted(places, "right")], axis=1)
        for windows, places in ((rows, np.arange(size[0])), (cols, np.arange(size[1])))
    ]
    ones = np.ones(size, np.float32)
    _mean(np.ascontiguousarray(grad), divisor, *meeting, ones, x_grad, _bands(len(grad), size[0]))
    return x_grad


def _sliding_windows(size: Pair, outputs: Pair, kernel: Pair, stride: Pair, padding: Padding) -> tuple[Array, Array]:
    """What each window sees of the image, [start, stop) of rows (OH, 2) and of columns (OW, 2)."""
    windows = []
    for axis in (0, 1):
        start = np.arange(outputs[axis]) * stride[axis] - padding[axis][0]
        windows.append(np.stack([start, start + kernel[axis]], axis=1).clip(0, size[axis]))
    return windows[0], windows[1]


def _adaptive_windows(size: Pair, outputs: Pair) -> tuple[Array, Array, Array]:
    """Windows that divide the image evenly, as in `_sliding_windows`, and their areas (OH, OW)."""
    rows, cols = (
        np.array([adaptive_window(index, size[axis], outputs[axis]) for index in range(outputs[axis])], np.int64)
        for axis in (0, 1)
    )
    area = np.outer(rows[:, 1] - rows[:, 0], cols[:, 1] - cols[:, 0])
    return rows, cols, area.astype(np.float32)


def avg_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Padding, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Mean of each window: (N, H, W, C) -> (N, OH, OW, C)."""
    size = x.shape[1:3]
    outputs = output_size(size, kernel, stride, padding, (1, 1), ceil_mode)
    divisor = divisors(size, outputs, kernel, stride, padding, count_include_pad, divisor_override)
    windows = _sliding_windows(size, outputs, kernel, stride, padding)
    return _window_means(x, *windows, divisor[..., 0].astype(np.float32))  # (OH, OW, 1) -> (OH, OW)


def avg_pool2d_backward(
    grad: Array, size: Pair, kernel: Pair, stride: Pair, padding: Padding, count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Each input of a window receives an equal share of its gradient: (N, OH, OW, C) -> (N, H, W, C)."""
    outputs = grad.shape[1:3]
    divisor = divisors(size, outputs, kernel, stride, padding, count_include_pad, divisor_override)
    windows = _sliding_windows(size, outputs, kernel, stride, padding)
    return _window_means_backward(grad, size, *windows, divisor[..., 0].astype(np.float32))  # (OH, OW, 1) -> (OH, OW)


def adaptive_avg_pool2d(x: Array, outputs: Pair) -> Array:
    """Mean of windows that divide the input evenly among `outputs`: (N, H, W, C) -> (N, OH, OW, C)."""
    return _window_means(x, *_adaptive_windows(x.shape[1:3], outputs))


def adaptive_avg_pool2d_backward(grad: Array, size: Pair) -> Array:
    """Each input receives its share of every window that saw it: (N, OH, OW, C) -> (N, H, W, C)."""
    return _window_means_backward(grad, size, *_adaptive_windows(size, grad.shape[1:3]))
