"""The walk back through the graph: reverse-mode differentiation.

The program that computed the loss left a tape: its operations in the order in which they ran. Walking the tape from its
end, each operation receives the complete gradient of its output, because everything that used this output ran later and
has been visited before. It hands one gradient to each of its inputs. Where an output was used several times, its
gradients are added up: that is the multivariate chain rule.
"""

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.layout import Array
from minigrad import device
from minigrad.function import Function, as_array, run_backward
from minigrad.observe import observers

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

_adding = threading.Lock()
"""Threads may walk back to the same leaf at the same time."""


def tape_behind(last: Function) -> list[Function]:
    """The recorded operations that `last` depends on, itself included, in the order in which they ran.

    A loop with a list of its own, not a recursion: the graph of a long program is deeper than Python's stack.
    """
    found, waiting = {last}, [last]
    while waiting:
        for function in waiting.pop().inputs:
            if isinstance(function, Function) and function not in found:
                found.add(function)
                waiting.append(function)
    return sorted(found, key=lambda function: function.number)


def teams_of(tape: list[Function]) -> dict[Function, list[Function]]:
    """The operations that run backward together, each with all of its team, the one that ran first at the head.

    The walk meets the head last. Until then nobody needs what the others owe their input, which was there before all of
    them, and nobody waits for what they owe to leaves: so they can wait for the head.
    """
    teams: dict[Any, list[Function]] = defaultdict(list)
    for function in tape:
        shared, *others = function.inputs
        if function.team is not None and shared is not None and not any(isinstance(o, Function) for o in others):
            teams[type(function), function.team, shared, function.kernels].append(function)
    return {function: team for team in teams.values() for function in team}


class GradientSums:
    """Gradients on their way to operations and leaves, added up as they arrive.

    The first to arrive is borrowed, for it may be an alias (`a + b` hands the same array to both); the second makes
    a new sum, which is ours; later ones are added in place. A fresh gradient, which nobody else holds, is ours at once.
    """

    def __init__(self) -> None:
        self._sums: dict[Function | Tensor, Array] = {}
        self._ours: set[Function | Tensor] = set()

    def ours(self, node: "Function | Tensor | None") -> Array | None:
        """The sum so far, if there is one and nobody else holds it: whoever has more to add may do so in place."""
        return self._sums[node] if node is not None and node in self._ours else None

    def add(self, node: "Function | Tensor", gradient: Array, fresh: bool = False) -> None:
        if node not in self._sums:
            self._sums[node] = gradient
            if fresh:
                self._ours.add(node)
        elif node in self._ours:
            if gradient is not self._sums[node]:  # otherwise an operation has added its part to our sum itself
                self._sums[node] += gradient
        else:
            self._sums[node] = as_array(self._sums[node] + gradient)
            self._ours.add(node)

    def pop(self, node: "Function | Tensor") -> tuple[Array, bool]:
        """The sum, after the node's hooks, and whether nobody else holds it."""
        gradient, ours = self._sums.pop(node), node in self._ours
        self._ours.discard(node)
        for hook in tuple(node.hooks):
            replacement = hook(gradient)
            if replacement is not None:
                if not hasattr(replacement, "strides"):
                    raise RuntimeError(f"hook: returned {type(replacement).__name__}, expected an array or None")
                if (replacement.shape, replacement.dtype) != (gradient.shape, gradient.dtype):
                    raise RuntimeError(
                        f"hook: returned {replacement.dtype} {replacement.shape}, "
                        f"expected {gradient.dtype} {gradient.shape}"
                    )
                gradient, ours = as_array(replacement), False
        return gradient, ours and not node.hooks


def backward(output: "Tensor", gradient: Array) -> None:
    """Add to every leaf's `grad` the gradient of sum(output * gradient) with respect to it.

    RuntimeError if part of the graph has been walked before: what it had saved is gone.
    """
    sums = GradientSums()
    sums.add(output.node, gradient)
    if output.grad_fn is None:
        _finish(output, sums)
        return
    tape = tape_behind(output.grad_fn)
    for function in tape:
        if function.freed:
            raise RuntimeError(
                f"backward: {function} has been through backward before, and what it had saved is freed; "
                "run forward again to have a new graph"
            )
    uses = Counter(node for function in tape for node in function.inputs if not isinstance(node, Function))
    watched = any(observer.needs_own_gradients for observer in observers())
    teams = {} if watched else teams_of(tape)
    complete: dict[Function, Array] = {}
    with np.errstate(all="ignore"), device.holding(gradient):
        while tape:
            function = tape.pop()
            complete[function], _ = sums.pop(function)
            team = teams.get(function, [function])
            if function is not team[0]:
                continue
            function.into = tuple(None if watched else sums.ours(node) for node in function.inputs)
            results = run_backward(team, [complete.pop(member) for member in team])
            for member, gradients in zip(team, results, strict=True):
                targets, member.inputs = member.inputs, ()  # with the edges go the operations behind, and their arrays
                for node, part in zip(targets, gradients, strict=True):
                    if node is None:
                        continue
                    if part is not None:
                        sums.add(node, part, member.fresh)
                    if not isinstance(node, Function):
                        uses[node] -= 1
                        if uses[node] == 0:
                            _finish(node, sums)


def _finish(leaf: "Tensor", sums: GradientSums) -> None:
    """A leaf's gradient is complete: add it to what earlier backward passes left in `leaf.grad`."""
    gradient, ours = sums.pop(leaf)
    with _adding:
        if leaf.grad is None:
            leaf.grad = gradient if ours else gradient.copy(order="K")
        else:
            leaf.grad += gradient
    for observer in observers():
        observer.gradient_ready(leaf, leaf.grad)
