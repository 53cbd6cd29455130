"""Kernels and steps on a card: the stand-in for CuPy, so it is not how fast they are but what is done, and checked."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kernels
from benchmarks import card as card_limits, competitors, limits, timing, train_step
from benchmarks.__main__ import main
from benchmarks.arguments import filled
from benchmarks.cases import Case, at_batch
from minigrad import Profiler, Tensor, functional as F
from tests import on_card
from tests.benchmarks.test_kernels import put_wrong
from tests.cupy_standin.counters import counters
from tests.small_net import SmallNet

pytestmark = on_card.NEEDS_GPP
STEP = ("train-step", "--device", "gpu", "--batch-size", "2", "--image-size", "32", "--repeats", "1")


def test_kernels_are_right_and_timed(card: Any, run: Any, tmp_path: Path) -> None:
    """Arrays, lists of them, and what is changed in place. tests/kernels has all kernels."""
    path = tmp_path / "figures.json"
    for part in ("pointwise", "cat", "note_step", "sgd"):
        status, printed = run("--device", "gpu", "--filter", part, "--json", str(path))
        assert status == 0
        assert "WRONG" not in printed
    written = json.loads(path.read_text())
    assert written["machine"]["backend"] == "cuda"
    assert written["machine"]["gpu"] == {
        "device": "gpu:0", "name": "Stand-in 4000", "compute_capability": "8.9", "multiprocessors": 128,
        "memory": 24 << 30, "cuda_of_the_driver": "13.0", "cuda_of_the_runtime": "13.2", "cupy": "stand-in",
    }  # fmt: skip
    assert written["limits"]["blas"] == "cuBLAS"
    assert "limits of this card" in printed
    assert "finds no card, so nothing is compared with it" in printed
    for figure in written["kernels"]:
        assert figure["milliseconds"].keys() == {"cuda"}


def test_a_wrong_kernel_is_told(card: Any, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right, path = kernels.load("cuda").relu, tmp_path / "figures.json"
    monkeypatch.setattr(kernels.load("cuda"), "relu", lambda x: right(x) + 1.0)
    status, printed = run("--device", "gpu", "--filter", "relu", "--json", str(path))
    assert status == 1
    assert "WRONG: cuda differs from reference" in printed
    assert json.loads(path.read_text())["kernels"][0]["milliseconds"] == {}


def test_a_wrong_reference_is_told_where_pytorch_finds_no_card(
    card: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_wrong(monkeypatch, "reference", "pad")
    status, printed = run("--device", "gpu", "--filter", "pad")
    assert status == 1
    assert "WRONG: reference differs from naive" in printed


def test_arrays_move_before_and_the_card_is_done_after(
    card: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn: a flush and its end, then the kernel and its end, on which nothing is copied."""
    turns: list[list[Any]] = []
    real = timing.medians

    def medians(runs: Any, repeats: int, before: Any, after: Any) -> Any:
        counters.reset()
        result = real(runs, repeats, before, after)
        turns.append([[launch.name for launch in counters.launches], counters.synchronisations, [*counters.to_device]])
        return result

    monkeypatch.setattr("benchmarks.measure.medians", medians)
    run("--device", "gpu", "--filter", "relu", "--repeats", "3")
    names = ["relu_packs", *["add", "relu_packs"] * 3]
    assert turns[0] == [names, 6, []]
    assert turns[1][1:] == [6, []]


def test_numbas_twins_are_verified_and_timed_beside_the_kernels(
    card: Any, run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kernels.cuda import columns

    chosen: list[str] = []

    @contextmanager
    def twins(name: str) -> Any:
        chosen.append(name)
        yield

    monkeypatch.setattr(columns, "twins", twins)
    path = tmp_path / "figures.json"
    status, printed = run("--device", "gpu", "--filter", "conv2d_input", "--json", str(path))
    assert status == 0
    assert "cuda: numba" in printed
    figures = json.loads(path.read_text())["kernels"]
    assert chosen == ["numba"] * 3 * len(figures)  # to see whether there are any, to verify, and once for all turns
    for figure in figures:
        assert figure["milliseconds"].keys() == {"cuda", "cuda: numba"}


def test_the_limits_are_the_cards(card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[Any] = []
    counters.reset()
    monkeypatch.setattr(card_limits, "fastest", lambda run, wait: [waits.append(wait), run(), 0.5][-1])
    measured = limits.measure(threads=2, place="gpu:0")
    assert (measured.peak, measured.bandwidth) == (2 * 64**3 / 0.5, 2 * (1 << 20) / 0.5)
    assert waits == [card_limits.wait] * 2
    assert [launch.name for launch in counters.launches] == ["gemm", "fill", "fill", "copy"]


def test_steps(
    card: Any, small_cases: dict[Case, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "figures.json"
    monkeypatch.setattr(train_step, "cases", lambda image_size: small_cases)
    monkeypatch.setattr(competitors, "GoogLeNet", lambda num_classes, **options: SmallNet(1, num_classes, 32))
    assert main([*STEP, "--scaling", "--json", str(path), "--picture", str(tmp_path / "steps.png")]) == 0
    written, printed = json.loads(path.read_text()), capsys.readouterr().out
    for kind in ("training", "inference"):
        assert written["milliseconds"][kind].keys() == {"minigrad, cuda"}
        assert {"Conv2d 3x3", "Linear", "rest"} <= written["shares"][kind].keys()
    assert (written["peak_memory"], written["scaling"]) == ({}, None)
    assert "GoogLeNet, batch 2, 32x32, Stand-in 4000" in printed
    assert "are measured on the CPU only" in printed


def test_the_profile_waits_for_the_card(card: Any) -> None:
    """At the beginning and at the end of each operation and part, but never on the CPU."""
    profiler, waits = Profiler(), []
    for place in ("cpu", "gpu"):
        x = Tensor(np.ones((2, 3), np.float32), requires_grad=True).to(place)
        F.relu(x)
        counters.reset()
        with profiler.watch():
            F.relu(x)
            with profiler.part("part"):
                pass
        waits.append(counters.synchronisations)
    assert waits == [0, 1 + 2 + 1]  # before the first operation nobody knows that there is a card


def test_without_cupy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # `import cupy` raises ImportError
    for command in ("kernels", "train-step"):
        assert main([command, "--device", "gpu"]) == 1
        assert capsys.readouterr().err.startswith("error: --device gpu: CuPy is not installed")


def test_devices_are_named(card: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels", "--device", "gpu:2"]) == 1
    assert "there are 2 cards" in capsys.readouterr().err
    for name in ("auto", "tpu"):
        with pytest.raises(SystemExit):
            main(["kernels", "--device", name])
        assert "expected cpu, gpu, or a certain card such as gpu:1" in capsys.readouterr().err
    assert main(["kernels", "--device", "gpu", "--backend", "cpu"]) == 1
    assert "only the CPU has several" in capsys.readouterr().err


def test_a_full_card_is_said(card: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(counters, "limit", counters.allocated + (30 << 20))  # more than the model
    assert main(list(STEP)) == 1
    assert "the GPU's memory is full" in (said := capsys.readouterr().err)
    assert "a smaller --batch-size or --image-size needs less" in said


def test_pytorchs_place_and_precision() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.torch_memory import torch_device

    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    try:
        flags[1].allow_tf32 = True
        assert torch_device("cpu") == torch.device("cpu")
        assert flags[1].allow_tf32
        assert torch_device("gpu:1") == torch.device("cuda:1")
        assert not any(flag.allow_tf32 for flag in flags)
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


def test_all_of_pytorchs_tensors_are_on_its_device(
    small_cases: dict[Case, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device here is "meta", where tensors have shapes and no numbers: it stands for a card."""
    torch = pytest.importorskip("torch")
    from torch.utils import _pytree
    from torch.utils._python_dispatch import TorchDispatchMode

    from benchmarks import pytorch, torch_memory

    class OnlyThere(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            for leaf in _pytree.tree_leaves((args, kwargs)):
                if isinstance(leaf, torch.Tensor) and leaf.ndim:  # numbers may come from the host
                    assert leaf.device.type == "meta", function
            return function(*args, **(kwargs or {}))

    monkeypatch.setattr(torch_memory, "torch_device", lambda place: torch.device("meta"))
    for given in {given.kernel: given for given in small_cases}.values():
        for channels_last in (False, True):
            rival = pytorch.rival(given.kernel, filled(at_batch(given, 2)), channels_last, "gpu:0")
            with OnlyThere():
                rival.run()
