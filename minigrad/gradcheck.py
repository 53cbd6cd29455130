"""Is a gradient right? Ask the function itself: nudge its inputs and see how its outputs move.

For a function y = f(x) with Jacobian J, backward computes J.T @ u for an upstream vector u. Central differences give
J @ v for a direction v: (f(x + eps v) - f(x - eps v)) / (2 eps), wrong only by O(eps^2). The two must agree: u . (J v)
= (J.T u) . v. For small functions this is asked for every input and output element, that is for the full Jacobian; for
large ones for random u and v. Both vectors must be random: a wrong softmax backward agrees for u = (1, ..., 1).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kernels.layout import Array
from minigrad.function import no_grad
from minigrad.tensor import Tensor

SMALL = 4096
"""Up to so many input elements times output elements the full Jacobian is compared."""
DIRECTIONS = 8
"""So many random directions for larger functions."""


class GradientError(AssertionError):
    """A gradient disagrees with finite differences; the message shows where."""


class _Probe(NamedTuple):
    """One question: which input moves, in which direction, and what upstream vector weighs the outputs."""

    position: int
    direction: Array
    upstream: Array
    label: str


def gradcheck(
    fn: Callable[..., Tensor], inputs: Sequence[Tensor], eps: float = 1e-6, atol: float = 1e-7, rtol: float = 1e-6,
    seed: int = 0,
) -> bool:
    """True if the gradients of `fn(*inputs)` agree with central differences; GradientError otherwise.

    inputs: those that require a gradient are checked, and should be float64 (a warning says so). fn must give the same
    output each time. eps: the nudge. Two derivatives a and b agree if |a - b| <= atol + rtol * max(|a|, |b|) or, since
    rounding in f limits what differences can tell, rtol of the probe's largest term.

    The message of a failure gives the input, the direction and both derivatives, and names a kink (ReLU at 0, a tie in
    max-pool), where the slopes to the left and to the right differ and no derivative exists.
    """
    if any(i.requires_grad and i.dtype != np.float64 for i in inputs):
        warnings.warn("gradcheck: inputs should be float64; rounding in float32 hides right gradients", stacklevel=2)
    if not any(i.requires_grad for i in inputs):
        raise ValueError("inputs: given none that requires a gradient, expected at least one")
    random = np.random.default_rng(seed)
    shape = _value(fn, inputs).shape
    for probe in _probes(inputs, shape, random):
        given = _backward(fn, inputs, probe)
        middle = _value(fn, inputs)
        ahead, behind = (_value(fn, _moved(inputs, probe, step)) for step in (eps, -eps))
        terms = probe.upstream * ((ahead - behind) / (2 * eps))
        measured = float(np.sum(terms))
        scale = max(abs(given), abs(measured), np.abs(terms).max(initial=0.0))
        if abs(given - measured) <= atol + rtol * scale:
            continue
        right = float(np.sum(probe.upstream * ((ahead - middle) / eps)))
        left = float(np.sum(probe.upstream * ((middle - behind) / eps)))
        raise GradientError(_message(fn, inputs, probe, given, measured, left, right))
    return True


def _probes(inputs: Sequence[Tensor], shape: tuple[int, ...], random: np.random.Generator) -> Iterator[_Probe]:
    outputs = int(np.prod(shape))
    for position, tensor in enumerate(inputs):
        if not tensor.requires_grad:
            continue
        if tensor.data.size * outputs <= SMALL:
            for output in range(outputs):
                upstream = _one_hot(shape, output, random.uniform(0.5, 1.5))
                for element in range(tensor.data.size):
                    direction = _one_hot(tensor.shape, element, 1.0)
                    yield _Probe(position, direction, upstream, f"element {np.unravel_index(element, tensor.shape)}")
        else:
            for number in range(DIRECTIONS):
                direction = random.standard_normal(tensor.shape)
                direction /= np.linalg.norm(direction)
                yield _Probe(position, direction, random.standard_normal(shape), f"random direction {number}")


def _one_hot(shape: tuple[int, ...], element: int, value: float) -> Array:
    array = np.zeros(shape)
    array.reshape(-1)[element] = value  # a view: np.zeros is contiguous
    return array


def _value(fn: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Array:
    with no_grad():
        return fn(*inputs).numpy()


def _moved(inputs: Sequence[Tensor], probe: _Probe, step: float) -> list[Tensor]:
    moved = list(inputs)
    tensor = inputs[probe.position]
    moved[probe.position] = Tensor(tensor.data + (step * probe.direction).astype(tensor.dtype))
    return moved


def _backward(fn: Callable[..., Tensor], inputs: Sequence[Tensor], probe: _Probe) -> float:
    """u . (J v) as backward has it: (J.T u) . v."""
    copies = [Tensor(i.data, requires_grad=i.requires_grad) for i in inputs]
    output = fn(*copies)
    if not output.requires_grad:
        return 0.0
    output.backward(probe.upstream.astype(output.dtype))
    gradient: Any = copies[probe.position].grad
    return 0.0 if gradient is None else float(np.sum(gradient * probe.direction))


def _message(
    fn: Callable[..., Tensor], inputs: Sequence[Tensor], probe: _Probe, given: float, measured: float, left: float,
    right: float,
) -> str:
    lines = [
        f"gradcheck: {getattr(fn, '__name__', fn)}: input {probe.position}, {probe.label}",
        f"  backward gives      {given:.10g}",
        f"  differences give    {measured:.10g}",
        f"  slopes left, right  {left:.10g}, {right:.10g}",
        f"  input      {np.array2string(inputs[probe.position].data, threshold=60, precision=6)}",
        f"  direction  {np.array2string(probe.direction, threshold=60, precision=6)}",
        f"  upstream   {np.array2string(probe.upstream, threshold=60, precision=6)}",
    ]
    if abs(left - right) > 1e-3 * max(abs(left), abs(right)):
        lines.insert(1, "  this looks like a kink: the slopes left and right differ, so no derivative exists")
    return "\n".join(lines)
