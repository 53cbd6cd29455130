"""A card as a thing to measure: what it is, what it can do at most, and how to wait for it.

All of it is about the current card, which `minigrad.device.choose` has made current after finding CuPy and a driver.
"""

import importlib
from typing import Any

import numpy as np

from benchmarks.limits import Limits, fastest
from benchmarks.work import FLOP

FLUSH_BYTES = 256 << 20
MATRIX_SIZES = (4096, 8192)
COPY_BYTES = 1 << 30
"""Of the array that is copied: it takes long beside the microseconds in which the copy is started."""


def _cupy() -> Any:
    return importlib.import_module("cupy")  # not above, for few machines have it


def wait() -> None:
    """Until the card has done all that it was told, by CuPy, by PyTorch or by Numba."""
    _cupy().cuda.Device().synchronize()


class Flush:
    """Calling it pushes everything out of the card's caches, the largest of which hold 100 MB."""

    def __init__(self) -> None:
        self._ballast = _cupy().zeros(FLUSH_BYTES, np.uint8)

    def __call__(self) -> None:
        self._ballast += 1
        wait()


def describe() -> dict[str, Any]:
    """The card, its driver and the libraries."""
    cupy = _cupy()
    runtime, number = cupy.cuda.runtime, cupy.cuda.Device().id
    properties = runtime.getDeviceProperties(number)
    return {
        "device": f"gpu:{number}",
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory": properties["totalGlobalMem"],
        "cuda_of_the_driver": _version(runtime.driverGetVersion()),
        "cuda_of_the_runtime": _version(runtime.runtimeGetVersion()),
        "cupy": cupy.__version__,
    }


def _version(number: int) -> str:
    """Such as 13.2 for 13020."""
    return f"{number // 1000}.{number % 1000 // 10}"


def limits() -> Limits:
    """The roofline's two lines: the card's largest matrix product in float32, and its copy."""
    cupy = _cupy()
    measured = Limits(max(map(_rate_of_product, MATRIX_SIZES)), _bandwidth(), "cuBLAS", "this card")
    cupy.get_default_memory_pool().free_all_blocks()  # PyTorch has a pool of its own, and needs the memory
    return measured


def _rate_of_product(size: int) -> float:
    cupy, cublas = _cupy(), importlib.import_module("cupy.cublas")
    a, b = (cupy.asarray(matrix) for matrix in np.random.default_rng(0).standard_normal((2, size, size), np.float32))
    out = cupy.empty((size, size), np.float32)
    return FLOP * size**3 / fastest(lambda: cublas.gemm("N", "N", a, b, out, 1.0, 0.0), wait)


def _bandwidth() -> float:
    cupy = _cupy()
    source, target = (cupy.zeros(COPY_BYTES, np.uint8) for _ in range(2))

    def copy() -> None:
        target[...] = source

    return 2 * COPY_BYTES / fastest(copy, wait)
