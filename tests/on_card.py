"""kernels/cuda behind NumPy arrays, so that the same test bodies run on it: on a card if there is one, and on the
stand-in everywhere.

Every call moves its arrays to the device, runs the kernel there, and moves back what came out and what was changed.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import kernels.cuda
from kernels.layout import memory_order
from minigrad.device import missing_for_gpu
from tests import cupy_standin
from tests.cupy_standin import gpp

TEXTS = dict(kernels.cuda.sources())
MISSING = missing_for_gpu()
STANDIN = "cuda-standin"
NEEDS_GPP = pytest.mark.skipif(shutil.which("g++") is None, reason="the stand-in for CuPy needs g++")
PARAMETERS = [
    pytest.param(STANDIN, marks=NEEDS_GPP),
    pytest.param("cuda", marks=pytest.mark.skipif(MISSING is not None, reason=f"no GPU: {MISSING}")),
]
"""For fixtures: kernels/cuda on the stand-in, and on a card."""


class Bridge:
    """The table of kernels/cuda, taking and giving NumPy arrays."""

    name = "cuda"

    def __init__(self, cupy: Any) -> None:
        self._cupy, self._table = cupy, kernels.load(kernels.CUDA)

    def __getattr__(self, kernel: str) -> Any:
        function = getattr(self._table, kernel)

        def run(*args: Any, **options: Any) -> Any:
            moved: list[tuple[np.ndarray, Any]] = []
            result = function(
                *(self._there(arg, moved) for arg in args),
                **{name: self._there(arg, moved) for name, arg in options.items()},
            )
            for host, device in moved:
                now = device.get()
                if not np.array_equal(host, now, equal_nan=host.dtype.kind == "f"):
                    host[...] = now
            return self._back(result, moved)

        return run

    def _there(self, value: Any, moved: list[tuple[np.ndarray, Any]]) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._there(item, moved) for item in value)
        if not isinstance(value, np.ndarray):
            return value
        moved.append((value, self._copied(value)))
        return moved[-1][1]

    def _copied(self, host: np.ndarray) -> Any:
        """The same numbers on the device, in the same order in memory; what is not dense here is not dense there."""
        axes = memory_order(host)
        if host.transpose(axes).flags.c_contiguous:
            return self._cupy.asarray(host.transpose(axes).copy()).transpose(np.argsort(axes).tolist())
        wide = self._cupy.empty((*host.shape[:-1], host.shape[-1] + 1), host.dtype)
        part = wide[..., 1:]
        part[...] = self._cupy.asarray(host.copy())
        return part

    def _back(self, result: Any, moved: list[tuple[np.ndarray, Any]]) -> Any:
        if isinstance(result, tuple | list):
            return type(result)(self._back(item, moved) for item in result)
        for host, device in moved:
            if result is device:
                return host
        if not kernels.is_on_card(result):
            return result
        axes = memory_order(result)  # get() makes C order of any
        return result.get().transpose(axes).copy().transpose(np.argsort(axes))


@contextmanager
def device(name: str) -> Iterator[Any]:
    """Inside the block the device called `name` ("cuda", or STANDIN) is there. Yields its CuPy."""
    if name == STANDIN:
        gpp.prepare(TEXTS.values())
        with cupy_standin.installed() as cupy:
            yield cupy
    else:
        import cupy

        yield cupy


place = "cpu"
"""The device that tests which can choose put their tensors on."""


@contextmanager
def serving(name: str) -> Iterator[None]:
    """Inside the block kernels/cuda serves all arrays, those of NumPy too, and `place` is "gpu"."""
    with device(name) as cupy, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "place", "gpu")
        bridge, usual = Bridge(cupy), kernels.serving

        def choose(*arrays: Any) -> Any:
            return bridge if all(array is None or isinstance(array, np.ndarray) for array in arrays) else usual(*arrays)

        patch.setattr(kernels, "serving", choose)
        yield
