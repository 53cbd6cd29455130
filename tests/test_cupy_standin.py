"""The stand-in for CuPy is strict, and invents nothing."""

import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import cupy_standin, on_card
from tests.cupy_standin import gpp
from tests.cupy_standin.counters import counters

pytestmark = on_card.NEEDS_GPP
TEXT = """
typedef long long int64;
struct Pair { int a, b; };
extern "C" __global__ void scale(const float* x, float* y, int64 count, float factor) {
    int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = x[i] * factor;
}
extern "C" __global__ void add_pair(int* y, Pair pair) { y[0] = pair.a + pair.b; }
extern "C" __global__ void half_a_barrier(int* y) {
    if (threadIdx.x < 16) __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void half_a_shuffle(int* y) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, y[threadIdx.x], 1);
}
extern "C" __global__ void neighbours(int* y) {
    y[threadIdx.x] = y[(threadIdx.x + 1) % blockDim.x] + 1;
}
"""


@pytest.fixture
def cupy() -> Iterator[Any]:
    with cupy_standin.installed() as module:
        counters.reset()
        yield module


@pytest.fixture
def kernel(cupy: Any) -> Callable[..., Any]:
    return cupy.RawModule(code=TEXT).get_function  # type: ignore[no-any-return]


def arange(cupy: Any, count: int, dtype: str = "float32") -> Any:
    return cupy.asarray(np.arange(count, dtype=dtype))


def test_a_kernel_runs(cupy: Any, kernel: Callable[..., Any]) -> None:
    x = arange(cupy, 70)
    y = cupy.empty(70, np.float32)
    kernel("scale")((3,), (32,), (x, y, np.int64(70), np.float32(2)))
    np.testing.assert_array_equal(y.get(), 2 * np.arange(70))
    pair = np.zeros(1, [("a", np.int32), ("b", np.int32)])
    pair["a"], pair["b"] = 3, 4
    z = cupy.empty(1, np.int32)
    kernel("add_pair")((1,), (1,), (z, pair))
    assert z.item() == 7


@pytest.mark.parametrize(
    ("place", "given", "message"),
    [
        (2, 4, r"argument 2: given 4 \(int\), expected i8"),
        (2, np.int32(4), r"argument 2: given .*4.* \(int32\), expected i8"),
        (3, 2.0, r"argument 3: given 2.0 \(float\), expected f4"),
        (3, np.float64(2), r"\(float64\), expected f4"),
        (0, None, r"argument 0: given None \(NoneType\), expected \*f4"),
        (0, np.zeros(4, np.float32), r"argument 0: given array.*\(ndarray\), expected \*f4"),
    ],
)
def test_arguments_must_be_what_the_parameters_are(
    cupy: Any, kernel: Callable[..., Any], place: int, given: Any, message: str
) -> None:
    arguments = [arange(cupy, 4), arange(cupy, 4), np.int64(4), np.float32(2)]
    arguments[place] = given
    with pytest.raises(TypeError, match=message):
        kernel("scale")((1,), (32,), tuple(arguments))


def test_arrays_must_be_what_the_kernel_takes_them_for(cupy: Any, kernel: Callable[..., Any]) -> None:
    rest = (np.int64(4), np.float32(2))
    with pytest.raises(TypeError, match=r"given an array of float64, expected \*f4"):
        kernel("scale")((1,), (32,), (arange(cupy, 4, "float64"), arange(cupy, 4), *rest))
    with pytest.raises(TypeError, match="expected a C-contiguous one"):
        kernel("scale")((1,), (32,), (arange(cupy, 8)[::2], arange(cupy, 4), *rest))
    with pytest.raises(TypeError, match="given 3 arguments, expected 4"):
        kernel("scale")((1,), (32,), (arange(cupy, 4), arange(cupy, 4), np.int64(4)))
    with pytest.raises(gpp.LaunchError, match="no_such_kernel: no such kernel; the text has scale"):
        kernel("no_such_kernel")


@pytest.mark.parametrize(("grid", "block"), [((0,), (32,)), ((1, 65536), (32,)), ((1,), (2048,)), ((1,), (64, 64))])
def test_launches_that_a_card_refuses(
    cupy: Any, kernel: Callable[..., Any], grid: tuple[int, ...], block: tuple[int, ...]
) -> None:
    with pytest.raises(gpp.LaunchError, match="expected"):
        kernel("scale")(grid, block, (arange(cupy, 4), arange(cupy, 4), np.int64(4), np.float32(2)))


@pytest.mark.parametrize("name", ["half_a_barrier", "half_a_shuffle"])
def test_threads_that_wait_for_ever_are_an_error(cupy: Any, kernel: Callable[..., Any], name: str) -> None:
    with pytest.raises(gpp.LaunchError, match="that others never reach"):
        kernel(name)((1,), (32,), (arange(cupy, 32, "int32"),))


def test_orders_tell_code_that_relies_on_one(cupy: Any, kernel: Callable[..., Any]) -> None:
    results = []
    for order in gpp.ORDERS:
        y = cupy.zeros(32, np.int32)
        with gpp.in_order(order):
            kernel("neighbours")((1,), (32,), (y,))
        results.append(tuple(y.tolist()))
    assert len(set(results)) == 3


def _mixed(cupy: Any, x: Any) -> list[Callable[[], Any]]:
    host = np.zeros(3, np.float32)
    return [
        lambda: np.asarray(x),
        lambda: x + host,
        lambda: host + x,
        lambda: x * np.float64(2),
        lambda: np.where(x > 0, x, host),
        lambda: x[np.array([0, 1])],
        lambda: x.__setitem__(0, host[0:1]),
        lambda: cupy.concatenate([x, host]),
        lambda: np.cumsum(x),
    ]


@pytest.mark.parametrize("number", range(9))
def test_host_and_device_do_not_mix(cupy: Any, number: int) -> None:
    with pytest.raises(TypeError, match="CuPy does not convert implicitly"):
        _mixed(cupy, arange(cupy, 3))[number]()


def test_products_that_would_be_copied_are_refused(cupy: Any) -> None:
    gemm = importlib.import_module("cupy.cublas").gemm
    wide, out = cupy.zeros((4, 6), np.float32), cupy.zeros((4, 4), np.float32)
    with pytest.raises(TypeError, match="gemm: a of strides"):
        gemm("N", "N", wide[:, ::2], cupy.zeros((3, 4), np.float32), out)
    with pytest.raises(TypeError, match="an empty operand"):
        gemm("N", "N", cupy.zeros((4, 0), np.float32), cupy.zeros((0, 4), np.float32), out)


def test_what_costs_time_is_counted(cupy: Any, kernel: Callable[..., Any]) -> None:
    x = arange(cupy, 8)
    assert counters.to_device == [32]
    y = x + 1
    kernel("scale")((1,), (32,), (x, y, np.int64(8), np.float32(2)))
    assert [(launch.name, launch.bytes) for launch in counters.launches] == [("add", 64), ("scale", 64)]
    assert counters.synchronisations == 0
    assert y.sum().item() == 56
    assert (counters.synchronisations, counters.to_host) == (1, [4])
    assert counters.allocated == 64
    del x, y
    assert counters.allocated == 0
    assert counters.peak >= 64


def test_real_cupy_has_all_that_the_stand_in_offers() -> None:
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is in the extra `proof`")
    command = [sys.executable, "-m", "tests.cupy_standin.against_cupy"]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


def test_an_invented_name_and_an_invented_parameter_are_found() -> None:
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is in the extra `proof`")
    code = (
        "from tests.cupy_standin import against_cupy, modules\n"
        "modules.cupy.fast_softmax = lambda x: x\n"
        "modules.cupy.where = lambda condition, x, y, quickly=True: x\n"
        "modules.cupy.repeat = lambda repeats, a: a\n"
        "print(*against_cupy.differences(), sep='\\n')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert [line.partition(":")[0] for line in run.stdout.splitlines()] == [
        "cupy.where", "cupy.repeat", "cupy.fast_softmax",
    ]  # fmt: skip
