"""On what the figures were taken: they mean nothing without it."""

import datetime
import os
import platform
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def find_torch() -> ModuleType | None:
    """PyTorch, or None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return torch


def describe() -> dict[str, Any]:
    """The machine, the libraries and the threads that they may use."""
    torch = find_torch()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch and str(torch.__version__),
        "threads": {
            "torch": torch and torch.get_num_threads(),
            **{name: os.environ.get(name) for name in THREAD_SETTINGS},
        },
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
