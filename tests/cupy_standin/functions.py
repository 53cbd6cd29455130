"""Functions that NumPy has too, under the same names."""

from typing import Any

import numpy as np

from tests.cupy_standin.array import computed, ndarray, unwrap
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cupy, public


@public(cupy)
def where(condition: Any, x: Any, y: Any) -> Any:
    return computed("where", np.where, condition, x, y)


@public(cupy)
def repeat(a: Any, repeats: int, axis: int | None = None) -> Any:
    return computed("repeat", np.repeat, a, repeats, axis)


@public(cupy)
def concatenate(tup: Any, axis: int = 0) -> Any:
    return computed("concatenate", np.concatenate, tup, axis)


@public(cupy)
def stack(tup: Any, axis: int = 0) -> Any:
    return computed("stack", np.stack, tup, axis)


@public(cupy)
def take_along_axis(a: Any, indices: Any, axis: int) -> Any:
    return computed("take_along_axis", np.take_along_axis, a, indices, axis)


@public(cupy)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int) -> None:
    counters.launch("put_along_axis", unwrap(indices))
    np.put_along_axis(unwrap(arr), unwrap(indices), unwrap(values), axis)


@public(cupy)
def expand_dims(a: Any, axis: Any) -> ndarray:
    return ndarray(np.expand_dims(unwrap(a), axis))


@public(cupy)
def moveaxis(a: Any, source: Any, destination: Any) -> ndarray:
    return ndarray(np.moveaxis(unwrap(a), source, destination))


@public(cupy)
def swapaxes(a: Any, axis1: int, axis2: int) -> ndarray:
    return ndarray(np.swapaxes(unwrap(a), axis1, axis2))


@public(cupy)
def broadcast_to(array: Any, shape: Any) -> ndarray:
    return ndarray(np.broadcast_to(unwrap(array), shape))


@public(cupy)
def atleast_1d(*arys: Any) -> ndarray:
    (array,) = arys
    return ndarray(np.atleast_1d(unwrap(array)))


@public(cupy)
def shape(a: Any) -> tuple[int, ...]:
    return np.shape(unwrap(a))


@public(cupy)
def size(a: Any, axis: Any = None) -> int:
    return int(np.size(unwrap(a), axis))


class Ufunc:
    """cupy.ufunc."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self._ufunc, self.__name__ = ufunc, ufunc.__name__

    def __call__(self, *args: Any, out: Any = None) -> Any:
        if out is None:
            return computed(self.__name__, self._ufunc, *args)
        computed(self.__name__, lambda *hosts: self._ufunc(*hosts, out=unwrap(out)), *args)
        return out

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        counters.launch(f"{self.__name__}.at", unwrap(a), unwrap(b))
        self._ufunc.at(unwrap(a), unwrap(indices), unwrap(b))


for _ufunc in (
    np.add, np.subtract, np.multiply, np.true_divide, np.power, np.sqrt, np.matmul, np.exp, np.log, np.negative,
    np.isnan, np.isinf, np.isfinite,
    np.maximum,
):
    setattr(cupy, _ufunc.__name__, Ufunc(_ufunc))
