"""Memory of the device: arrays made there, and copied there. Parameters have CuPy's names and order; those that nobody
here uses are left out, as in the other files."""

import os
from typing import Any

import numpy as np

from tests.cupy_standin import gpp
from tests.cupy_standin.array import Memory, ndarray, unwrap
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cupy, memory, public

cupy.ndarray = ndarray  # type: ignore[attr-defined]
cupy.__version__ = "stand-in"  # type: ignore[attr-defined]


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
    # Losses are read in a count too. Maps are not, and to make them zero would take most of its time.
    make = np.zeros if counters.dry and size < 1 << 20 else np.empty
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
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    made = empty_like(a, dtype, order, subok, shape)
    made.fill(fill_value)
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


class Pool:
    def free_all_blocks(self, stream: Any = None) -> None: ...

    def free_bytes(self) -> int:
        return 0


_pool = Pool()


@public(cupy)
def get_default_memory_pool() -> Pool:
    return _pool
