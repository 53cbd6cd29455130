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
from kernels import threads

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def find_torch() -> ModuleType | None:
    """PyTorch, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


@contextmanager
def limited(count: int | None) -> Iterator[int]:
    """Kernels and PyTorch use at most so many threads inside the block; None leaves all as it is. Yields how many."""
    torch = find_torch()
    with threads.limit(count), ExitStack() as on_leaving:
        if count is not None and torch is not None:
            on_leaving.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        yield threads.available() if count is None else count


def describe(used: int) -> dict[str, Any]:
    """The machine, the libraries and the threads that they may use; `used` is how many kernels use."""
    torch = find_torch()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": threads.available(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": importlib.metadata.version("numba"),
        "torch": torch and str(torch.__version__),
        "backend": kernels.backend.current(),
        "threads": {
            "kernels": used,
            "torch": torch and torch.get_num_threads(),
            **{name: os.environ.get(name) for name in THREAD_SETTINGS},
        },
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
