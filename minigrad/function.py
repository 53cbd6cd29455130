"""Function: one differentiable operation, forward and backward.

Each use of an operation is one object. Calling it with tensors runs `forward` on their arrays and leaves the object
hanging on the result as `result.grad_fn`: this is how the graph comes into being, while the program runs. `backward`
is the chain rule for that one operation: the gradient of the loss with respect to its output comes in, and one
gradient per input goes out.
"""

import inspect
import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device, tensor  # the tensor module calls operations, and they make tensors: a circle
from minigrad.observe import observers, path

_grad_enabled: ContextVar[bool] = ContextVar("minigrad_grad_enabled", default=True)
_numbers = itertools.count()


@contextmanager
def no_grad() -> Iterator[None]:
    """`with no_grad(): ...`, or `@no_grad()`: no graph is recorded, so nothing is kept for a backward pass."""
    token = _grad_enabled.set(False)
    try:
        yield
    finally:
        _grad_enabled.reset(token)


def is_grad_enabled() -> bool:
    """Whether operations of this thread record the graph."""
    return _grad_enabled.get()


def as_array(value: Any) -> Array:
    """NumPy turns results without axes into scalars; this makes them arrays again."""
    return np.asarray(value) if isinstance(value, np.generic) else value


class Function:
    """Base class. An operation overrides `forward` and `backward`; its options are its constructor's arguments.

    forward(*arrays) returns the output array, and calls `self.save(...)` on what backward will need, nothing else.
    backward(grad) returns one gradient per input of forward, None where `self.needs` says that nobody needs it. It
    may return `grad` itself or a view of it: the engine changes no array that it was handed, unless `fresh` allows it.

    saved: what forward saved. Gone once backward has used it, and then `freed` is true.
    inputs: where the gradients go: for each input the Function that made it, or the leaf tensor, or None.
    needs: for each input, whether its gradient is needed.
    kernels: the backend that serves this operation's arrays, forward and backward.
    path: the module in whose forward it ran.
    floats_only: whether integers are refused.
    fresh: whether what backward returns is always new memory that nobody else holds, so that others may add to it.
    into: for each input None, or the sum of the gradients that it has received from other operations so far. Backward
        may add to such an array and return it; to leave it alone and return its own gradient is right as well.
    team: None, or what kind of work this is: operations of one class and kind on the same input run backward together,
        in `team_backward` and not in `backward`, if their other inputs are leaves.
    number: how many operations were recorded before it.
    """

    kernels: kernels.Kernels
    path: str
    number: int
    floats_only: ClassVar[bool] = False
    fresh: ClassVar[bool] = False

    def __init__(self) -> None:
        self.saved: tuple[Any, ...] = ()
        self.freed = self._used = False
        self.inputs: tuple[Function | tensor.Tensor | None, ...] = ()
        self.needs: tuple[bool, ...] = ()
        self.into: tuple[Array | None, ...] = ()
        self.team: Hashable = None
        self.hooks: list[Callable[[Array], Array | None]] = []

    def forward(self, *arrays: Any) -> Array:
        raise NotImplementedError

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        raise NotImplementedError

    @staticmethod
    def team_backward(team: Sequence[Any], grads: Sequence[Array]) -> list[tuple[Array | None, ...]]:
        """Backward of each member. The first speaks for all of them where they share their input: it returns the sum
        of what they owe it, for which its `into` holds, and the others return None there."""
        raise NotImplementedError

    def save(self, *values: Any) -> None:
        """Keep these for backward, unless there will be none."""
        if any(self.needs):
            self.saved = values

    @property
    def name(self) -> str:
        """The operation's name, such as "Conv2d"."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.name} in {self.path}>" if self.path else f"<{self.name}>"

    def __call__(self, *inputs: "tensor.Tensor | float | None") -> "tensor.Tensor":
        """Run forward on the tensors' arrays and record the operation if a gradient is needed.

        Python numbers go to `forward` as they are: they promote no float array's dtype.
        """
        arrays: tuple[Any, ...] = tuple(i.data if isinstance(i, tensor.Tensor) else i for i in inputs)
        if self._used:
            raise RuntimeError(f"{self.name}: this object has been applied already; make a new one for each use")
        self._used = True
        self.into = (None,) * len(inputs)
        self.path = path()
        with self._named_in_errors("forward", arrays):
            self._check_dtypes(arrays)
            self._check_devices(arrays)
            self.kernels = kernels.serving(*(a for a in arrays if not isinstance(a, int | float)))
            self.needs = tuple(is_grad_enabled() and isinstance(i, tensor.Tensor) and i.requires_grad for i in inputs)
            for observer in observers():
                observer.before_forward(self, arrays)
            with np.errstate(all="ignore"), device.holding(*arrays):  # infinities and NaN are results, as in PyTorch
                output = as_array(self.forward(*arrays))
            if not hasattr(output, "strides"):
                raise TypeError(f"{self.name}.forward returned {type(output).__name__}, expected one array")
            for observer in observers():
                observer.after_forward(self, output)
        result = tensor.Tensor(output)
        if any(self.needs) and output.dtype.kind == "f":
            self.number = next(_numbers)
            self.inputs = tuple(
                i.node if isinstance(i, tensor.Tensor) and need else None
                for i, need in zip(inputs, self.needs, strict=True)
            )
            self._input_types = tuple((getattr(a, "shape", ()), getattr(a, "dtype", None)) for a in arrays)
            result.requires_grad, result.grad_fn = True, self
        return result

    @contextmanager
    def _named_in_errors(self, direction: str, arrays: Sequence[Any]) -> Iterator[None]:
        """Errors inside the block say in their traceback which operation they came from, in which module."""
        try:
            yield
        except Exception as error:
            if hasattr(error, "add_note"):  # Python 3.11
                shapes = ", ".join(f"{a.dtype} {a.shape}" for a in arrays if hasattr(a, "dtype"))
                error.add_note(f"{direction} of {self!r}, given {shapes or 'no arrays'}")
            raise

    def _finished(self, results: Any, needs: tuple[bool, ...]) -> tuple[Array | None, ...]:
        """What backward has returned, checked; what was saved for it is freed."""
        if not isinstance(results, tuple):
            raise RuntimeError(f"{self.name}.backward returned {type(results).__name__}, expected a tuple of gradients")
        if len(results) != len(needs):
            raise RuntimeError(f"{self.name}.backward returned {len(results)} gradients, expected {len(needs)}")
        pairs = zip(results, needs, strict=True)
        gradients: tuple[Any, ...] = tuple(as_array(gradient) if need else None for gradient, need in pairs)
        for position, (gradient, (shape, dtype)) in enumerate(zip(gradients, self._input_types, strict=True)):
            is_array = hasattr(gradient, "dtype")
            if needs[position] and not (is_array and (gradient.shape, gradient.dtype) == (shape, dtype)):
                given = f"{gradient.dtype} {gradient.shape}" if is_array else type(gradient).__name__
                raise RuntimeError(
                    f"{self.name}.backward: gradient {position}: given {given}, expected {dtype} {shape}"
                )
        for observer in observers():
            observer.after_backward(self, gradients)
        self.saved, self.into, self.freed = (), (), True
        return gradients

    def _check_dtypes(self, arrays: tuple[Any, ...]) -> None:
        dtypes = [getattr(a, "dtype", None) for a in arrays]
        known = [d for d in dtypes if d is not None]
        if any(d != known[0] for d in known):
            wanted = "all tensors must have one dtype"
        elif self.floats_only and known[0].kind != "f":
            wanted = "expected float32 or float64"
        else:
            return
        given = ", ".join(f"{n} is {d}" for n, d in zip(self._input_names(), dtypes, strict=False) if d is not None)
        raise TypeError(f"{self.name}: {wanted}, given {given}; convert with Tensor.to(dtype)")

    def _check_devices(self, arrays: tuple[Any, ...]) -> None:
        places = {device.of(a) for a in arrays if hasattr(a, "dtype")}
        if len(places) > 1:
            named = zip(self._input_names(), arrays, strict=False)
            given = ", ".join(f"{name} is on {device.of(a)}" for name, a in named if hasattr(a, "dtype"))
            raise TypeError(
                f"{self.name}: all tensors must be on one device, given {given}; move them with Tensor.to or Module.to"
            )

    def _input_names(self) -> Iterator[str]:
        for name, parameter in inspect.signature(self.forward).parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL:
                yield from (f"{name}[{i}]" for i in itertools.count())
            yield name


def run_backward(team: Sequence[Function], grads: Sequence[Array]) -> list[tuple[Array | None, ...]]:
    """Run backward of one operation, or of several together; each one's gradients by input."""
    for function, grad in zip(team, grads, strict=True):
        for observer in observers():
            observer.before_backward(function, grad)
    with team[0]._named_in_errors("backward", grads):
        results = [team[0].backward(grads[0])] if len(team) == 1 else team[0].team_backward(team, grads)
        return [
            function._finished(result, function.needs if function is team[0] else (False, *function.needs[1:]))
            for function, result in zip(team, results, strict=True)
        ]
