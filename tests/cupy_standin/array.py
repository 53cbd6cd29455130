"""The stand-in's ndarray: a NumPy array that can only be reached the way a CuPy array can."""

from typing import Any

import numpy as np

from tests.cupy_standin import devices
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cupy


class Memory(np.ndarray):
    """The NumPy array that owns some device memory; views refer to it, so that it is freed with the last of them."""


class Pointer:
    """cupy.cuda.MemoryPointer: where an array's first element is."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


def refuse(what: str) -> None:
    raise TypeError(f"CuPy does not convert implicitly: {what}")


def unwrap(value: Any) -> Any:
    """NumPy arrays out of device arrays, also inside of tuples and lists; host arrays are refused."""
    if isinstance(value, ndarray):
        if value._card != devices.current():
            raise ValueError(f"an array of card {value._card} is used while card {devices.current()} is current")
        return value._host.view(np.ndarray)  # whose results own their memory, as those of Memory would not
    if isinstance(value, np.ndarray):
        refuse(f"a NumPy array of shape {value.shape} where a device array is expected")
    if isinstance(value, tuple | list):
        return type(value)(unwrap(item) for item in value)
    return value


def wrap(result: Any) -> Any:
    """Device arrays of the results of a NumPy function, counted as memory unless they are views."""
    if isinstance(result, tuple | list):
        return type(result)(wrap(item) for item in result)
    array = result if isinstance(result, np.ndarray) else np.asarray(result)
    if array.base is None:
        counters.allocate(array := array.view(Memory))
    return ndarray(array)


def _arrays(*values: Any) -> list[np.ndarray]:
    """The NumPy arrays among values, flat."""
    found: list[np.ndarray] = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _arrays(*value)
    return found


def computed(name: str, function: Any, *args: Any, **options: Any) -> Any:
    """A launch of CuPy's own: function(*args) on the device."""
    args, options = unwrap(tuple(args)), {key: unwrap(value) for key, value in options.items()}
    with np.errstate(all="ignore"):
        result = function(*args, **options)
    counters.launch(name, *_arrays(args, options, result))
    return wrap(result)


class ndarray:  # noqa: N801  (CuPy's name)
    """cupy.ndarray, as far as this project uses it. Its parameters have CuPy's names and order."""

    __array_priority__ = 100

    def __init__(self, host: np.ndarray, card: int | None = None) -> None:
        self._host, self._card = host, devices.current() if card is None else card

    def _view(self, host: np.ndarray) -> "ndarray":
        return ndarray(host, self._card)

    # --- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def dtype(self) -> np.dtype:
        return self._host.dtype

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return self._host.strides

    @property
    def flags(self) -> Any:
        return self._host.flags

    @property
    def data(self) -> Pointer:
        return Pointer(self._host.ctypes.data)

    @property
    def device(self) -> Any:
        return devices.Device(self._card)

    @property
    def base(self) -> "ndarray | None":
        return None if self._host.base is None else self._view(self._host.base)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._host.__array_interface__, "version": 3}

    # --- views

    @property
    def T(self) -> "ndarray":  # noqa: N802
        return self._view(self._host.T)

    def reshape(self, *shape: Any) -> "ndarray":
        view = self._host.reshape(*shape)
        if view.size and not np.may_share_memory(view, self._host):
            counters.launch("copy", self._host, view)
            return wrap(view.copy())
        return self._view(view)

    def transpose(self, *axes: Any) -> "ndarray":
        return self._view(self._host.transpose(*axes))

    def squeeze(self, axis: Any = None) -> "ndarray":
        return self._view(self._host.squeeze(axis))

    def ravel(self, order: str = "C") -> "ndarray":
        return self.reshape(-1) if order == "C" else refuse("ravel in another order")  # type: ignore[return-value]

    def __getitem__(self, key: Any) -> "ndarray":
        keys = key if isinstance(key, tuple) else (key,)
        if any(isinstance(item, list | np.ndarray) for item in keys):
            refuse("an index of the host")
        picked = self._host[tuple(unwrap(item) for item in keys)]
        if any(isinstance(item, ndarray) for item in keys):
            counters.launch("take", np.asarray(picked), np.asarray(picked))
            return wrap(np.asarray(picked))
        if not isinstance(picked, np.ndarray):  # CuPy has no scalars: an element is a view without axes
            picked = self._host[(*keys, ...)]
        return self._view(picked)

    # --- writing

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            refuse("a NumPy array assigned to a device array")
        keys = key if isinstance(key, tuple) else (key,)
        target = tuple(unwrap(item) for item in keys)
        counters.launch("copy", *_arrays(np.asarray(self._host[target])), *_arrays(unwrap(value)))
        if not counters.dry:
            self._host[target] = unwrap(value)

    def fill(self, value: Any) -> None:
        counters.launch("fill", self._host)
        self._host.fill(unwrap(value))

    # --- new arrays

    def copy(self, order: str = "C") -> "ndarray":
        return computed("copy", np.array, self, order=order)

    def astype(self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True) -> Any:
        if not copy and np.dtype(dtype) == self.dtype:
            return self
        return computed("astype", lambda host: host.astype(dtype, order=order), self)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return computed("sum", np.sum, self, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return computed("max", np.max, self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return computed("min", np.min, self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        return computed("argmax", np.argmax, self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return computed("all", np.all, self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return computed("any", np.any, self, axis=axis, keepdims=keepdims)

    # --- to the host: each waits until the device has computed it

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
        counters.synchronisations += 1
        counters.to_host.append(self.nbytes)
        return np.array(self._host, order=order, subok=False)  # type: ignore[call-overload, no-any-return]

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __len__(self) -> int:
        return len(self._host)

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        refuse("numpy.asarray of a device array; ask with .get()")
        raise AssertionError

    def __repr__(self) -> str:
        return f"<device array {self.dtype} {self.shape}>"

    __hash__ = None  # type: ignore[assignment]

    # --- NumPy's functions, which CuPy answers with its own of the same name

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        own = getattr(cupy, ufunc.__name__, None)
        if own is None:
            refuse(f"numpy.{ufunc.__name__}, which the stand-in does not offer")
        if method == "at":
            return own.at(*inputs, **options)
        if method != "__call__":
            refuse(f"numpy.{ufunc.__name__}.{method}")
        out = options.pop("out", None)
        return own(*inputs, **options, **({} if out is None else {"out": out[0] if isinstance(out, tuple) else out}))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        own = getattr(cupy, function.__name__, None)
        if own is None:
            refuse(f"numpy.{function.__name__}, which the stand-in does not offer")
        return own(*args, **options)


def _operator(ufunc: np.ufunc, reflected: bool = False, in_place: bool = False) -> Any:
    def apply(self: ndarray, other: Any) -> Any:
        if isinstance(other, np.generic):
            refuse(f"NumPy scalar {other!r} in arithmetic: its dtype would promote")
        if in_place:
            computed(ufunc.__name__, lambda a, b: ufunc(a, b, out=a), self, other)
            return self
        operands = (other, self) if reflected else (self, other)
        return computed(ufunc.__name__, ufunc, *operands)

    return apply


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
    "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
}.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))
    setattr(ndarray, f"__r{_name}__", _operator(_ufunc, reflected=True))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", _operator(_ufunc, in_place=True))
for _name, _ufunc in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}.items():
    setattr(ndarray, f"__{_name}__", _operator(_ufunc))


def _unary(name: str, ufunc: np.ufunc) -> None:
    setattr(ndarray, name, lambda self: computed(ufunc.__name__, ufunc, self))


_unary("__neg__", np.negative)
_unary("__invert__", np.invert)
_unary("__abs__", np.absolute)
