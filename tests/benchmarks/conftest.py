"""What the benchmarks' tests share."""

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import card as card_limits, googlenet_cases, kernel_times, limits, machine, scaling
from benchmarks.__main__ import main
from benchmarks.cases import Case
from tests import cupy_standin


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other by spinning: on a machine that others use, tiny cases take seconds."""
    torch = machine.find_torch()
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def quick_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the figures here, so the machine's limits are measured on little work."""
    monkeypatch.setattr(limits, "PAUSE", 0)
    monkeypatch.setattr(limits, "MATRIX_SIZES", (64,))
    monkeypatch.setattr(limits, "COPY_BYTES", 1 << 20)
    monkeypatch.setattr(machine, "largest_cache", lambda: 0)
    monkeypatch.setattr(scaling, "MATRIX_SIZE", 64)
    monkeypatch.setattr(card_limits, "MATRIX_SIZES", (64,))
    monkeypatch.setattr(card_limits, "COPY_BYTES", 1 << 20)
    monkeypatch.setattr(card_limits, "FLUSH_BYTES", 1 << 20)


PROPERTIES = {
    "name": b"Stand-in 4000", "major": 8, "minor": 9, "multiProcessorCount": 128, "totalGlobalMem": 24 << 30
}  # fmt: skip


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A machine with a card, which is the stand-in, and with a PyTorch that finds none. Yields its CuPy."""
    torch = machine.find_torch()
    if torch is not None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with cupy_standin.installed() as cupy:
        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda number: PROPERTIES)
        monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 13020, raising=False)
        yield cupy


@pytest.fixture(scope="session")
def small_cases() -> dict[Case, int]:
    return googlenet_cases.cases(32)


@pytest.fixture
def run(
    small_cases: dict[Case, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Calls the command with one image and one turn, and gives its exit status and what it printed."""
    monkeypatch.setattr(kernel_times, "cases", lambda image_size: small_cases)

    def run(*options: str) -> tuple[int, str]:
        status = main(["kernels", "--batch-size", "1", "--repeats", "1", *options])
        return status, capsys.readouterr().out

    return run
