"""Batch normalisation and local response normalisation. Arrays are channels-last, (..., C)."""

from typing import Any

import cupy
import numpy as np

from kernels.cuda.conv import part_count
from kernels.cuda.launch import NULL, SUM_LANES, SUM_TILE, contiguous, launch, over_elements, over_rows, pack_size
from kernels.layout import Array

ROWS = 8
"""Of batch_norm.cu: rows that a thread takes."""


def _rows(x: Array) -> int:
    return x.size // max(1, x.shape[-1])


def _part_grid(rows: int, channels: int) -> tuple[int, int]:
    return -(-channels // SUM_TILE), part_count(rows)


def _sizes(rows: int, channels: int) -> tuple[Any, ...]:
    return np.int64(rows), np.int32(channels), np.int32(part_count(rows))


def _mean(partial: Array, rows: int) -> Array:
    """The parts' sum by the number of rows: (parts, C) -> (C,)."""
    parts, channels = partial.shape
    mean = cupy.empty(channels, partial.dtype)
    sizes = (np.int32(channels), np.int32(parts), partial.dtype.type(rows))
    launch("batch_norm", "mean_of_parts", partial.dtype, *over_elements(channels), partial, mean, *sizes)
    return mean


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over everything else: (..., C) -> two (C,)."""
    x = contiguous(x)
    rows, channels = _rows(x), x.shape[-1]
    grid, block, sizes = _part_grid(rows, channels), (SUM_TILE, SUM_LANES), _sizes(rows, channels)
    partial = cupy.empty((part_count(rows), channels), x.dtype)
    launch("channel_sum", "part_sums", x.dtype, grid, block, x, partial, *sizes)
    mean = _mean(partial, rows)
    launch("batch_norm", "square_parts", x.dtype, grid, block, x, mean, partial, *sizes)
    return mean, _mean(partial, rows)


def _number_by_number(
    name: str, large: list[Array], of_channels: list[Array | None], eps: float, *flags: bool
) -> None:
    """A kernel of batch_norm.cu on arrays (..., C), the last of which it fills, and on numbers (C,) of each channel."""
    result = large[-1]
    rows, channels = _rows(result), result.shape[-1]
    held = [None if array is None else contiguous(array) for array in of_channels]
    pack = pack_size(result.dtype, (channels,), *large, *(array for array in held if array is not None))
    width = channels // pack
    (blocks,), block = over_rows(-(-rows // ROWS), width)
    launch(
        "batch_norm", f"{name}_packs" if pack > 1 else name, result.dtype, (blocks, -(-width // block[0])), block,
        *large[:-1], *(NULL if array is None else array for array in held), result, np.int64(rows), np.int32(width),
        result.dtype.type(eps), *map(np.int32, flags),
    )


def batch_norm(
    x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None,
) -> Array:
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, then ReLU if asked; (..., C) -> (..., C)."""
    y = cupy.empty(x.shape, x.dtype)
    _number_by_number("batch_norm", [contiguous(x), y], [mean, variance, weight, bias], eps, activation == "relu")
    return y


def batch_norm_backward(
    grad: Array, x: Array, mean: Array, variance: Array, weight: Array | None, bias: Array | None, eps: float,
    activation: str | None, training: bool,
) -> tuple[Array, Array, Array]:
    """Gradients of input (..., C), weight (C,) and bias (C,). Where ReLU blocked is computed anew from x."""
    grad, x, relu = contiguous(grad), contiguous(x), activation == "relu"
    rows, channels, dtype = _rows(x), x.shape[-1], x.dtype
    forward = [None if array is None else contiguous(array) for array in (mean, variance, weight, bias)]
    parts = part_count(rows)
    partial = cupy.empty((2, parts, channels), dtype)
    launch(
        "batch_norm", "gradient_parts", dtype, _part_grid(rows, channels), (SUM_TILE, SUM_LANES), grad, x,
        *(NULL if array is None else array for array in forward), dtype.type(eps), np.int32(relu), partial,
        *_sizes(rows, channels),
    )
    sums = cupy.empty((2, channels), dtype)
    for kind in (0, 1):
        sizes = (np.int32(channels), np.int32(parts))
        launch("channel_sum", "add_parts", dtype, *over_elements(channels), partial[kind], sums[kind], *sizes)
    weight_grad, bias_grad = sums[0], sums[1]
    x_grad = cupy.empty(x.shape, dtype)
    of_channels = [*forward, weight_grad, bias_grad]
    _number_by_number("batch_norm_backward", [grad, x, x_grad], of_channels, eps, relu, training)
    return x_grad, weight_grad, bias_grad


def _window(dtype: np.dtype, size: int, alpha: float, beta: float, k: float) -> tuple[Any, ...]:
    """The arguments of local_response_norm.cu that say how far a window reaches, and what comes of it."""
    reach = (np.int32(size // 2), np.int32((size - 1) // 2))
    return *reach, dtype.type(alpha / size), dtype.type(beta), dtype.type(k)


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y_c = x_c / (k + alpha / size * sum over neighbours of x^2) ** beta; (..., C) -> (..., C)."""
    rows, channels = _rows(x), x.shape[-1]
    y = cupy.empty(x.shape, x.dtype)
    sizes = (np.int64(rows), np.int32(channels), *_window(x.dtype, size, alpha, beta, k))
    name = "local_response_norm"
    launch(name, name, x.dtype, *over_rows(rows, channels), contiguous(x), y, *sizes)
    return y


def local_response_norm_backward(
    grad: Array, x: Array, size: int, alpha: float, beta: float, k: float
) -> Array:
    """Each input moves its own output, and through the scale those of all channels in whose window it lies."""
    grad, x = contiguous(grad), contiguous(x)
    rows, channels = _rows(x), x.shape[-1]
    owed, x_grad = cupy.empty(x.shape, x.dtype), cupy.empty(x.shape, x.dtype)
    grid, block = over_rows(rows, channels)
    sizes = (np.int64(rows), np.int32(channels), *_window(x.dtype, size, alpha, beta, k))
    file = "local_response_norm"
    launch(file, "owed_through_scale", x.dtype, grid, block, grad, x, owed, *sizes)
    launch(file, "local_response_norm_backward", x.dtype, grid, block, grad, x, owed, x_grad, *sizes)
    return x_grad
