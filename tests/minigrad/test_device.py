"""Choosing a device: three things can be missing for the GPU, and each has its message."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minigrad import device
from minigrad.commands import run
from tests.small_net import SmallNet


class CUDARuntimeError(RuntimeError):
    pass


class OnCard(np.ndarray):
    """An array of CuPy's, as far as anybody looks here."""

    def get(self) -> np.ndarray:
        return self


def fake_cupy(driver: int = 13000, cards: int = 1, allocation_fails: bool = False, capability: str = "75") -> Any:
    """What CuPy is on a machine with such a driver and so many cards, but without the toolkit's libraries."""

    def count() -> int:
        if not cards:
            raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return cards

    def zeros(shape: Any) -> Any:
        if allocation_fails:
            raise CUDARuntimeError("cudaErrorDevicesUnavailable")
        return np.zeros(shape).view(OnCard)

    runtime = SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, driverGetVersion=lambda: driver, getDeviceCount=count
    )
    card = SimpleNamespace(compute_capability=capability)
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime, Device=lambda: card), zeros=zeros)


MISSING = [
    (None, "CuPy is not installed: pip install"),
    (fake_cupy(driver=0), "no NVIDIA driver"),
    (fake_cupy(cards=0), "no usable GPU: cudaErrorNoDevice"),
    (fake_cupy(allocation_fails=True), "no usable GPU: cudaErrorDevicesUnavailable"),
    (SimpleNamespace(), "no usable GPU: .*has no attribute 'cuda'"),
    (fake_cupy(capability="70"), r"compute capability 7\.0, and 7\.5 \(Turing, 2018\) is the least"),
    (fake_cupy(), r"lacks a part of the CUDA toolkit \(.*cublas.*\): pip install"),
]


@pytest.mark.parametrize(("cupy", "message"), MISSING)
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cupy: Any, message: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)  # None makes the import fail
    with pytest.raises(device.DeviceError, match=message):
        device.choose("gpu")
    chosen, remark = device.choose("auto")
    assert chosen == "cpu"
    assert re.search(message, str(remark))
    assert run(SmallNet, ["--device", "gpu"]) == 1
    assert capsys.readouterr().err.count("\n") == 1, "one message, one line"


def test_a_broken_cupy_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cupy.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert "installed but broken: No module named 'a_library_that_is_not_there'" in str(device.missing_for_gpu())


def test_the_cpu_needs_no_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert device.choose("cpu") == ("cpu", None)
    with pytest.raises(ValueError, match="device: given 'tpu'"):
        device.choose("tpu")


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="precision: given 'fp8', expected one of float32, tf32"):
        device.set_precision("fp8")
