"""Is a gradient right? Ask the function itself: nudge its inputs and see how its outputs move.

For a function y = f(x) with Jacobian J, backward computes J.T @ u for an upstream vector u. Central differences give
J @ v for a direction v: (f(x + eps v) - f(x - eps v)) / (2 eps), wrong only by O(eps^2). The two must agree: u . (J v)
= (J.T u) . v. For small functions v and u run through every input and every output element, which compares the full
Jacobian; for large ones both are random. A fixed u would not do: a wrong softmax backward agrees for u = (1, ..., 1).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from kernels.layout import Array
from minigrad import device
from minigrad.backward import tape_behind
from minigrad.function import no_grad
from minigrad.tensor import Tensor

SMALL = 256
"""Up to so many input and output elements together the full Jacobian is compared."""
DIRECTIONS = 8
"""So many random directions, and so many random upstream vectors, for larger functions."""


class GradientError(AssertionError):
    """A gradient disagrees with finite differences; the message shows where."""


def gradcheck(
    fn: Callable[..., Tensor], inputs: Sequence[Tensor], eps: float = 1e-6, atol: float = 1e-7, rtol: float = 1e-6,
    seed: int = 0,
) -> bool:
    """True if the gradients of `fn(*inputs)` agree with central differences; GradientError otherwise.

    inputs: those that require a gradient are checked, and should be float64 (a warning says so). fn must give the same
    output each time. eps: the nudge. Two derivatives a and b agree if |a - b| <= atol + rtol * max(|a|, |b|) or, since
    rounding in f limits what differences can tell, rtol of the largest term in the sum u . (J v).

    The message of a failure gives the input, the direction and both derivatives, and names a kink (ReLU at 0, a tie in
    max-pool), where the slopes to the left and to the right differ and no derivative exists. ValueError if no input
    requires a gradient.
    """
    checked = [position for position, tensor in enumerate(inputs) if tensor.requires_grad]
    if not checked:
        raise ValueError("inputs: given none that requires a gradient, expected at least one")
    if any(inputs[position].dtype != np.float64 for position in checked):
        warnings.warn("gradcheck: inputs should be float64; rounding in float32 hides right gradients", stacklevel=2)
    middle = _value(fn, inputs)
    small = middle.size + sum(inputs[position].data.size for position in checked) <= SMALL
    random = np.random.default_rng(seed)
    upstreams = [upstream for _, upstream in _vectors(middle.shape, small, random)]
    gradients = [_backward(fn, inputs, upstream) for upstream in upstreams]  # J.T u, for each u and each input
    for position in checked:
        for label, direction in _vectors(inputs[position].shape, small, random):
            ahead, behind = (_value(fn, _moved(inputs, position, step * direction)) for step in (eps, -eps))
            for upstream, gradient in zip(upstreams, gradients, strict=True):
                given = float(np.vdot(gradient[position], direction))
                terms = upstream * ((ahead - behind) / (2 * eps))
                measured = float(terms.sum())
                scale = max(abs(given), abs(measured), np.abs(terms).max(initial=0.0))
                if abs(given - measured) <= atol + rtol * scale:
                    continue
                slopes = [float(np.vdot(upstream, d / eps)) for d in (middle - behind, ahead - middle)]
                values = {"input": device.host(inputs[position].data), "direction": direction, "upstream": upstream}
                name = f"{getattr(fn, '__name__', fn)}: input {position}, {label}"
                raise GradientError(_message(name, given, measured, slopes, values))
    return True


def _vectors(shape: tuple[int, ...], small: bool, random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    """Vectors of a space, with what to call them: its axes, or where there would be too many, random ones."""
    if not small:
        for number in range(DIRECTIONS):
            vector = random.standard_normal(shape)
            yield f"random direction {number}", vector / max(float(np.linalg.norm(vector)), 1e-300)
        return
    for place in np.ndindex(shape):
        vector = np.zeros(shape)
        vector[place] = 1
        yield f"element {place}", vector


def _value(fn: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Array:
    with no_grad():
        return device.host(fn(*inputs).data)


def _moved(inputs: Sequence[Tensor], position: int, nudge: Array) -> list[Tensor]:
    moved = list(inputs)
    data = inputs[position].data
    with device.holding(data):
        moved[position] = Tensor(data + device.beside(data, nudge.astype(data.dtype)))
    return moved


def _backward(fn: Callable[..., Tensor], inputs: Sequence[Tensor], upstream: Array) -> list[Array]:
    """J.T u for each input, as backward has it. What other leaves have in `grad` stays as it is."""
    copies = [Tensor(i.data, requires_grad=i.requires_grad) for i in inputs]
    output = fn(*copies)
    tape = tape_behind(output.grad_fn) if output.grad_fn else []
    leaves = {node for function in tape for node in function.inputs if isinstance(node, Tensor)}.difference(copies)
    before = {leaf: leaf.grad for leaf in leaves}
    for leaf in leaves:
        leaf.grad = None
    try:
        if output.requires_grad:
            output.backward(device.beside(output.data, upstream.astype(output.dtype)))
    finally:
        for leaf, grad in before.items():
            leaf.grad = grad
    return [np.zeros(copy.shape) if copy.grad is None else device.host(copy.grad) for copy in copies]


def _message(name: str, given: float, measured: float, slopes: Sequence[float], values: dict[str, Array]) -> str:
    left, right = slopes
    lines = [
        f"gradcheck: {name}",
        f"  backward gives      {given:.10g}",
        f"  differences give    {measured:.10g}",
        f"  slopes left, right  {left:.10g}, {right:.10g}",
    ]
    lines += [f"  {label:<9}  {np.array2string(a, threshold=60, precision=6)}" for label, a in values.items()]
    if abs(left - right) > 1e-3 * max(abs(left), abs(right)):
        lines.insert(1, "  this looks like a kink: the slopes left and right differ, so no derivative exists")
    return "\n".join(lines)
