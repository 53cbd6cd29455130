"""Which device arrays live on. The only file of minigrad/ that imports CuPy, besides parallel/nccl.py.

A device is "cpu" or an NVIDIA card: "gpu:0", "gpu:1", ... and "gpu" for the one that is current. Arrays on the CPU are
NumPy's, on a card they are CuPy's. Nothing moves between them unless it is told to: `to` and `host` are the only roads.
"""

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from kernels import is_on_card
from kernels.layout import Array, memory_order

CPU = "cpu"
NAMES = re.compile("cpu|gpu(?::([0-9]+))?")
INSTALL = "pip install 'cupy-cuda13x[ctk]' (or 'cupy-cuda12x[ctk]' for a driver of CUDA 12)"
LEAST_CAPABILITY = 75  # CUDA 13 compiles for no older card
PRECISIONS = ("float32", "tf32")
TF32_TENSOR_OP_MATH = 3  # of cuBLAS's enumeration cublasMath_t; CuPy has no name for it


class DeviceError(RuntimeError):
    """The asked-for device cannot be used; the message says what is missing and what to do."""


def _cupy() -> Any:
    return importlib.import_module("cupy")


def missing_for_gpu(number: int | None = None) -> str | None:
    """What stands between this machine and a GPU, the current one or card `number`, with what to do about it; None if
    nothing does.

    CuPy imports without a driver and fails only at the first allocation, so this makes one; and it looks for its
    compiler and for cuBLAS only when they are called, so this adds two matrices and multiplies them.
    """
    try:
        cupy = _cupy()
    except ImportError as error:
        if getattr(error, "name", None) != "cupy":
            return f"CuPy is installed but broken: {error}; install it anew"
        return f"CuPy is not installed: {INSTALL}"
    try:
        if cupy.cuda.runtime.driverGetVersion() == 0:
            return "there is no NVIDIA driver: install the driver of your card (`nvidia-smi` shows whether it works)"
        count = cupy.cuda.runtime.getDeviceCount()
        if number is not None and number >= count:
            return f"there are {count} cards, gpu:0 to gpu:{count - 1}"
        chosen = nullcontext() if number is None else cupy.cuda.Device(number)
        with chosen:
            one = cupy.zeros((1, 1))
            one.get()
            capability = int(cupy.cuda.Device().compute_capability)
    except Exception as error:  # CuPy has many, and `--device auto` must survive them all
        return f"CuPy finds no usable GPU: {error} (`nvidia-smi` lists the cards that the driver sees)"
    if capability < LEAST_CAPABILITY:
        return f"the card has compute capability {capability / 10}, and 7.5 (Turing, 2018) is the least that will do"
    try:
        with chosen:
            gemm = importlib.import_module("cupy.cublas").gemm
            gemm("N", "N", one + one, one, cupy.zeros((1, 1)), 1.0, 0.0)
    except Exception as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        return f"CuPy lacks a part of the CUDA toolkit ({reason}): {INSTALL}"
    return None


def missing_between_cards() -> str | None:
    """What stands between cards that are to train together, with what to do about it; None if nothing does."""
    available = importlib.import_module("cupy.cuda").nccl.available
    return None if available else "CuPy finds no NCCL: pip install nvidia-nccl-cu13 (or nvidia-nccl-cu12)"


def check(name: str) -> int | None:
    """The number in a device's name, such as 1 in "gpu:1". ValueError if it is no device's name."""
    match = NAMES.fullmatch(name)
    if match is None:
        raise ValueError(f"device: given {name!r}, expected cpu, gpu, or a certain card such as gpu:1")
    return None if match[1] is None else int(match[1])


def card(name: str) -> int | None:
    """The number of the card that a device's name means; None for the CPU. ValueError if it is no device's name."""
    if name == CPU:
        return None
    number = check(name)
    return int(_cupy().cuda.Device().id) if number is None else number


def is_name(value: Any) -> bool:
    """Whether a value is meant as a device's name, and not, say, as a dtype's."""
    return isinstance(value, str) and value.partition(":")[0] in (CPU, "gpu")


def choose(name: str) -> tuple[str, str | None]:
    """The device to use for `--device name`, and a remark for the user if "auto" had to settle for the CPU.

    A card becomes the current one. DeviceError if a card is asked for and cannot be had; ValueError if `name` is
    neither "auto" nor a device's.
    """
    number = check(name) if name != "auto" else None
    if name == CPU:
        return CPU, None
    missing = missing_for_gpu(number)
    if name == "auto" and missing:
        return CPU, f"using the CPU: {missing}"
    if missing:
        raise DeviceError(f"--device {name}: {missing}; or use --device cpu")
    chosen = _cupy().cuda.Device(number)
    chosen.use()
    return f"gpu:{chosen.id}", None


def of(array: Any) -> str:
    """Where an array is."""
    return f"gpu:{array.device.id}" if is_on_card(array) else CPU


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """If what is done here with a card fails because the card cannot be had: DeviceError with what is missing."""
    try:
        with memory_errors("take less at a time"):
            yield
    except (DeviceError, ValueError):
        raise
    except Exception as error:
        missing = missing_for_gpu(check(name))
        if missing is None:
            raise
        raise DeviceError(f"{name}: {missing}") from error


def is_at(array: Any, name: str) -> bool:
    """Whether an array is on the device called `name`. DeviceError if that is a card and cannot be had."""
    with _explained(name):
        number = card(name)
    return of(array) == (CPU if number is None else f"gpu:{number}")


def to(array: Array, name: str) -> Array:
    """The array on the device called `name`, with its axes in the same order in memory: itself if it is there.

    DeviceError if that is a card and cannot be had, or has too little memory.
    """
    if is_at(array, name):
        return array
    number, axes = card(name), memory_order(array)
    dense = array.transpose(axes)
    with holding(array):
        dense = dense if dense.flags.c_contiguous else dense.copy(order="C")
        dense = dense.get() if is_on_card(array) else dense
    if number is not None:
        with _explained(name), _cupy().cuda.Device(number):
            dense = _cupy().asarray(dense)
    return dense.transpose([axes.index(axis) for axis in range(len(axes))])


def host(array: Array) -> Array:
    """The array as NumPy's: itself, or a copy from the card, for which this waits until it is computed."""
    return to(array, CPU)


def beside(array: Array, other: Array) -> Array:
    """`other` on the device that `array` is on."""
    return to(other, of(array))


def assign(array: Array, values: Array) -> None:
    """Copy NumPy's `values` into the memory of `array`, wherever that is."""
    with holding(array):
        array[...] = beside(array, np.asarray(values, array.dtype))


def zeros_like(array: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Zeros of the dtype of `array`, on its device; of its shape and order in memory too, unless a shape is given."""
    with holding(array):
        return np.zeros_like(array, shape=shape)


def add_at(array: Array, key: Any, values: Array) -> None:
    """array[key] += values, where a place that the key names several times receives several values.

    On a card they arrive in no fixed order: the one result here that may differ in its last bits from run to run.
    """
    (_cupy() if is_on_card(array) else np).add.at(array, key, values)


_NOTHING = nullcontext()


def holding(*arrays: Any) -> AbstractContextManager[Any]:
    """Inside the block the card that these arrays are on is the current one: work on them is launched there."""
    for array in arrays:
        if is_on_card(array):
            device: AbstractContextManager[Any] = array.device
            return device
    return _NOTHING


def synchronize(*arrays: Any) -> None:
    """Wait until the card that these arrays are on has done all that it was told; for NumPy's there is no need."""
    for array in arrays:
        if is_on_card(array):
            with array.device:
                _cupy().cuda.get_current_stream().synchronize()
            return


def finished(array: Any) -> Callable[[], bool]:
    """Tells, when it is called, whether the card that this array is on has done all that it was told until now."""
    if not is_on_card(array):
        return lambda: True
    with array.device:
        event = _cupy().cuda.get_current_stream().record()
    return lambda: bool(event.done)


def set_precision(precision: str) -> None:
    """How the current card multiplies matrices of float32: "float32", or "tf32", which reads 10 bits of each mantissa
    instead of 23 and is several times as fast on cards since 2020. ValueError for another name."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: given {precision!r}, expected one of {', '.join(PRECISIONS)}")
    cublas = _cupy().cuda.cublas
    mode = TF32_TENSOR_OP_MATH if precision == "tf32" else cublas.CUBLAS_DEFAULT_MATH
    cublas.setMathMode(_cupy().cuda.device.get_cublas_handle(), mode)


@contextmanager
def memory_errors(remedy: str) -> Iterator[None]:
    """Turns an error about full memory into a DeviceError with what was asked and a `remedy`; of a card's, CuPy's, also
    with what is free."""
    try:
        yield
    except MemoryError as error:
        if type(error).__module__.partition(".")[0] != "cupy":
            raise DeviceError(f"memory is full. {error or 'Nothing is known about what was asked'}; {remedy}") from None
        cupy = _cupy()
        free, total = cupy.cuda.runtime.memGetInfo()
        free += cupy.get_default_memory_pool().free_bytes()
        with contextlib.suppress(Exception):
            cupy.get_default_memory_pool().free_all_blocks()
        raise DeviceError(
            f"the GPU's memory is full. {error} {free / 2**20:,.0f} of its {total / 2**20:,.0f} MiB are free; {remedy}"
        ) from None
