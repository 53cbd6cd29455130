"""The roofline's two lines and thread scaling: what is measured, not how fast this machine is."""

from typing import Any

import numpy as np
import pytest

from benchmarks import limits, machine, scaling, timing
from benchmarks.limits import Limits
from kernels import threads


@pytest.mark.parametrize(
    ("multiply_adds", "moved", "seconds"),
    [(500, 10, 10.0), (5, 40, 2.0), (0, 20, 1.0)],  # limited by products, by memory, and without any products
)
def test_the_roof(multiply_adds: int, moved: int, seconds: float) -> None:
    assert Limits(peak=100.0, bandwidth=20.0, blas="").seconds(multiply_adds, moved) == seconds


def test_measured_limits_follow_from_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "fastest", lambda run: run() is None or 0.5)
    measured = limits.measure(threads=2, place="cpu")
    assert measured.peak == 2 * 64**3 / 0.5
    assert measured.bandwidth == 2 * (1 << 20) / 0.5
    assert str(round(measured.bandwidth / 1e9, 1)) in measured.describe()


def test_where_a_cache_holds_more_more_is_copied_and_flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    monkeypatch.setattr(machine, "largest_cache", lambda: 3 << 20)
    monkeypatch.setattr(timing, "FLUSH_BYTES", 1 << 20)
    monkeypatch.setattr(limits, "fastest", lambda run: run() is None or 0.5)
    monkeypatch.setattr(np, "zeros", lambda size, dtype: flushed.append(size) or np.empty(size, dtype))
    timing.Flush()()
    assert flushed == [3 << 20]
    assert limits._bandwidth(1) == 2 * (6 << 20) / 0.5


def test_slow_machines_skip_large_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(limits, "MATRIX_SIZES", (8, 16, 1024))
    monkeypatch.setattr(limits, "product", lambda size: sizes.append(size))
    monkeypatch.setattr(limits, "fastest", lambda run: 0.01)
    limits._peak()
    assert sizes == [8, 16]


def test_copying_reaches_every_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []
    monkeypatch.setattr(np, "copyto", lambda target, source: copied.append(target.nbytes))
    monkeypatch.setattr(limits, "fastest", lambda run: run() is None or 1.0)
    limits._bandwidth(3)
    assert len(copied) == 3
    assert sum(copied) == 1 << 20


class Busy:
    """A competitor that notes on how many threads it trains."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def train(self) -> float:
        import numba

        self.seen.append(numba.get_num_threads())
        return 0.0


def test_one_thread_and_all_take_turns() -> None:
    busy: Any = Busy()
    measured = scaling.measure(busy, threads.available(), repeats=2)
    assert busy.seen == [1, threads.available()] * 3
    assert min(*measured.step, *measured.product) > 0


def test_the_gains() -> None:
    figures = scaling.Scaling(2, step=(3.0, 2.0), product=(4.0, 2.0)).as_json()
    assert (figures["step_gain"], figures["product_gain"], figures["ratio_of_gains"]) == (1.5, 2.0, 0.75)
    assert figures["step_milliseconds"] == [3000.0, 2000.0]


def test_pytorch_is_limited_with_the_kernels_and_put_back() -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(2)
    with machine.limited(1) as count:
        assert (count, torch.get_num_threads()) == (1, 1)
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), machine.limited(1):
        _ = 1 / 0
    assert torch.get_num_threads() == 2
    with machine.limited(None) as count:
        assert (count, torch.get_num_threads()) == (threads.available(), 2)
