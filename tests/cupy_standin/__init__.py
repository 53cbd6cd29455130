"""A stand-in for CuPy, for machines without a GPU: NumPy underneath, kernels compiled by g++.

    with cupy_standin.installed() as cupy:
        kernels.load("cuda")...

It offers the part of CuPy that this project uses, and refuses what CuPy would refuse or quietly do slowly: to mix
arrays of the host and of the device, to make the one into the other without being asked, Python numbers as arguments of
kernels, and arguments that are not what the kernel's parameters are. It counts what costs time on a card. That real
CuPy has all that it offers, under the same names and with the same parameters, is what `against_cupy.py` checks.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import kernels
from tests.cupy_standin import blas, devices, functions, memory, nccl, raw  # noqa: F401  (they fill the modules)
from tests.cupy_standin.modules import MODULES

_ours: dict[str, ModuleType] = {}


@contextlib.contextmanager
def installed() -> Iterator[ModuleType]:
    """Inside the block `import cupy` gives the stand-in, and kernels/cuda runs on it. Yields the stand-in."""
    before = _taken_out()
    sys.modules.update(MODULES)
    sys.modules.update(_ours)
    if not _ours:  # imported anew, so that it takes the stand-in for CuPy
        importlib.import_module("kernels.cuda.launch")
    kernels.cuda = sys.modules["kernels.cuda"]  # type: ignore[attr-defined]
    try:
        yield MODULES["cupy"]
    finally:
        _ours.update({name: m for name, m in _taken_out().items() if name.startswith("kernels.")})
        sys.modules.update(before)
        if "kernels.cuda" in before:
            kernels.cuda = before["kernels.cuda"]  # type: ignore[attr-defined]


def _taken_out() -> dict[str, ModuleType]:
    """CuPy's modules and those of kernels/cuda, which are gone from sys.modules now, and so is their table."""
    kernels._loaded.pop("cuda", None)
    names = [name for name in sys.modules if name.split(".")[0] == "cupy" or name.startswith("kernels.cuda")]
    return {name: sys.modules.pop(name) for name in names}

