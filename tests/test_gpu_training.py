"""`python googlenet.py --device gpu`, whole, on the stand-in for CuPy: it learns what the CPU learns, waits for nobody,
and its checkpoints serve both devices. On a machine with a card, `make gpu-check` does the same on the card."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import googlenet
from minigrad import device
from minigrad.data import FashionMNIST
from minigrad.training.checkpoint import NAME, load_arrays
from tests import cupy_standin, on_card
from tests.cupy_standin import blas, devices
from tests.cupy_standin.counters import Counters, counters

pytestmark = on_card.NEEDS_GPP
STEPS = 10
OPTIONS = (
    "--image-size", "32", "--batch-size", "4", "--train-limit", str(4 * STEPS), "--test-limit", "8",
    "--optimizer", "sgd", "--lr", "3e-4", "--epochs", "1",
)  # fmt: skip
Run = Callable[..., Path]


@pytest.fixture
def card() -> Iterator[Counters]:
    """A machine with CuPy and two cards, and what they count."""
    with cupy_standin.installed():
        counters.reset()
        yield counters


@pytest.fixture
def run(cut_data: FashionMNIST, tmp_path: Path) -> Run:
    """googlenet.py's run in a folder of that name, with these options behind OPTIONS."""

    def train(name: str, *options: str, status: int = 0) -> Path:
        folder = tmp_path / name
        assert googlenet.main(["--out", str(folder), *OPTIONS, *options]) == status
        return folder

    return train


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "steps.jsonl").read_text().splitlines()]


def metrics(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return record


def test_the_first_ten_losses_are_the_cpus(card: Counters, run: Run) -> None:
    """Dropout and all: its masks are counted out, and so are the same on both."""
    on_cpu, on_card = run("cpu", "--device", "cpu"), run("gpu", "--device", "gpu")
    assert len(losses(on_card)) == STEPS
    np.testing.assert_allclose(losses(on_card), losses(on_cpu), rtol=1e-4)
    for name in ("train_accuracy", "test_accuracy"):
        assert metrics(on_card)[name] == metrics(on_cpu)[name]
    np.testing.assert_allclose(metrics(on_card)["test_loss"], metrics(on_cpu)["test_loss"], rtol=1e-4)


def test_so_they_are_with_all_that_training_can_do(card: Counters, run: Run) -> None:
    """Views of the images, normalisations, averaged weights with statistics of their own, auxiliary classifiers. Batch
    statistics of four images magnify what is rounded off, at the rate of the other tests to 2e-4 in the third step."""
    options = (
        "--image-size", "65", "--train-limit", "8", "--lr", "3e-5", "--aux", "--lrn", "--norm", "batch",
        "--averaging", "0.9", "--flip", "--crop", "0.3", "--erase", "0.5", "--label-smoothing", "0.1",
        "--schedule", "step",
    )  # fmt: skip
    on_cpu, on_card = run("cpu", "--device", "cpu", *options), run("gpu", "--device", "gpu", *options)
    np.testing.assert_allclose(losses(on_card), losses(on_cpu), rtol=1e-4)
    timed = ("seconds", "images_per_second")
    ours, theirs = ({k: v for k, v in metrics(folder).items() if k not in timed} for folder in (on_card, on_cpu))
    assert ours == pytest.approx(theirs, rel=1e-3)
    assert {"train_aux2_loss", "averaged_test_loss"} < ours.keys()


def test_a_checkpoint_serves_both_devices(
    card: Counters, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = run("gpu", "--device", "gpu", "--train-limit", "4")
    capsys.readouterr()
    said = []
    for place in ("cpu", "gpu"):
        assert googlenet.main(["evaluate", str(folder), "--device", place, "--test-limit", "8"]) == 0
        said.append(capsys.readouterr().out.splitlines()[-1])
    assert said[0] == said[1]
    assert "accuracy" in said[0]


def test_a_run_goes_on_with_the_same_bits(card: Counters, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a checkpoint in the middle of an interval in which nobody looks."""
    options = ("--device", "gpu", "--train-limit", "20", "--checkpoint-every", "2")
    whole = run("whole", *options)
    real, left = googlenet.GoogLeNet.forward, [3]

    def forward(self: Any, x: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(googlenet.GoogLeNet, "forward", forward)
        parts = run("parts", *options, status=130)
    assert googlenet.main(["--device", "gpu", "--resume", str(parts)]) == 0
    ours, theirs = load_arrays(whole / NAME)[0], load_arrays(parts / NAME)[0]
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(theirs[name], array, name)
    assert losses(parts) == losses(whole)


def test_a_loss_that_is_not_finite_stops_the_updates(
    card: Counters, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks before step 10; the error names the step all the same, and no later step has changed a weight."""
    kept: list[dict[str, np.ndarray]] = []
    real = googlenet.GoogLeNet.forward

    def forward(self: Any, x: Any) -> Any:
        if self.training:
            kept.append(self.state_dict())
            if len(kept) == 4:
                x = x * float("nan")
        return real(self, x)

    monkeypatch.setattr(googlenet.GoogLeNet, "forward", forward)
    folder = run("diverged", "--device", "gpu", status=1)
    assert "step 4 (epoch 1)" in (said := capsys.readouterr().err)
    assert "the loss is nan; the last batch, tried again, has only finite numbers; nothing was saved yet" in said
    assert not (folder / NAME).exists()
    assert len(losses(folder)) == 3
    assert len(kept) == STEPS + 1, "the steps behind it ran, for nobody knew, and then one to see where it began"
    for name, before in kept[3].items():
        np.testing.assert_array_equal(kept[-1][name], before)
        assert not np.array_equal(kept[0][name], before), "and the steps before it learned"


def test_a_full_card_is_said_with_what_helps(
    card: Counters, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card, "limit", card.allocated + (60 << 20))
    run("full", "--device", "gpu", status=1)
    said = capsys.readouterr().err
    assert said.startswith("error: the GPU's memory is full. Out of memory allocating ")
    assert "of its" in said
    assert "a smaller --batch-size or --image-size needs less" in said


def test_a_card_that_is_not_there_is_refused(card: Counters, capsys: pytest.CaptureFixture[str]) -> None:
    assert googlenet.main(["--device", "gpu:2"]) == 1
    assert "--device gpu:2: there are 2 cards, gpu:0 to gpu:1" in capsys.readouterr().err


def test_the_cpu_has_no_choice_of_precision(card: Counters, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        googlenet.main(["--device", "cpu", "--precision", "tf32"])
    assert "--precision: only a GPU has a choice" in capsys.readouterr().err


def test_another_card_and_another_precision(card: Counters, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "math_modes", modes := [])
    try:
        run("second", "--device", "gpu:1", "--precision", "tf32", "--train-limit", "4")
        assert devices.current() == 1
    finally:
        devices.Device(0).use()
    assert modes == [device.TF32_TENSOR_OP_MATH]
