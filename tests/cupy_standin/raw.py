"""Kernels of our own: cupy.RawModule, whose text g++ compiles. It checks the arguments, which CuPy never does."""

from typing import Any

import numpy as np

from tests.cupy_standin import gpp
from tests.cupy_standin.array import ndarray, unwrap
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cupy, public


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
