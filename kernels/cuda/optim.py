"""Optimiser steps: all parameters in one launch or two, each with one pass over its memory.

A step does not care which element is which, only that parameter, gradient and state have the same order in memory
without gaps. So a kernel is told addresses and lengths, in a structure among its arguments.
"""

import functools
import math
from collections.abc import Mapping, Sequence

import cupy
import numpy as np

from kernels.cuda.launch import NULL, THREADS, launch
from kernels.layout import Array, address

CHUNK = 4096
"""Of sgd.cu and adam.cu: elements of a block."""
MOST = {"sgd": 120, "adam": 96}
"""Of sgd.cu and adam.cu: parameters in one launch, MOST of their struct Parameters."""
ARRAYS = {"sgd": 3, "adam": 4}
"""Of sgd.cu and adam.cu: pointers in a struct Parameter. The number of elements follows them."""


@functools.cache
def order_without_gaps(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, ...] | None:
    """The axes of more than one element, from the slowest in memory to the fastest; None if there are gaps."""
    if 0 in shape:
        return ()
    order = [axis for axis in sorted(range(len(shape)), key=lambda axis: -strides[axis]) if shape[axis] > 1]
    expected = itemsize
    for axis in reversed(order):
        if strides[axis] != expected:
            return None
        expected *= shape[axis]
    return tuple(order)


def _addresses(number: int, named: Mapping[str, Array], copies: list[Array]) -> list[int]:
    """Where a parameter, its gradient and its state are, after they have been checked.

    A gradient in another order is copied, which `copies` keeps. ValueError for anything else that does not fit.
    """
    addresses = []
    param = named["params"]
    order = order_without_gaps(param.shape, param.strides, param.itemsize)
    for name, array in named.items():
        if order is None or array.shape != param.shape or array.dtype != param.dtype:
            what = f"{array.dtype} {array.shape} with strides {array.strides}"
            wanted = "memory without gaps" if name == "params" else f"{param.dtype} {param.shape}"
            raise ValueError(f"{name}: number {number}: given {what}, expected {wanted}")
        if order_without_gaps(array.shape, array.strides, array.itemsize) != order:
            if name != "grads":
                raise ValueError(
                    f"{name}: number {number}: given strides {array.strides}, expected the order in memory of the "
                    f"parameter, whose strides are {param.strides}"
                )
            grad, array = array, cupy.empty_like(param)
            array[...] = grad
            copies.append(array)
        addresses.append(address(array))
    return addresses


def _step(
    name: str, lists: Mapping[str, Sequence[Array]], constants: Sequence[float], halted: Array | None
) -> None:
    """Launch sgd.cu or adam.cu on the parameters and what belongs to each, in groups of one dtype."""
    copies: list[Array] = []
    groups: dict[np.dtype, list[list[int]]] = {}
    for number, arrays in enumerate(zip(*lists.values(), strict=True)):
        addresses = _addresses(number, dict(zip(lists, arrays, strict=True)), copies)
        addresses += [0] * (ARRAYS[name] - len(addresses))
        groups.setdefault(arrays[0].dtype, []).append([*addresses, arrays[0].size])
    stop = NULL if halted is None else halted
    for dtype, rows in groups.items():
        values = [np.int32(value) if isinstance(value, bool) else dtype.type(value) for value in constants]
        for start in range(0, len(rows), MOST[name]):
            chosen = rows[start : start + MOST[name]]
            parameters = np.zeros(1, [("at", np.uint64, (MOST[name], ARRAYS[name] + 1))])
            parameters["at"][0, : len(chosen)] = chosen
            blocks = -(-max(row[-1] for row in chosen) // CHUNK)
            launch(name, name, dtype, (blocks, len(chosen)), (THREADS,), parameters, *values, stop)


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], velocities: Sequence[Array], lr: float, momentum: float,
    weight_decay: float, nesterov: bool, halted: Array | None,
) -> None:
    """v = momentum * v + g;  p -= lr * v, where g includes weight_decay * p. Nesterov: p -= lr * (g + momentum * v).

    Without momentum `velocities` is empty. Where `halted`, int64 (1,), is not 0, nothing changes. ValueError if a
    parameter has gaps in memory, or what belongs to it does not fit it.
    """
    lists = {"params": params, "grads": grads}
    if momentum:
        lists["velocities"] = velocities
    _step("sgd", lists, (lr, momentum, weight_decay, bool(nesterov)), halted)


def adam_step(
    params: Sequence[Array], grads: Sequence[Array], means: Sequence[Array], squares: Sequence[Array], step: int,
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, decoupled: bool, halted: Array | None,
) -> None:
    """m = b1 m + (1-b1) g;  s = b2 s + (1-b2) g^2;  p -= lr * m' / (sqrt(s') + eps), primes for bias correction.

    `decoupled` decay shrinks p itself instead of joining the gradient. `step` counts from 1. `halted` and ValueError
    as in `sgd_step`.
    """
    mean_correction, square_correction = (1 - beta**step for beta in betas)
    shrink, decay = (lr * weight_decay, 0.0) if decoupled else (0.0, weight_decay)
    constants = (
        lr / mean_correction, 1 - shrink, betas[0], 1 - betas[0], betas[1], 1 - betas[1], math.sqrt(square_correction),
        eps, decay,
    )
    _step("adam", {"params": params, "grads": grads, "means": means, "squares": squares}, constants, halted)
