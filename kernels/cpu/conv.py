"""Convolution: which algorithm computes it.

    matmul      1x1, stride 1, no padding: the image is a matrix, a row a pixel       (matmul.py, weight_grad.py;
                all of its backward together: pointwise.py)
    winograd    3x3 and 5x5 with stride 1, where it saves half of the multiplications          (winograd.py)
    direct      everything else                                                   (correlate.py, weight_grad.py)

The choice follows from the shapes alone, never from a timing: the same program gives the same bits everywhere.
`algorithm(name)` insists on one where it can be done, which is how the benchmarks compare them.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numba import prange

from kernels.cpu import pointwise, winograd, winograd_weight_grad
from kernels.cpu.correlate import NO_FLOOR, correlate, forward_phase, input_phases
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.cpu.matmul import matmul
from kernels.cpu.sums import turned_weight
from kernels.cpu.weight_grad import product_weight_grad, sections, weight_grad
from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array
from kernels.memory import empty
from kernels.reference import conv as reference

ALGORITHMS = ("matmul", "winograd", "direct")
_insisted: ContextVar[str | None] = ContextVar("minigrad_cpu_algorithm", default=None)


@contextmanager
def algorithm(name: str) -> Iterator[None]:
    """`with algorithm("direct"): ...`: convolutions of this thread that `name` can compute are computed so, except in
    `pointwise_backward`.

    ValueError if there is no algorithm of that name.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"algorithm: given {name!r}, expected one of {', '.join(ALGORITHMS)}")
    token = _insisted.set(name)
    try:
        yield
    finally:
        _insisted.reset(token)


@functools.lru_cache(maxsize=4096)
def possible(
    places: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> tuple[str, ...]:
    """The algorithms that can compute a convolution with so many output rows and columns, the preferred one first."""
    if stride == dilation == (1, 1) and groups == 1:
        if kernel == (1, 1) and padding == ((0, 0), (0, 0)):
            return "matmul", "direct"
        if winograd.possible(kernel, padding):
            return ("winograd", "direct") if winograd.pays(kernel, places) else ("direct", "winograd")
    return ("direct",)


def _chosen(places: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> str:
    names = possible(places, kernel, stride, padding, dilation, groups)
    insisted = _insisted.get()
    return insisted if insisted in names else names[0]


def _by_group(weight: Array, groups: int) -> Array:
    """(kh, kw, C/groups, O) -> (groups, kh, kw, C/groups, O/groups)."""
    *window, filters = weight.shape
    return np.moveaxis(weight.reshape(*window, groups, filters // groups), 3, 0)


def _rows(image: Any) -> Any:
    """A pixel a row: (N, H, W, C) -> (N*H*W, C), contiguous. None stays None."""
    return None if image is None else np.ascontiguousarray(image).reshape(math.prod(image.shape[:-1]), image.shape[-1])


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    activation: str | None,
) -> Array:
    """Forward: (N, H, W, C) and (kh, kw, C/groups, O) -> (N, OH, OW, O). `activation` is None or "relu"."""
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    n, h, w, _ = x.shape
    kh, kw, _, o = weight.shape
    places = output_size((h, w), (kh, kw), stride, padding, dilation)
    y = empty((n, *places, o))
    floor = np.float32(0) if activation == "relu" else NO_FLOOR
    name = _chosen(places, (kh, kw), stride, padding, dilation, groups)
    if y.size == 0:
        return y
    if name == "matmul":
        matmul(_rows(x), None, weight[0, 0], False, bias, floor, False, _rows(y))
    elif name == "winograd":
        winograd.convolve(x, None, weight, bias, (padding[0][0], padding[1][0]), floor, False, y)
    else:
        matrix = _by_group(weight, groups).reshape(groups, -1, o // groups)  # (groups, taps * C/g, O/g)
        phase = forward_phase(places, (kh, kw), stride, padding, dilation)
        correlate(phase, x, None, matrix, bias, floor, False, y)
    return y


def conv2d_input_grad(
    grad: Array, output: Array | None, weight: Array, size: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int, into: Array | None,
) -> Array:
    """Gradient of the input: (N, OH, OW, O) and (kh, kw, C/groups, O) -> (N, H, W, C); `size` is (H, W).

    Added to the array `into`, if there is one, which is then the result.
    """
    grad, weight = np.ascontiguousarray(grad), np.ascontiguousarray(weight)
    output = None if output is None else np.ascontiguousarray(output)
    n, *places, _ = grad.shape
    kh, kw, share, _ = weight.shape
    c = share * groups
    add, x_grad = into is not None, empty((n, *size, c)) if into is None else into
    name = _chosen((places[0], places[1]), (kh, kw), stride, padding, dilation, groups)
    if x_grad.size == 0:
        return x_grad
    if name == "matmul":
        matmul(_rows(grad), _rows(output), weight[0, 0], True, None, NO_FLOOR, add, _rows(x_grad))
    elif name == "winograd":
        before = kh - 1 - padding[0][0], kw - 1 - padding[1][0]
        winograd.convolve(grad, output, turned_weight(weight), None, before, NO_FLOOR, add, x_grad)
    else:
        phases = list(input_phases(size, (kh, kw), stride, padding, dilation))
        if not add and sum(phase.places[0] * phase.places[1] for phase in phases) < size[0] * size[1]:
            x_grad[...] = 0  # some pixels lie in no window
        for phase in phases:
            taps = _by_group(weight, groups)[:, phase.row_taps][:, :, phase.col_taps]
            matrix = taps.transpose(0, 1, 2, 4, 3).reshape(groups, -1, share)  # (groups, taps * O/g, C/g)
            correlate(phase, grad, output, matrix, None, NO_FLOOR, add, x_grad)
    return x_grad


def conv2d_weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int,
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (kh, kw, C/groups, O) and (O,)."""
    grad, x = np.ascontiguousarray(grad), np.ascontiguousarray(x)
    output = None if output is None else np.ascontiguousarray(output)
    _, *places, o = grad.shape
    c = x.shape[3]
    shape = (*kernel, c // groups, o)
    name = _chosen((places[0], places[1]), kernel, stride, padding, dilation, groups)
    if grad.size == 0:
        return np.zeros(shape, np.float32), np.zeros(o, np.float32)
    if name == "matmul":
        weight_grads, bias_grad = product_weight_grad(_rows(grad), _rows(output), _rows(x))
    elif name == "winograd":
        before = padding[0][0], padding[1][0]
        weight_grads, bias_grad = winograd_weight_grad.weight_grad(grad, output, x, kernel, before)
    else:
        phase = forward_phase((places[0], places[1]), kernel, stride, padding, dilation)
        weight_grads, bias_grad = weight_grad(phase, grad, output, x, groups)
    return weight_grads.reshape(shape), bias_grad


def pointwise_backward(
    grads: Sequence[Array], outputs: Sequence[Array | None], weights: Sequence[Array], x: Array, into: Array | None
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Backward of 1x1 convolutions of one input: each (N, H, W, O) and (1, 1, C, O) -> (N, H, W, C), the sum of what
    they owe their input, and the gradients of each weight (1, 1, C, O) and bias (O,).

    The first is added to the array `into`, if there is one, which is then the result.
    """
    x_grad = empty(x.shape) if into is None else into
    weight_rows = [np.ascontiguousarray(weight[0, 0]) for weight in weights]
    pairs = pointwise.backward(
        [_rows(grad) for grad in grads], [_rows(output) for output in outputs], weight_rows, _rows(x), _rows(x_grad),
        into is not None,
    )
    return x_grad, [(weight_grad[None, None], bias_grad) for weight_grad, bias_grad in pairs]


def channel_sum(grad: Array) -> Array:
    """Gradient of any other bias: each channel's gradients summed over everything else, (..., C) -> (C,).

    Short runs are added up in float32, and the runs in float64. What is small is done before threads would be awake.
    """
    if grad.size < SMALL_SUM:
        return reference.channel_sum(grad)
    parts = sections(grad.size // grad.shape[-1], RUN)
    sums = np.zeros((parts, grad.shape[-1]))
    _channel_sums(_rows(grad), sums)
    total: Array = sums.sum(axis=0)  # over the parts, in their order
    return total.astype(grad.dtype)


RUN = 64
SMALL_SUM = 1 << 15


@parallel
def _channel_sums(workers: int, rows: Array, sums: Array) -> None:
    counter, parts = np.zeros(1, np.int64), len(sums)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _add_runs(rows[part * len(rows) // parts : (part + 1) * len(rows) // parts], sums[part])
            part = next_part(counter)


@compiled
def _add_runs(rows: Any, total: Any) -> None:
    channels = rows.shape[1]
    run = np.empty(channels, np.float32)
    for start in range(0, len(rows), RUN):
        run[:] = np.float32(0)
        for row in range(start, min(start + RUN, len(rows))):
            for c in range(channels):
                run[c] += rows[row, c]
        for c in range(channels):
            total[c] += run[c]
