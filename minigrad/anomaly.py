"""Which operation first made a NaN or an infinity?

    with minigrad.detect_anomaly():
        loss = F.cross_entropy(net(images), labels)
        loss.backward()                              # AnomalyError names the operation, its module and the line
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

import kernels
from kernels.layout import Array
from minigrad import device
from minigrad.function import Function
from minigrad.observe import Observer, observe

OURS = (Path(__file__).parent, Path(kernels.__file__).parent)
"""Where code is that nobody looks for mistakes of their own in."""


class AnomalyError(FloatingPointError):
    """A number that is not finite; the message says where it came from."""


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside the block, the first operation that makes a NaN or an infinity, forward or backward, raises AnomalyError.

    So does one that is given such a number: then no operation made it. Every array is looked at, which takes time and,
    on a card, waits for it. What of a backward pass is done by then stays done: `grad` of some leaves, and the graph
    cannot be walked again.
    """
    with observe(_Detector()):
        yield


class _Detector(Observer):
    def __init__(self) -> None:
        self._lines: WeakKeyDictionary[Function, str] = WeakKeyDictionary()

    def before_forward(self, function: Function, inputs: tuple[Any, ...]) -> None:
        self._lines[function] = _line()
        for name, array in (*zip(function._input_names(), inputs, strict=False), *_arrays_of(function)):
            if found := _not_finite(array):
                where = f"no operation in the block has made; called at {self._lines[function]}"
                raise AnomalyError(f"{function}: forward was given {found} in {name!r}, which {where}")

    def after_forward(self, function: Function, output: Array) -> None:
        if found := _not_finite(output):
            raise AnomalyError(f"{function}: forward made {found} out of finite numbers; called at {_line()}")

    def before_backward(self, function: Function, gradient: Array) -> None:
        if found := _not_finite(gradient):
            cause = "gradients added up to that, a hook returned it, or the walk began so"
            raise AnomalyError(f"{function}: backward was given {found}: {cause}")

    def after_backward(self, function: Function, gradients: tuple[Array | None, ...]) -> None:
        for name, gradient in zip(function._input_names(), gradients, strict=False):
            if found := _not_finite(gradient):
                where = f"; its forward was called at {self._lines[function]}" if function in self._lines else ""
                raise AnomalyError(f"{function}: backward made {found} in the gradient of {name!r}{where}")


def _arrays_of(function: Function) -> Iterator[tuple[str, Any]]:
    """What an operation has besides its inputs before it runs, such as the running statistics of a batch norm."""
    for name, value in vars(function).items():
        yield from ((name, part) for part in (value if isinstance(value, tuple) else (value,)))


def _not_finite(array: Any) -> str:
    """What there is in an array besides finite numbers, in words; "" if nothing."""
    if isinstance(array, float):
        array = np.float64(array)
    if not hasattr(array, "dtype") or array.dtype.kind != "f":
        return ""
    with device.holding(array):
        if np.isfinite(array).all():
            return ""
        nans, infinities = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    counts = [f"{count:,} {name}" for count, name in ((nans, "NaN"), (infinities, "infinite")) if count]
    return f"{' and '.join(counts)} of {array.size:,} numbers"


def _line() -> str:
    """Where the user's code is now: file and line."""
    for frame in reversed(traceback.extract_stack()):
        if not any(Path(frame.filename).is_relative_to(folder) for folder in OURS):
            return f"{frame.filename}:{frame.lineno}"
    return "an unknown place"
