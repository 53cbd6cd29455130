"""What a page about a step holds, as plain data for JSON."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from kernels.layout import Array
from minigrad import device
from minigrad.counting import multiply_adds
from minigrad.explorer.arrays import Pool, figures, norm, shown
from minigrad.explorer.closer import closer_look
from minigrad.explorer.formulas import formula_of
from minigrad.explorer.proof import prove
from minigrad.explorer.record import Operation, Record
from minigrad.explorer.sources import Source, sources_of
from minigrad.ops import CrossEntropy

SMALL = 4096
"""Parameters with so many numbers or fewer are drawn; of larger ones there are figures only."""


def contents(record: Record, others: Mapping[str, Record], image: int, channel: int | None) -> dict[str, Any]:
    """All of a page but its title. others: steps of the same network, of which the gradients' norms are set beside."""
    pool, texts = Pool(), Texts()
    return {
        "loss": record.loss,
        "image": image,
        "operations": [
            _operation(operation, image, channel, pool, texts) for operation in record.operations
        ],
        "backward": record.backward,
        "leaves": _leaves(record, image, pool),
        "others": [
            {"name": name, "loss": other.loss, "norms": norms_like(record, other)}
            for name, other in others.items()
        ],
        "arrays": pool.entries,
        "texts": texts.entries,
    }  # fmt: skip


class Texts:
    """Source texts that a page carries, each once; the places in the list are what refers to them."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._places: dict[Source, int] = {}

    def place(self, source: Source) -> int:
        if source not in self._places:
            self._places[source] = len(self.entries)
            self.entries.append(source._asdict())
        return self._places[source]


def norms_like(record: Record, other: Record) -> list[float | None]:
    """For each operation of `record` the norm of its output's gradient in `other`: that of the operation there with the
    same name, in the same module, at the same turn; None where it has none."""
    of_other = dict(zip(_keys(other), other.operations, strict=True))
    gradients = [of_other[key].output_grad if key in of_other else None for key in _keys(record)]
    return [None if gradient is None else norm(gradient) for gradient in gradients]


def _keys(record: Record) -> list[tuple[str, str, int]]:
    turns: Counter[tuple[str, str]] = Counter()
    keys = []
    for operation in record.operations:
        what = operation.function.name, operation.function.path
        keys.append((*what, turns[what]))
        turns[what] += 1
    return keys


def _operation(operation: Operation, image: int, channel: int | None, pool: Pool, texts: Texts) -> dict[str, Any]:
    function, proof = operation.function, prove(operation)
    forward, backward = formula_of(operation)
    return {
        "name": function.name,
        "path": function.path,
        "doc": (type(function).__doc__ or "").strip().split("\n\n")[0].replace("`", ""),
        "inputs": [_input(operation, place, image, pool) for place in range(len(operation.inputs))],
        "output": _array(operation.output, image, pool),
        "gradient": _array(operation.output_grad, image, pool),
        "saved": [_saved(saved.name, saved.array) for saved in operation.saved],
        "multiply_adds": multiply_adds(function, operation.inputs, operation.output),
        "milliseconds": [round(1e3 * seconds, 3) for seconds in operation.seconds],
        "formula": [forward, backward],
        "sources": [texts.place(source) for source in sources_of(type(function), operation.called)],
        "proof": proof._asdict() if proof else None,
        "closer": closer_look(operation, image, channel, pool),
    }


def _input(operation: Operation, place: int, image: int, pool: Pool) -> dict[str, Any]:
    """One input: the operation that made it, or what it is; and the gradient that goes back to it."""
    value, source = operation.inputs[place], operation.sources[place]
    if value is None and operation.arguments[place] == "target" and isinstance(operation.function, CrossEntropy):
        value = operation.function.indices
    gradient = operation.input_grads[place] if operation.input_grads else None
    is_array = hasattr(value, "dtype")
    learned = operation.leaves[place] is not None
    result: dict[str, Any] = {
        "argument": operation.arguments[place], "source": source, "leaf": operation.leaves[place],
        "gradient": _array(gradient, image, pool, learned),
    }  # fmt: skip
    if source is None:
        result["value"] = _array(value, image, pool, learned) if is_array else _plain(value)
    return result


def _plain(number: float | None) -> float | str | None:
    """A Python number as JSON can have it: True and infinity go as text."""
    if number is None or (type(number) is not bool and math.isfinite(number)):
        return number
    return str(number)


def _leaves(record: Record, image: int, pool: Pool) -> list[dict[str, Any] | None]:
    """Figures of the sum that each leaf receives, where that is one of several gradients; else None."""
    parts: list[list[Array]] = [[] for _ in range(record.leaves)]
    for operation in record.operations:
        for leaf, gradient in zip(operation.leaves, operation.input_grads, strict=False):
            if leaf is not None and gradient is not None:
                parts[leaf].append(device.host(gradient))
    return [_array(sum(grads[1:], grads[0]), image, pool, learned=True) if len(grads) > 1 else None for grads in parts]


def _array(array: Array | None, image: int, pool: Pool, learned: bool = False) -> dict[str, Any] | None:
    """Figures of an array, and the place of its maps: of one image, or of a parameter, if it is small."""
    if array is None:
        return None
    result = figures(array)
    if array.size == 0:
        return result
    if not learned:
        result["maps"] = pool.maps(shown(array, image))
    elif array.size <= SMALL:
        side = array.shape[-2:] if array.ndim > 1 else (1, *array.shape[-1:])
        result["maps"] = pool.maps(device.host(array).reshape(-1, *side))  # (O, I, kh, kw) -> (O*I, kh, kw)
    return result


def _saved(name: str, array: Array | None) -> dict[str, Any]:
    if array is None:
        return {"name": name, "bytes": 0}
    return {"name": name, "shape": list(array.shape), "dtype": str(array.dtype), "bytes": array.nbytes}
