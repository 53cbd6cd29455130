"""The one place where others watch the tape: profiler, anomaly detection, explorer and data-parallel training.

An observer is told of every operation, forward and backward, and of every finished gradient of a leaf. It looks and
does not touch: what it returns is ignored, and arrays must not be changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, ClassVar

from kernels.layout import Array

if TYPE_CHECKING:
    from minigrad.function import Function
    from minigrad.tensor import Tensor


class Observer:
    """Override what you want to see. `function.name` and `function.path` tell the operation and its module.

    needs_own_gradients: whether `after_backward` shall see each operation's own gradients. If no observer insists on
    that, an operation may add to the sum of what others have sent to its input, and it is this sum that is seen; and
    several operations may run backward together: `before_backward` is called for all of them, and then `after_backward`
    for all, with None for the input they share except in the first, which has what all of them owe it.
    """

    needs_own_gradients: ClassVar[bool] = True

    def before_forward(self, function: "Function", inputs: "tuple[Array | float | None, ...]") -> None:
        """An operation is about to run on these arrays."""

    def after_forward(self, function: "Function", output: Array) -> None:
        """It has run."""

    def before_backward(self, function: "Function", gradient: Array) -> None:
        """The gradient of its output is complete and about to be handed to its backward."""

    def after_backward(self, function: "Function", gradients: "tuple[Array | None, ...]") -> None:
        """Its backward has returned one gradient per input, None where none is needed."""

    def gradient_ready(self, leaf: "Tensor", gradient: Array) -> None:
        """All of this backward pass's contributions to a leaf are in and added to `leaf.grad`."""


_observers: ContextVar[tuple[Observer, ...]] = ContextVar("minigrad_observers", default=())


def observers() -> tuple[Observer, ...]:
    """Who is watching in this thread."""
    return _observers.get()


@contextmanager
def observe(observer: Observer) -> Iterator[Observer]:
    """`with minigrad.observe(observer): ...` tells the observer of all that this thread does inside the block."""
    token = _observers.set((*_observers.get(), observer))
    try:
        yield observer
    finally:
        _observers.reset(token)


_modules: ContextVar[tuple[str, ...]] = ContextVar("minigrad_modules", default=())


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Marks that the forward of the module called `name` is running. The outermost module has no name."""
    token = _modules.set((*_modules.get(), name) if name else _modules.get())
    try:
        yield
    finally:
        _modules.reset(token)


def path() -> str:
    """Where the program is: the running modules' names joined by dots, such as "inception3a.branch2.0"."""
    return ".".join(_modules.get())
