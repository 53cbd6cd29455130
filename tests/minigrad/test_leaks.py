"""Memory comes back: after steps, after models, and after errors in the midst of forward and backward."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernels.layout import Array
from minigrad import Function, Tensor, functional as F

ROOT = Path(__file__).parents[2]
PRELUDE = """
import gc, resource
import numpy as np
import minigrad
from minigrad import Tensor, functional as F, optim
from tests.small_net import SmallNet

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def train(steps, net, optimizer):
    images = Tensor(np.ones((2, 1, 14, 14), np.float32))
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(net(images), np.array([1, 2])).backward()
        optimizer.step()

def fresh():
    net = SmallNet(1, 10, 14)
    return net, optim.Adam(net.parameters())
"""


def grown(code: str) -> int:
    """Bytes by which a program's memory has grown between its two numbers."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux tells what memory a process has in /proc")
    command = [sys.executable, "-c", PRELUDE + code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    before, after = map(int, result.stdout.split())
    return after - before


def test_two_thousand_steps_take_no_more_memory_than_a_hundred() -> None:
    assert grown("it = fresh(); train(100, *it); print(resident()); train(1900, *it); print(resident())") < 1 << 20


def test_two_hundred_models_leave_nothing_behind() -> None:
    code = "for n in range(220):\n    train(2, *fresh())\n    if n in (20, 219): print(resident())"
    assert grown(code) < 1 << 20


def test_a_program_that_keeps_its_graphs_is_seen() -> None:
    code = "kept = []\nfor n in range(220):\n    kept.append(fresh()[0](Tensor(np.ones((2, 1, 14, 14), np.float32))))\n"
    assert grown(code + "    if n in (20, 219): print(resident())") > 4 << 20


class Fails(Function):
    """The identity, whose forward or backward raises if it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def forward(self, a: Array) -> Array:
        if self.where == "forward":
            raise RuntimeError("forward has failed")
        result: Array = a + 0
        return result

    def backward(self, grad: Array) -> tuple[Array]:
        raise RuntimeError("backward has failed")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Any]]:
    """All operations that are applied in the test, held weakly."""
    seen: list[weakref.ref[Any]] = []
    call = Function.__call__

    def noting(self: Function, *inputs: Any) -> Tensor:
        seen.append(weakref.ref(self))
        return call(self, *inputs)

    monkeypatch.setattr(Function, "__call__", noting)
    return seen


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_error_leaves_no_graph_alive(where: str, made: list[weakref.ref[Any]]) -> None:
    weight = Tensor(np.ones((3, 3)), requires_grad=True)

    def step() -> None:
        x = F.relu(Tensor(np.ones((2, 3))) @ weight)
        (Fails(where)(x) * 2).sum().backward()

    def raised(work: Callable[[], None]) -> str:
        try:
            work()
        except RuntimeError as error:
            return str(error)
        return "nothing"

    gc.disable()  # by counting alone: a cycle would hold arrays until the collector comes
    try:
        assert raised(step) == f"{where} has failed"
        assert len(made) >= 3
        assert [reference() for reference in made if reference() is not None] == []
    finally:
        gc.enable()
    assert weight.grad is None
