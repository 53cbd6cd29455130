"""The kernel benchmark on one small image: what it covers, what it refuses to time, what it writes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernels
from benchmarks.arguments import filled
from benchmarks.cases import BATCH, Case, Spec, at_batch, case, cropped
from benchmarks.measure import TOLERANCE, call, error
from kernels.geometry import output_size


def put_wrong(monkeypatch: pytest.MonkeyPatch, backend: str, kernel: str) -> None:
    """Make a kernel err in one element, by ten times the tolerance."""
    right = getattr(kernels.load(backend), kernel)

    def wrong(*args: Any, **keywords: Any) -> Any:
        result = right(*args, **keywords)
        result.flat[-1] += 10 * TOLERANCE * np.abs(result).max()
        return result

    monkeypatch.setattr(kernels.load(backend), kernel, wrong)


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` raises ImportError


def test_every_kernel_has_a_case(small_cases: dict[Case, int]) -> None:
    named = {given.kernel for given in small_cases}
    assert named == {kernel for family in kernels.TABLE.values() for kernel in family}


def test_the_cases_are_what_a_step_calls(small_cases: dict[Case, int]) -> None:
    def calls(kernel: str) -> int:
        return sum(count for given, count in small_cases.items() if given.kernel == kernel)

    assert calls("conv2d") == 57
    assert calls("pointwise_backward") == 1 + 9 * 2  # three 1x1 convolutions of a block run backward together
    assert calls("conv2d_weight_grad") == 57 - (1 + 9 * 4)
    assert calls("conv2d_input_grad") == 57 - (1 + 9 * 4) - 1  # nobody needs the image's gradient
    assert calls("max_pool2d") == calls("max_pool2d_backward") == 13
    assert calls("cat") == calls("split") == 9
    assert calls("dropout") == 2  # forward and backward are the same call
    assert calls("relu_backward") == 0  # the convolutions do it
    first = next(iter(small_cases))
    assert dict(first.arguments)["x"].shape == (BATCH, 32, 32, 1)


def test_gradients_are_added_to_others_where_the_step_does_so(small_cases: dict[Case, int]) -> None:
    adding = {given: count for given, count in small_cases.items() if dict(given.arguments).get("into") is not None}
    assert sum(adding.values()) == 9  # the 1x1 convolutions of a block add to what its pooling has sent
    for given in adding:
        a = dict(given.arguments)
        assert given.kernel == "pointwise_backward"
        assert a["into"].shape == a["x"].shape


def adding_case(small_cases: dict[Case, int]) -> Case:
    return next(given for given in small_cases if dict(given.arguments).get("into") is not None)


def test_verifying_leaves_the_array_that_is_added_to_alone(small_cases: dict[Case, int]) -> None:
    given = adding_case(small_cases)
    arguments = filled(at_batch(given, 2))
    before = arguments["into"].copy()
    first, second = (call("cpu", given.kernel, arguments) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(arguments["into"], before)


def test_pytorch_leaves_the_array_that_is_added_to_alone(small_cases: dict[Case, int]) -> None:
    pytest.importorskip("torch")
    from benchmarks import pytorch

    given = adding_case(small_cases)
    arguments = filled(at_batch(given, 2))
    before = arguments["into"].copy()
    for channels_last in (False, True):
        pytorch.rival(given.kernel, arguments, channels_last, "cpu").run()
    assert np.array_equal(arguments["into"], before)


def test_noting_the_calls_leaves_the_kernel_table_as_it_was(small_cases: dict[Case, int]) -> None:
    table = kernels.load("reference")
    assert all(getattr(table, name).__name__ == name for family in kernels.TABLE.values() for name in family)


def test_a_crop_is_consistent() -> None:
    window: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}
    grad = Spec((BATCH, 24, 24, 64))
    a = dict(cropped(case("max_pool2d_backward", grad=grad, winner=grad, size=(48, 48), **window)).arguments)
    places = output_size(a["size"], **window)
    assert a["grad"].shape == a["winner"].shape == (1, *places, a["grad"].shape[3])
    assert max(a["size"]) < 48


def test_convolutions_are_right(run: Any) -> None:
    """By PyTorch's word, or without it by that of the naive kernels, which take a moment for so many cases."""
    status, printed = run("--filter", "conv2d", "--backend", "reference")
    assert status == 0
    assert "conv2d_weight_grad" in printed


def test_the_other_kernels_are_right_and_timed(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    for family in ("pool2d", "softmax", "norm", "linear", "cross_entropy", "cat", "resize", "pad", "step", "dropout"):
        status, printed = run("--filter", family, "--json", str(path))
        assert status == 0
        assert family in printed
        assert "WRONG" not in printed
        for figure in json.loads(path.read_text())["kernels"]:
            assert figure["milliseconds"].keys() >= set(kernels.BACKENDS)
            assert min(figure["milliseconds"].values()) > 0


def test_json(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert run("--filter", "linear", "--backend", "reference", "--json", str(path))[0] == 0
    written = json.loads(path.read_text())
    assert written["batch_size"] == 1
    assert written["machine"].keys() >= {"date", "platform", "cpu", "cores", "numpy", "torch", "threads"}
    figure = written["kernels"][0]
    assert figure["kernel"] == "linear"
    assert figure["arguments"]["x"] == {"shape": [1, 1024], "dtype": "float32"}
    assert figure["faults"] == figure["extrapolated"] == []
    milliseconds = figure["milliseconds"]["reference"]
    assert figure["rate"]["unit"] == "GFLOP/s"
    assert figure["rate"]["value"] == pytest.approx(2 * 1024 * 10 / milliseconds / 1e6)


def test_a_wrong_reference_is_told_by_pytorch(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    put_wrong(monkeypatch, "reference", "channel_sum")
    path = tmp_path / "figures.json"
    status, printed = run("--filter", "channel_sum", "--backend", "reference", "--json", str(path))
    assert status == 1
    assert "WRONG: reference differs from PyTorch" in printed
    figure = json.loads(path.read_text())["kernels"][0]
    assert figure["faults"]
    assert figure["milliseconds"] == {}


def test_a_wrong_backend_is_told_by_the_reference(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wrong(monkeypatch, "naive", "relu")
    status, printed = run("--filter", "relu")
    assert status == 1
    assert "WRONG: naive differs from reference" in printed
    assert "1 of" in printed  # relu_backward is right


def test_a_wrong_reference_is_told_without_pytorch_too(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)
    put_wrong(monkeypatch, "reference", "pad")
    status, printed = run("--filter", "pad", "--backend", "reference")
    assert status == 1
    assert "WRONG: reference differs from naive" in printed


def test_without_pytorch(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_torch(monkeypatch)
    path = tmp_path / "figures.json"
    status, printed = run("--filter", "linear", "--json", str(path))
    assert status == 0
    assert "PyTorch is not installed" in printed
    assert json.loads(path.read_text())["machine"]["torch"] is None
    assert all(figure["ratio"] is None for figure in json.loads(path.read_text())["kernels"])


def test_a_filter_that_fits_nothing(run: Any) -> None:
    assert run("--filter", "conv3d")[0] == 2


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ([1.0, 4.0], [1.0, 4.0], 0.0),
        ([1.0, 3.0], [1.0, 4.0], 0.25),
        ([1.0, np.nan], [1.0, 4.0], np.inf),
        ([1.0], [1.0, 4.0], np.inf),
        ([1, 2], [1, 3], np.inf),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
    ],
)
def test_error(given: list[float], wanted: list[float], expected: float) -> None:
    assert error([np.array(given)], [np.array(wanted)]) == expected
