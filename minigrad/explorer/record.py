"""What happens in one step: every operation on its way forward and on its way back, with all arrays that went by."""

import ast
import copy
import inspect
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernels import is_on_card
from kernels.layout import Array
from minigrad import device
from minigrad.backward import tape_behind
from minigrad.function import Function
from minigrad.observe import Observer, observe
from minigrad.tensor import Tensor


@dataclass
class Saved:
    """Something that an operation kept for its backward. array: None if it is not one."""

    name: str
    array: Array | None


@dataclass
class Operation:
    """One operation's use.

    inputs: arrays, numbers or None, as forward had them. arguments: what forward calls them.
    sources: for each input the operation that made it, by its number in `Record.operations`, or None.
    leaves: for each input that is a leaf of the tape its number there: the same leaf may be used several times.
    output: None if forward was over before anybody watched.
    output_grad, input_grads: what came to backward and what it returned; None where there was nothing.
    saved: what it kept in between. called: kernels by name, with the backend's function, in the order of their calls.
    seconds: of forward and of backward; 0 for what nobody saw.
    """

    function: Function
    inputs: tuple[Any, ...]
    arguments: list[str]
    sources: list[int | None]
    leaves: list[int | None]
    output: Array | None = None
    output_grad: Array | None = None
    input_grads: tuple[Array | None, ...] = ()
    saved: list[Saved] = field(default_factory=list)
    called: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def again(self) -> Function:
        """The same operation, to be run once more."""
        function = copy.copy(self.function)
        function.saved, function.into, function.team = (), (None,) * len(function.needs), None
        return function

    def again_on_host(self, table: Any) -> Function:
        """The same by other kernels, for NumPy's arrays: what it has besides its inputs is brought there."""
        function = self.again()
        for name, value in vars(function).items():
            is_tuple = isinstance(value, tuple)
            parts = [device.host(part) if is_on_card(part) else part for part in (value if is_tuple else (value,))]
            setattr(function, name, tuple(parts) if is_tuple else parts[0])
        function.kernels = table
        return function


@dataclass
class Record:
    """A step. operations: as they ran forward. backward: their numbers, as they ran backward. leaves: how many there
    are. loss: what came out."""

    operations: list[Operation]
    backward: list[int]
    leaves: int
    loss: float


class Noted:
    """A backend's kernels for one operation, each use of which is noted in `called`."""

    def __init__(self, table: Any, called: dict[str, Any]) -> None:
        self._table, self._called = table, called

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._table, name)
        if callable(value):
            self._called[name] = value
        return value


class Recorder(Observer):
    """Fills a list of operations while it watches, and notes the order of their backwards."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.backward: list[int] = []
        self.numbers: dict[Function, int] = {}
        self.leaves: dict[Tensor, int] = {}
        self._made_by: dict[int, int] = {}  # id of an array -> operation; all arrays are kept, so no id comes twice
        self._began: dict[Function, float] = {}  # of each, for a forward may use other operations

    def before_forward(self, function: Function, inputs: tuple[Any, ...]) -> None:
        self._add(function, inputs, [self._made_by.get(id(array)) for array in inputs])
        self._began[function] = time.perf_counter()

    def after_forward(self, function: Function, output: Array) -> None:
        operation = self.operations[self.numbers[function]]
        device.synchronize(output)
        operation.seconds[0] = time.perf_counter() - self._began[function]
        operation.output = output
        self._made_by[id(output)] = self.numbers[function]

    def before_backward(self, function: Function, gradient: Array) -> None:
        number = self.numbers[function]
        operation = self.operations[number]
        self.backward.append(number)
        operation.output_grad = gradient.copy()
        operation.saved = saved_by(function)
        device.synchronize(gradient)
        self._began[function] = time.perf_counter()

    def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
        operation = self.operations[self.numbers[function]]
        device.synchronize(*(gradient for gradient in gradients if gradient is not None))
        operation.seconds[1] = time.perf_counter() - self._began[function]
        # Copies: the walk may add to a gradient in place once it has been seen.
        operation.input_grads = tuple(None if gradient is None else gradient.copy() for gradient in gradients)

    def complete(self, tape: list[Function]) -> None:
        """Put those of the tape in front whose forward was over before anybody watched, and take from the tape where
        inputs came from: an operation may return the very array that it was given. Number the leaves."""
        unwatched = [function for function in tape if function not in self.numbers]
        seen, self.operations, self.numbers = self.operations, [], {}
        for function in unwatched:
            inputs = tuple(node.data if isinstance(node, Tensor) else None for node in function.inputs)
            self._add(function, inputs, [None] * len(inputs))
        for operation in seen:
            operation.sources = [None if source is None else source + len(unwatched) for source in operation.sources]
            self.numbers[operation.function] = len(self.operations)
            self.operations.append(operation)
        for function in tape:
            operation = self.operations[self.numbers[function]]
            for place, node in enumerate(function.inputs):
                if isinstance(node, Tensor):
                    operation.sources[place] = None
                    operation.leaves[place] = self.leaves.setdefault(node, len(self.leaves))
                elif node is not None:
                    operation.sources[place] = self.numbers[node]

    def _add(self, function: Function, inputs: tuple[Any, ...], sources: list[int | None]) -> None:
        names = function._input_names()
        operation = Operation(function, inputs, [next(names) for _ in inputs], sources, [None] * len(inputs))
        self.numbers[function] = len(self.operations)
        self.operations.append(operation)
        function.kernels = Noted(function.kernels, operation.called)  # type: ignore[assignment]


def record(loss: Tensor | Callable[[], Tensor]) -> Record:
    """Watch a step from its beginning to its end.

    loss: a function that computes the loss, a tensor of one number, which is then walked back from; or the tensor
    itself: then the forward pass is over, and of it only the graph and what operations have saved is left.
    TypeError if it is neither, ValueError if it has more than one number, RuntimeError if there is no graph behind it.
    """
    recorder = Recorder()
    with observe(recorder):
        if not isinstance(loss, Tensor) and callable(loss):
            loss = loss()
        if not isinstance(loss, Tensor):
            raise TypeError(f"loss: given {type(loss).__name__}, expected a tensor or a function that returns one")
        if loss.data.size != 1:
            raise ValueError(f"loss: given shape {loss.shape}, expected one number; .mean() or .sum() makes it one")
        if loss.grad_fn is None:
            raise RuntimeError(
                "loss: there is no graph behind it: no operation on a tensor that requires a gradient has made it, "
                "or it ran inside no_grad"
            )
        recorder.complete(tape_behind(loss.grad_fn))
        loss.backward()
    return Record(recorder.operations, recorder.backward, len(recorder.leaves), float(device.host(loss.data).item()))


def saved_by(function: Function) -> list[Saved]:
    """What an operation has saved, under the names that its source text has for it."""
    names = _saved_names(type(function))
    if len(names) != len(function.saved):
        names = [f"saved[{place}]" for place in range(len(function.saved))]
    kept: dict[int, Saved] = {}  # by identity: what is saved under two names takes its bytes once
    for name, value in zip(names, function.saved, strict=True):
        several = isinstance(value, list | tuple) and any(hasattr(part, "nbytes") for part in value)
        parts = [(f"{name}[{place}]", part) for place, part in enumerate(value)] if several else [(name, value)]
        for called, part in parts:
            if part is not None:
                is_array = getattr(part, "ndim", 0) > 0  # of a number there is nothing to count
                kept.setdefault(id(part), Saved(called, part if is_array else None))
    return list(kept.values())


def _saved_names(operation: type[Function]) -> list[str]:
    """The arguments of `self.save(...)` in the operation's source text, each cut where a condition begins."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(operation.forward)))
    except (OSError, TypeError, SyntaxError):  # written at a prompt: there is no text
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "self.save"]
    if len(calls) != 1:
        return []
    return [ast.unparse(part.body if isinstance(part, ast.IfExp) else part) for part in calls[0].args]
