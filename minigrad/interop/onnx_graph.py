"""ONNX's view of a network: the nodes of its operations, noted while it runs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kernels.layout import Array
from minigrad.function import Function
from minigrad.nn import Module
from minigrad.observe import Observer
from minigrad.tensor import Tensor

IMAGES, LOGITS = "images", "logits"
Translator = Callable[["Graph", Any, Sequence[Any], Array], str]
"""Says an operation in ONNX: (graph, function, its inputs, its output) -> the name of what is computed."""


class ExportError(ValueError):
    """A network that ONNX cannot express, or no library to write it with; the message says what and where."""


class Node(NamedTuple):
    """One operation of ONNX."""

    kind: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any]


class Graph(Observer):
    """The nodes of what runs while it watches, in that order.

    constants: arrays that nodes take in and none makes, by name: weights under their names in `state_dict`, others
    under the path of the module that uses them. table: who translates which operation.
    """

    def __init__(self, model: Module, images: Array, table: Mapping[str, Translator]) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self._table = table
        self._state = model.state_arrays()
        self._names = {id(array): name for name, array in self._state.items()} | {id(images): IMAGES}
        self._taken = Counter([*self._state, IMAGES, LOGITS])
        self._alive: list[Any] = []  # what has a name by its id, for another array may get the id of a dead one

    def before_forward(self, function: Function, inputs: tuple[Array | float | None, ...]) -> None:
        self._inputs = inputs

    def after_forward(self, function: Function, output: Array) -> None:
        if function.name not in self._table:
            raise ExportError(f"{function!r} has no translation to ONNX; there are: {', '.join(self._table)}")
        self._function, self._dtype = function, output.dtype
        self._names[id(output)] = self._table[function.name](self, function, self._inputs, output)
        self._alive += [*self._inputs, output]

    def add(self, kind: str, inputs: Sequence[Any], **attributes: Any) -> str:
        """A node behind the others; the name of its output.

        inputs: names, or arrays and numbers as the operation was given them; None for one that is left out.
        """
        while inputs[-1] is None:
            inputs = inputs[:-1]
        names = [value if isinstance(value, str) else self._name(value) for value in inputs]
        output = self._unique(self._path(kind))
        self.nodes.append(Node(kind, names, output, attributes))
        return output

    def constant(self, name: str, array: Array) -> str:
        """Keep an array that the current operation uses; its name, which is `name` below the path of its module."""
        name = self._path(name)
        known = self._state.get(name)
        if known is None or not np.array_equal(known, array):
            name = self._unique(name)
        self.constants[name] = array
        return name

    def unsupported(self, what: str) -> ExportError:
        """The error to raise where the current operation has an option that cannot be translated."""
        return ExportError(f"{self._function!r} {what}, which has no translation to ONNX")

    def result(self, logits: Any) -> None:
        """Call what the network has given `logits`. ExportError if it is not one tensor that an operation made."""
        if not isinstance(logits, Tensor):
            raise ExportError(f"the network gives {type(logits).__name__}, expected one tensor")
        last = self._names.get(id(logits.data))
        if last not in {node.output for node in self.nodes}:
            raise ExportError("the network gives a tensor that none of its operations has made")
        self.nodes = [
            node._replace(
                inputs=[LOGITS if name == last else name for name in node.inputs],
                output=LOGITS if node.output == last else node.output,
            )
            for node in self.nodes
        ]

    def _path(self, name: str) -> str:
        return f"{self._function.path}.{name}" if self._function.path else name

    def _unique(self, name: str) -> str:
        self._taken[name] += 1
        return name if self._taken[name] == 1 else f"{name}_{self._taken[name]}"

    def _name(self, value: Array | float) -> str:
        if isinstance(value, int | float):
            return self.constant("constant", np.array(value, self._dtype))  # a number never promotes: nor does it here
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = self.constant("constant", value)
        if name in self._state:
            self.constants[name] = value
        return name
