"""Checks that several operations share. Each error names the argument, what was given and what was expected."""

import operator
from typing import Any

from kernels.geometry import Padding, Pair


def pair(name: str, value: Any, minimum: int) -> Pair:
    """An int, or a pair of ints, as a pair (rows, columns), each at least `minimum`. ValueError or TypeError."""
    if type(value) is int and value >= minimum:  # as most are
        return value, value
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    try:
        numbers = tuple(map(operator.index, values))
    except TypeError:
        raise TypeError(f"{name}: given {value!r}, expected an int or a pair of ints") from None
    if len(numbers) != 2 or min(numbers) < minimum:
        raise ValueError(f"{name}: given {value!r}, expected an int or a pair of ints, each at least {minimum}")
    return numbers[0], numbers[1]


def resolve_axis(name: str, dim: Any, ndim: int) -> int:
    """`dim` counted from the front; a single number counts as one axis. IndexError if there is no such axis."""
    try:
        number = operator.index(dim)
    except TypeError:
        raise TypeError(f"{name}: given {dim!r}, expected an int") from None
    axes = max(1, ndim)
    if not -axes <= number < axes:
        raise IndexError(f"{name}: given {number}, expected {-axes} to {axes - 1} for a tensor of {ndim} axes")
    return number % axes


def require_activation(operation: str, activation: str | None) -> None:
    """ValueError unless `activation` is one that kernels fuse."""
    if activation not in (None, "relu"):
        raise ValueError(f"{operation}: activation: given {activation!r}, expected None or 'relu'")


def require_probability(operation: str, p: float) -> None:
    """ValueError unless `p` is a probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"{operation}: p: given {p}, expected a probability from 0 to 1")


def both_sides(padding: Pair) -> Padding:
    """The same padding before and after: (rows, columns) -> ((top, bottom), (left, right))."""
    return (padding[0], padding[0]), (padding[1], padding[1])


def require_axes(name: str, shape: tuple[int, ...], expected: str, fits: bool) -> None:
    """ValueError unless the shape of argument `name` fits what is expected."""
    if not fits:
        raise ValueError(f"{name}: given shape {shape}, expected {expected}")


def require_output(operation: str, size: Pair, span: Pair, output: Pair, padding: Padding) -> None:
    """ValueError if the window does not fit on the padded input."""
    if min(output) < 1:
        room = tuple(length + sum(sides) for length, sides in zip(size, padding, strict=True))
        raise ValueError(
            f"{operation}: kernel_size: its {span[0]}x{span[1]} window (with dilation) is larger than "
            f"the padded input of {room[0]}x{room[1]}"
        )
