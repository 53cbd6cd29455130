"""kernels.threads.limit: it limits Numba and NumPy's BLAS, puts both back, and leaves others alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl

from kernels import threads

numba = pytest.importorskip("numba")
ROOT = Path(__file__).parents[2]

needs_two_cores = pytest.mark.skipif(threads.available() < 2, reason="a single core: there is nothing to limit")


def in_use() -> tuple[int, list[int]]:
    """Numba's threads, and those of each BLAS."""
    blas = [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return numba.get_num_threads(), blas


@needs_two_cores
def test_both_are_limited_inside_and_put_back_after() -> None:
    before = in_use()
    assert max(before[1]) > 1
    with threads.limit(1):
        assert in_use() == (1, [1] * len(before[1]))
    assert in_use() == before


@needs_two_cores
def test_limits_nest() -> None:
    with threads.limit(1):
        with threads.limit(2):
            assert in_use()[0] == 2
        assert in_use()[0] == 1


def test_an_error_in_the_block_puts_them_back_too() -> None:
    before = in_use()
    with pytest.raises(ZeroDivisionError), threads.limit(1):
        _ = 1 / 0
    assert in_use() == before


def test_none_leaves_everything_as_it_is() -> None:
    before = in_use()
    with threads.limit(None):
        assert in_use() == before


@pytest.mark.parametrize("count", [0, -1, 10**6, 1.5])
def test_a_bad_number_is_refused_and_changes_nothing(count: Any) -> None:
    before = in_use()
    expected = f"count: given {count}, expected an integer from 1 to {threads.available()}, the cores"
    with pytest.raises(ValueError, match=expected), threads.limit(count):
        pass
    assert in_use() == before


def test_pytorch_keeps_its_threads() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with threads.limit(1):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def python(code: str, **environment: str) -> str:
    """What the code prints in an interpreter of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "MINIGRAD_BACKEND"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=inherited | environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@needs_two_cores
def test_kernels_in_other_threads_are_limited_too() -> None:
    from kernels.cpu import jit

    def workers() -> int:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(jit.workers).result()

    before = workers()
    assert before > 1
    with threads.limit(1):
        assert workers() == 1
    assert workers() == before


def test_other_backends_do_not_wait_for_numba() -> None:
    code = "import sys\nfrom kernels import threads\nwith threads.limit(1): print('numba' in sys.modules)"
    assert python(code, MINIGRAD_BACKEND="reference") == "False"
    assert python(code, MINIGRAD_BACKEND="cpu") == "True"


BUSY = """
import time
from pathlib import Path
import numpy as np
import kernels
from kernels import threads

def ticks():
    tasks = list(Path("/proc/self/task").iterdir())
    fields = {{task.name: (task / "stat").read_text().rpartition(")")[2].split() for task in tasks}}
    return {{name: int(values[11]) + int(values[12]) for name, values in fields.items()}}

table = kernels.load({backend!r})
x, weight = np.ones((8, 64, 64, 64), np.float32), np.ones((3, 3, 64, 64), np.float32)
options = (None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1, None)
table.conv2d(x, weight, *options)
time.sleep(0.5)  # after its work a thread of OpenBLAS or OpenMP waits for more, for a moment, without sleeping
with threads.limit({count}):
    before = ticks()
    while sum(ticks().values()) - sum(before.values()) < 100:
        table.conv2d(x, weight, *options)
    after = ticks()
print(sum(after[name] - before.get(name, 0) > 5 for name in after))
"""
"""How many threads have had more than 5 hundredths of a second of about a second's work."""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the operating system does not list threads in /proc")
@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=needs_two_cores)])
def test_a_kernel_keeps_so_many_threads_busy(backend: str, count: int) -> None:
    assert python(BUSY.format(backend=backend, count=count), MINIGRAD_BACKEND=backend) == str(count)
