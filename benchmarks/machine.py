"""On what the figures were taken: they mean nothing without it."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import kernels
from benchmarks import card
from kernels import threads
from minigrad import device

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def find_torch() -> ModuleType | None:
    """PyTorch, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def no_torch(place: str) -> str | None:
    """Why PyTorch cannot be compared with on this device, as a line to print; None if it can."""
    torch = find_torch()
    if torch is None:
        return "PyTorch is not installed, so nothing is compared with it: pip install -e '.[torch]'"
    if place != device.CPU and not torch.cuda.is_available():
        return f"this PyTorch, {torch.__version__}, finds no card, so nothing is compared with it"
    return None


@contextmanager
def limited(count: int | None) -> Iterator[int]:
    """Kernels and PyTorch use at most so many threads inside the block; None leaves all as it is. Yields how many."""
    torch = find_torch()
    with threads.limit(count), ExitStack() as on_leaving:
        if count is not None and torch is not None:
            on_leaving.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        yield threads.available() if count is None else count


def describe(used: int, place: str) -> dict[str, Any]:
    """The machine, the libraries and the threads that they may use; `used` is how many kernels use. place: a device."""
    torch, on_card = find_torch(), place != device.CPU
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": threads.available(),
        "largest_cache": largest_cache(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": importlib.metadata.version("numba"),
        "torch": torch and str(torch.__version__),
        "backend": kernels.CUDA if on_card else kernels.backend.current(),
        "gpu": card.describe() if on_card else None,
        "threads": {
            "kernels": used,
            "torch": torch and torch.get_num_threads(),
            **{name: os.environ.get(name) for name in THREAD_SETTINGS},
        },
    }


def largest_cache() -> int:
    """Bytes of the largest cache that a core has or shares, as Linux says; 0 where that is not known."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size.removesuffix("K")) << 10 for size in sizes), default=0)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
