"""The Numba-CUDA twins of im2col and col2im: on the stand-in for CuPy they run in Numba's simulator.

The simulator has to be chosen before Numba is imported, so all checks are made by one process of its own: this file as
a program, given the device's name. It prints what went wrong in each, as JSON.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from googlenet import GoogLeNet
from kernels.reference import conv as reference
from minigrad.commands import run, train
from minigrad.commands.train import parser
from minigrad.device import DeviceError
from tests import on_card
from tests.kernels.cuda.samples import DTYPES, Drawn
from tests.small_net import SmallNet

ROOT = Path(__file__).parents[3]
DRAWS = 12
FEW_THREADS = 8
"""Of a block: the simulator makes threads slowly, and tiny rows shall have more numbers than a block has threads."""

CHECKS: dict[str, Callable[[Any], None]] = {}


def check(function: Callable[[Any], None]) -> Callable[[Any], None]:
    """One of the program's checks, which are made in the order in which they stand here. Each is given CuPy."""
    CHECKS[function.__name__] = function
    return function


@check
def numba_cuda_is_imported_only_for_the_twins(cupy: Any) -> None:
    from kernels.cuda import columns

    with columns.twins("cuda"):
        assert not {"numba.cuda", "kernels.cuda.columns_numba"} & sys.modules.keys()


@check
def what_cannot_be_had_is_said(cupy: Any) -> None:
    from kernels.cuda import columns, columns_numba

    with pytest.raises(ValueError, match="twins: given 'triton', expected one of cuda, numba"):
        columns.twins("triton")

    def fail(*_: Any) -> None:
        raise RuntimeError("libNVVM cannot be found")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_numba, "im2col", fail)
        with pytest.raises(ImportError, match=r"Numba cannot compile for this card: .*\(libNVVM cannot be found\)"):
            columns.twins("numba")
        with pytest.raises(DeviceError, match="--kernels numba: Numba cannot compile for this card"):
            train._twins("numba")


@check
def im2col_is_that_of_the_reference(cupy: Any) -> None:
    for drawn, x, first, share in _draws():
        chosen = x[..., first : first + share]
        columns = _twins().im2col(cupy.asarray(x), drawn.kernel, *drawn.window, first, share)
        _assert_same(columns.get(), reference.im2col(chosen, drawn.kernel, *drawn.window))


@check
def col2im_is_that_of_the_reference(cupy: Any) -> None:
    """Down to the last bit: it adds in the same order."""
    for drawn, x, first, share in _draws():
        columns = drawn.array(drawn.n, *drawn.outputs, *drawn.kernel, share)
        for add in (False, True):
            target, expected = cupy.asarray(x), x.copy()
            _twins().col2im(cupy.asarray(columns), target, *drawn.window, first, add)
            chosen = expected[..., first : first + share]
            chosen[...] = reference.col2im(columns, drawn.size, *drawn.window) + (chosen if add else 0)
            _assert_same(target.get(), expected)


@check
def an_empty_batch_is_not_launched(cupy: Any) -> None:
    window = ((1, 1), ((0, 0), (0, 0)), (1, 1))
    x = cupy.zeros((0, 3, 3, 2), np.float32)
    columns = _twins().im2col(x, (2, 2), *window, 0, 2)
    assert columns.shape == (0, 2, 2, 2, 2, 2)
    _twins().col2im(columns, x, *window, 0, False)


@check
def convolutions_have_the_same_bits_with_either(cupy: Any) -> None:
    from kernels.cuda import columns, conv

    for dtype in DTYPES:
        drawn = Drawn(np.random.default_rng(0), dtype, draw=1)
        x, weight, bias = drawn.array(2, 5, 6, 6), drawn.array(3, 2, 3, 4), drawn.array(4)
        window = (2, 1), ((1, 1), (0, 1)), (1, 2)
        grad = drawn.array(2, 3, 5, 4)
        device = [cupy.asarray(array) for array in (x, weight, bias, grad)]
        results = []
        for name in columns.TWINS:
            with columns.twins(name), _few_threads(), _calls() as calls:
                y = conv.conv2d(*device[:3], *window, 2, "relu")
                x_grad = conv.conv2d_input_grad(device[3], y, device[1], (5, 6), *window, 2, None)
                grads = conv.conv2d_weight_grad(device[3], y, device[0], (3, 2), *window, 2)
                results.append([array.get() for array in (y, x_grad, *grads)])
                assert calls == {"cuda": [], "numba": ["im2col"] * 2 + ["col2im"] * 2 + ["im2col"] * 2}[name]
        for ours, theirs in zip(*results, strict=True):
            _assert_same(ours, theirs)


@check
def the_choice_ends_with_its_block(cupy: Any) -> None:
    from kernels.cuda import columns

    def taken() -> str:
        with _calls() as calls:
            columns.im2col(cupy.zeros((1, 1, 1, 1), np.float32), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 0, 1)
        return "numba" if calls else "cuda"

    assert taken() == "cuda"
    try:
        with columns.twins("numba"):
            assert taken() == "numba"
            with columns.twins("cuda"):
                assert taken() == "cuda"
            assert taken() == "numba"
            raise KeyError
    except KeyError:
        assert taken() == "cuda"


@check
def a_wrong_name_is_refused_and_the_good_ones_are_named(cupy: Any) -> None:
    from kernels.cuda import columns

    with pytest.raises(ValueError, match="given 'cupy', expected one of cuda, numba"):
        columns.twins("cupy")


@check
def the_train_command_offers_what_there_is(cupy: Any) -> None:
    from kernels.cuda import columns

    (option,) = [action for action in parser(GoogLeNet)._actions if action.dest == "kernels"]
    assert (option.choices, option.default) == (columns.TWINS, columns.TWINS[0])


@check
def what_numba_lacks_is_said_before_a_run_begins(cupy: Any) -> None:
    from kernels.cuda import columns

    lacking = mock.patch.object(_twins().cuda, "as_cuda_array", side_effect=OSError("libNVVM cannot be found\n..."))
    message = r"pip install 'numba-cuda\[cu13\]' .*\(libNVVM cannot be found \.\.\.\)"
    with lacking, pytest.raises(ImportError, match=message):
        columns.twins("numba")
    said = io.StringIO()
    with lacking, contextlib.redirect_stderr(said):
        assert run(SmallNet, ["--device", "gpu", "--kernels", "numba"]) == 1
    assert said.getvalue().startswith("error: --kernels numba: Numba cannot compile for this card: pip install")


def _twins() -> Any:
    from kernels.cuda import columns_numba

    return columns_numba


def _draws() -> Iterator[tuple[Drawn, np.ndarray, int, int]]:
    """Sizes, an image, and which of its channels to take."""
    for draw in range(DRAWS):
        for dtype in DTYPES:
            drawn = Drawn(np.random.default_rng(draw), dtype, draw=1)
            share = drawn.number(1, drawn.channels)
            first = drawn.number(0, drawn.channels - share)
            with _few_threads():
                yield drawn, drawn.array(drawn.n, *drawn.size, drawn.channels), first, share


@contextlib.contextmanager
def _few_threads() -> Iterator[None]:
    with mock.patch.object(_twins(), "THREADS", FEW_THREADS):
        yield


@contextlib.contextmanager
def _calls() -> Iterator[list[str]]:
    """Which of Numba's are called inside the block."""
    calls: list[str] = []

    def noting(name: str) -> Any:
        own = getattr(_twins(), name)
        return mock.patch.object(_twins(), name, lambda *args: (calls.append(name), own(*args))[1])

    with noting("im2col"), noting("col2im"):
        yield calls


def _assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs, strict=True)


def _complete_the_simulator() -> None:
    """Add what it lacks of numba.cuda."""
    from numba import cuda

    def as_cuda_array(array: Any, sync: bool = True) -> Any:
        assert not sync, "Numba would wait for the card at every launch"
        return array._host

    cuda.as_cuda_array, cuda.external_stream = as_cuda_array, lambda ptr: ptr


def _fault(function: Callable[[Any], None], cupy: Any) -> str:
    try:
        function(cupy)
    except Exception:
        return traceback.format_exc()
    return ""


def main(device: str) -> None:
    """Print what is wrong with each check, or why none could be made."""
    with on_card.device(device) as cupy:
        first, *rest = CHECKS.values()
        faults = {first.__name__: _fault(first, cupy)}  # numba.cuda is not imported yet
        if device == on_card.STANDIN:
            _complete_the_simulator()
        else:
            try:
                _twins().check()
            except ImportError as error:
                print(json.dumps(str(error)))
                return
        faults |= {function.__name__: _fault(function, cupy) for function in rest}
    print(json.dumps(faults))


@pytest.fixture(scope="module", params=on_card.PARAMETERS)
def faults(request: pytest.FixtureRequest) -> dict[str, str]:
    """What the program has found on a device."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": str(int(request.param == on_card.STANDIN))}
    command = [sys.executable, "-m", "tests.kernels.cuda.test_numba_twins", request.param]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    if isinstance(found, str):
        pytest.skip(found)
    return dict(found)


@pytest.mark.parametrize("name", CHECKS)
def test_the_twins(faults: dict[str, str], name: str) -> None:
    assert not faults[name], faults[name]


def test_a_run_on_the_cpu_has_no_choice(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(SmallNet, ["--device", "cpu", "--kernels", "numba"])
    assert end.value.code == 2
    assert "--kernels: only a GPU has a choice" in capsys.readouterr().err


if __name__ == "__main__":
    main(sys.argv[1])
