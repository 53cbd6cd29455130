"""Is this operation's gradient right, here? Finite differences at the very point where a step has used it.

For outputs y = f(x), an upstream gradient u and a direction v, backward has promised that the sum of u * y changes by
<x_grad, v> for each unit of v. In float64, (f(x + eps v) - f(x - eps v)) / (2 eps) tells whether that is so.
"""

from typing import Any, NamedTuple

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device
from minigrad.explorer.record import Operation
from minigrad.function import as_array

DIRECTIONS = 3
EPS = 1e-6
"""How far along a direction, as a share of the input's own norm."""
NEARER = (8, 64)
"""So many times nearer a suspected kink is looked at once more."""
ROUNDING = {"float32": 1e-4, "float64": 1e-7}
"""Gradients of these dtypes that are right differ by less."""
KINKED = 1e-3
"""An output's slopes to the left and to the right differ by more than this share only at a kink."""


class Proof(NamedTuple):
    """difference: the largest relative one over all directions. agrees: whether rounding explains it. kinks: how many
    outputs, of `outputs`, sat on a kink in at least one direction, such as max-pool's ties: there is no derivative
    there, and they are left out of both."""

    difference: float
    agrees: bool
    directions: int
    kinks: int
    outputs: int


def prove(operation: Operation, seed: int = 0) -> Proof | None:
    """Compare what backward has returned with differences of the reference's forward in float64.

    Each direction is the gradient's own plus a random one of the same length, so that the two sums are never small by
    chance. None where there is nothing to compare: no gradient, numbers that are not finite, or an output that does not
    come in float64.
    """
    given = {place: device.host(grad) for place, grad in enumerate(operation.input_grads) if grad is not None}
    if operation.output_grad is None or operation.output is None or not given:
        return None
    point = [_in_float64(array) for array in operation.inputs]
    upstream = device.host(operation.output_grad).astype(np.float64)
    middle = _forward(operation, point)
    involved = [middle, upstream, *given.values()]
    if middle.dtype != np.float64 or not all(np.isfinite(array).all() for array in involved):
        return None
    random = np.random.default_rng(seed)
    kinked_ever = np.zeros(middle.shape, bool)
    difference = 0.0
    for _ in range(DIRECTIONS):
        direction = {place: _direction(point[place], grad, random) for place, grad in given.items()}
        slope, bend = _slope_and_bend(operation, point, direction, middle, EPS)
        kinked = bend > KINKED * np.maximum(np.abs(slope), KINKED * np.abs(slope).max(initial=0.0))
        if kinked.any():  # a curve bends 8 times less when one is 8 times nearer, and so on, and a kink does not
            smooth = kinked.copy()
            for nearer in NEARER:
                _, near_bend = _slope_and_bend(operation, point, direction, middle, EPS / nearer)
                smooth &= np.abs(nearer * near_bend - bend) <= 0.2 * bend
            kinked &= ~smooth
        kinked_ever |= kinked
        measured = float((np.where(kinked, 0.0, upstream) * slope).sum())
        grads = _without(operation, kinked) if kinked.any() else given
        promised = sum(float(np.vdot(grads[place].astype(np.float64), direction[place])) for place in given)
        scale = max(abs(measured), abs(promised))
        difference = max(difference, abs(measured - promised) / scale if scale else 0.0)
    rounding = max(ROUNDING.get(str(grad.dtype), 1e-2) for grad in given.values())
    return Proof(difference, bool(difference <= rounding), DIRECTIONS, int(kinked_ever.sum()), kinked_ever.size)


def _in_float64(value: Any) -> Any:
    is_floats = hasattr(value, "dtype") and value.dtype.kind == "f"
    return device.host(value).astype(np.float64) if is_floats else value


def _forward(operation: Operation, inputs: list[Any]) -> Array:
    with np.errstate(all="ignore"):
        return device.host(as_array(operation.again_on_host(kernels.load("reference")).forward(*inputs)))


def _slope_and_bend(
    operation: Operation, point: list[Any], direction: dict[int, Array], middle: Array, eps: float
) -> tuple[Array, Array]:
    """Of each output along the direction: the slope, and how much it differs between the one side and the other."""
    ahead, behind = (_forward(operation, _moved(point, direction, step)) for step in (eps, -eps))
    return (ahead - behind) / (2 * eps), np.abs(ahead + behind - 2 * middle) / eps


def _without(operation: Operation, kinked: Array) -> dict[int, Array]:
    """The gradients that the step's own backward returns, by input, if nothing comes from the kinked outputs."""
    assert operation.output_grad is not None
    again = operation.again()
    grad = operation.output_grad.copy()
    with np.errstate(all="ignore"), device.holding(grad):
        again.forward(*operation.inputs)
        grad[device.beside(grad, kinked)] = 0
        return {place: device.host(part) for place, part in enumerate(again.backward(grad)) if part is not None}


def _direction(point: Array, gradient: Array, random: np.random.Generator) -> Array:
    """The gradient's direction plus a random one, as long as the point itself (or 1, if that is nothing)."""
    own = gradient.astype(np.float64)
    away = random.standard_normal(point.shape)
    parts = [vector / length for vector in (own, away) if (length := float(np.linalg.norm(vector))) > 0]
    result: Array = sum(parts, np.zeros(point.shape)) * (float(np.linalg.norm(point)) or 1.0)
    return result


def _moved(point: list[Any], direction: dict[int, Array], step: float) -> list[Any]:
    return [value + step * direction[place] if place in direction else value for place, value in enumerate(point)]
