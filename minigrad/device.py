"""Which device arrays live on. The only file of minigrad/ that imports CuPy."""

import importlib
from typing import Any

DEVICES = ("auto", "cpu", "gpu")


class DeviceError(RuntimeError):
    """The asked-for device cannot be used; the message says what is missing and what to do."""


def missing_for_gpu() -> str | None:
    """What stands between this machine and the GPU, with what to do about it; None if nothing does.

    CuPy imports without a driver and fails only at the first allocation, so this makes one.
    """
    try:
        cupy: Any = importlib.import_module("cupy")
    except ImportError as error:
        if getattr(error, "name", None) != "cupy":
            return f"CuPy is installed but broken: {error}; install it anew"
        return "CuPy is not installed: pip install 'cupy-cuda13x' (or 'cupy-cuda12x' for a driver of CUDA 12)"
    try:
        if cupy.cuda.runtime.driverGetVersion() == 0:
            return "there is no NVIDIA driver: install the driver of your card (`nvidia-smi` shows whether it works)"
        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1).sum().item()
    except Exception as error:  # CuPy has many, and `--device auto` must survive them all
        return f"CuPy finds no usable GPU: {error} (`nvidia-smi` lists the cards that the driver sees)"
    return None


def choose(name: str) -> tuple[str, str | None]:
    """The device to use for `--device name`, and a remark for the user if "auto" had to settle for the CPU.

    DeviceError if "gpu" is asked for and cannot be had; ValueError if `name` is none of DEVICES.
    """
    if name not in DEVICES:
        raise ValueError(f"device: given {name!r}, expected one of {', '.join(DEVICES)}")
    if name == "cpu":
        return "cpu", None
    missing = missing_for_gpu() or "this version of minigrad has no CUDA kernels yet"
    if name == "gpu":
        raise DeviceError(f"--device gpu: {missing}; or use --device cpu")
    return "cpu", f"training on the CPU: {missing}"
