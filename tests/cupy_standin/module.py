"""The stand-in's modules: cupy, and the parts of cupy.cuda and cupy.cublas that this project uses.

Parameters have CuPy's names and order; those that nobody here uses are left out.
"""

import os
from types import ModuleType
from typing import Any

import numpy as np

from tests.cupy_standin import gpp
from tests.cupy_standin.array import Memory, computed, ndarray, refuse, unwrap
from tests.cupy_standin.counters import counters

cupy, cuda, cublas, runtime, memory, device, libs_cublas = (
    ModuleType(name)
    for name in (
        "cupy", "cupy.cuda", "cupy.cublas", "cupy.cuda.runtime", "cupy.cuda.memory", "cupy.cuda.device",
        "cupy.cuda.cublas",
    )
)
MODULES = {module.__name__: module for module in (cupy, cuda, cublas, runtime, memory, device, libs_cublas)}


def public(home: ModuleType, name: str | None = None) -> Any:
    """Puts a function or class into one of the modules."""

    def put(thing: Any) -> Any:
        setattr(home, name or thing.__name__, thing)
        return thing

    return put


for _parent, _name, _child in (
    (cupy, "cuda", cuda), (cupy, "cublas", cublas), (cuda, "runtime", runtime), (cuda, "memory", memory),
    (cuda, "device", device), (cuda, "cublas", libs_cublas),
):
    setattr(_parent, _name, _child)
cupy.ndarray = ndarray  # type: ignore[attr-defined]
cupy.__version__ = "stand-in"  # type: ignore[attr-defined]


# --- memory


@public(memory)
class OutOfMemoryError(MemoryError):
    """Its text is CuPy's."""

    __module__ = "cupy.cuda.memory"


def _device_memory(shape: Any, dtype: Any) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if counters.limit is not None and counters.allocated + size > counters.limit:
        raise OutOfMemoryError(
            f"Out of memory allocating {size:,} bytes (allocated so far: {counters.allocated:,} bytes)."
        )
    make = np.zeros if counters.dry else np.empty  # zeros that nobody reads take no memory of the host
    # CuPy's memory begins at multiples of 512 bytes. A sanitizer sees what lies beside an array only if nothing does.
    alignment = 16 if os.environ.get(gpp.SANITIZER) else 512
    space = make(size if alignment == 16 else size + alignment, np.uint8)
    start = -space.ctypes.data % alignment
    aligned = space[start : start + size].view(dtype).reshape(shape) if size else np.empty(shape, dtype)
    owner = aligned.view(Memory)
    counters.allocate(owner)
    return owner


@public(cupy)
def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return ndarray(_device_memory(shape, dtype))


@public(cupy)
def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    host = unwrap(prototype)
    if not host.flags.c_contiguous and shape is None:
        axes = np.argsort([-stride for stride in host.strides], kind="stable")  # the same order in memory
        made = _device_memory([host.shape[axis] for axis in axes], dtype or host.dtype)
        return ndarray(made.transpose(np.argsort(axes)))
    return empty(host.shape if shape is None else shape, dtype or host.dtype)


@public(cupy)
def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    made = empty(shape, dtype)
    made.fill(0)
    return made


@public(cupy)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    made = empty_like(a, dtype, order, subok, shape)
    made.fill(0)
    return made


@public(cupy)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    made = empty_like(a, dtype, order, subok, shape)
    made.fill(1)
    return made


@public(cupy)
def asarray(a: Any, dtype: Any = None, order: Any = None) -> ndarray:
    """The one way from the host to the device."""
    if isinstance(a, ndarray):
        return a
    host = np.asarray(a, dtype)
    made = empty(host.shape, host.dtype)
    made._host[...] = host
    counters.to_device.append(host.nbytes)
    return made


@public(cupy)
def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a)


class Pool:
    def free_all_blocks(self, stream: Any = None) -> None: ...

    def used_bytes(self) -> int:
        return counters.allocated

    def free_bytes(self) -> int:
        return 0


_pool = Pool()


@public(cupy)
def get_default_memory_pool() -> Pool:
    return _pool


# --- functions that NumPy arrays have too


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
    np.add, np.subtract, np.multiply, np.true_divide, np.power, np.matmul, np.exp, np.log, np.isnan, np.negative,
    np.maximum,
):
    setattr(cupy, _ufunc.__name__, Ufunc(_ufunc))


# --- matrix products


@public(cublas)
def gemm(
    transa: str, transb: str, a: ndarray, b: ndarray, out: ndarray | None = None, alpha: float = 1.0, beta: float = 0.0
) -> ndarray:
    """out = alpha * op(a) @ op(b) + beta * out. Operands that are neither C- nor F-contiguous would be copied."""
    assert out is not None
    left, right, result = unwrap(a), unwrap(b), unwrap(out)
    assert left.ndim == right.ndim == result.ndim == 2
    assert left.dtype == right.dtype == result.dtype
    for name, operand in (("a", left), ("b", right)):
        if not (operand.flags.c_contiguous or operand.flags.f_contiguous):
            refuse(f"gemm: {name} of strides {operand.strides}, which would be copied")
    if not result.flags.c_contiguous:
        refuse(f"gemm: out of strides {result.strides}, which would be copied")
    if 0 in (*left.shape, *right.shape):
        refuse("gemm: an empty operand, which cuBLAS takes for an error")
    left, right = (left.T if transa == "T" else left), (right.T if transb == "T" else right)
    counters.launch("gemm", left, right, result, *([result] if beta else []))
    if not counters.dry:
        product = alpha * (left @ right)
        result[...] = product + beta * result if beta else product
    return out


@public(device)
def get_cublas_handle() -> int:
    return 1


libs_cublas.CUBLAS_DEFAULT_MATH = 0  # type: ignore[attr-defined]
math_modes: list[int] = []


@public(libs_cublas)
def setMathMode(handle: int, mode: int) -> None:  # noqa: N802  (CuPy's name)
    math_modes.append(mode)


# --- kernels of our own


@public(cupy)
class RawModule:
    def __init__(self, code: str | None = None, *, options: tuple[str, ...] = ()) -> None:
        assert code is not None
        self._text = code

    def get_function(self, name: str) -> "RawKernel":
        return RawKernel(self._text, name)


class RawKernel:
    """A kernel of a module. CuPy checks none of what this checks."""

    def __init__(self, text: str, name: str) -> None:
        self._text, self._name = text, name
        self._parameters = gpp.signature(text, name)

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        name = self._name
        if len(args) != len(self._parameters):
            raise TypeError(f"{name}: given {len(args)} arguments, expected {len(self._parameters)}")
        values = [
            _bytes(f"{name}: argument {number}", arg, parameter)
            for number, (arg, parameter) in enumerate(zip(args, self._parameters, strict=True))
        ]
        if sum(map(len, values)) > 4096:
            raise TypeError(f"{name}: {sum(map(len, values))} bytes of arguments, expected at most 4096")
        sizes = [*grid, 1, 1][:3], [*block, 1, 1][:3]
        limits = (2**31 - 1, 65535, 65535), (1024, 1024, 64)
        for given, most in zip(sizes, limits, strict=True):
            if any(not isinstance(n, int) or not 0 < n <= limit for n, limit in zip(given, most, strict=True)):
                raise gpp.LaunchError(f"{name}: grid {grid} and block {block}, expected 1 to {limits}")
        if np.prod(sizes[1]) > 1024:
            raise gpp.LaunchError(f"{name}: block {block}, expected at most 1024 threads")
        counters.launch(name, *_read_or_written(args), *_updated(name, args))
        if not counters.dry:
            gpp.run(self._text, name, *sizes, values)


def _bytes(what: str, arg: Any, parameter: str) -> bytes:
    """The argument as CuPy hands it over, if it is what the parameter is."""
    if isinstance(arg, ndarray):
        host = arg._host
        if f"*{host.dtype.kind.replace('b', 'u')}{host.itemsize}" != parameter:
            raise TypeError(f"{what}: given an array of {host.dtype}, expected {parameter}")
        if not host.flags.c_contiguous:
            raise TypeError(f"{what}: given an array of strides {host.strides}, expected a C-contiguous one")
        return np.uint64(host.ctypes.data).tobytes()
    if isinstance(arg, np.ndarray) and arg.size == 1 and arg.dtype.names and parameter == f"S{arg.itemsize}":
        return arg.tobytes()
    if isinstance(arg, np.uint64) and arg == 0 and parameter.startswith("*"):
        return arg.tobytes()
    if isinstance(arg, np.generic) and f"{arg.dtype.kind}{arg.itemsize}" == parameter:
        return arg.tobytes()
    raise TypeError(f"{what}: given {arg!r} ({type(arg).__name__}), expected {parameter}")


def _read_or_written(args: tuple[Any, ...]) -> list[np.ndarray]:
    """The arrays among the arguments, and the memory that structures among them point to."""
    structures = [arg.view(np.uint64) for arg in args if isinstance(arg, np.ndarray) and arg.itemsize % 8 == 0]
    pointers = [word for words in structures for word in words.ravel().tolist()]
    return [unwrap(arg) for arg in args if isinstance(arg, ndarray)] + _owners(pointers)


def _updated(name: str, args: tuple[Any, ...]) -> list[np.ndarray]:
    """What a kernel both reads and writes. The parameters' types do not tell it from what is only written."""
    if name in ("bias", "bias_packs"):
        return [unwrap(args[0])]
    if name in ("col2im", "col2im_packs"):
        return [unwrap(args[1])] if args[-1] else []
    if name in ("sgd", "adam"):  # a parameter, its gradient, its state, their length
        fields = args[0]["at"][0]
        return _owners(np.delete(fields, [1, fields.shape[1] - 1], axis=1).ravel().tolist())
    return []


def _owners(addresses: list[int]) -> list[np.ndarray]:
    """The memory that begins at these. Of views that lie in one piece of memory the first stands for all."""
    return [owner for address in addresses if (owner := counters.owner(address)) is not None]


# --- devices and streams


class Stream:
    ptr = 0

    def synchronize(self) -> None:
        counters.synchronisations += 1


_stream = Stream()


@public(cuda)
def get_current_stream(device_id: int = -1) -> Stream:
    return _stream


CARDS = 2
_current = [0]


@public(cuda)
class Device:
    def __init__(self, device: int | None = None) -> None:
        self.id = _current[-1] if device is None else device
        if not 0 <= self.id < CARDS:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def use(self) -> None:
        _current[-1] = self.id

    def synchronize(self) -> None:
        counters.synchronisations += 1

    def __enter__(self) -> "Device":
        _current.append(self.id)
        return self

    def __exit__(self, *args: Any) -> None:
        _current.pop()


@public(runtime)
class CUDARuntimeError(RuntimeError): ...


@public(runtime)
def driverGetVersion() -> int:  # noqa: N802
    return 13000


@public(runtime)
def getDeviceCount() -> int:  # noqa: N802
    return CARDS


@public(runtime)
def memGetInfo() -> tuple[int, int]:  # noqa: N802
    total = counters.limit or 8 << 30
    return total - counters.allocated, total


@public(runtime)
def getDeviceProperties(device: int) -> dict[str, Any]:  # noqa: N802
    return {"name": b"stand-in"}
