"""Which of a run's weights the commands take, and that each says so."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad import device
from minigrad.commands import run
from minigrad.commands.trained import load_trained
from minigrad.data import FashionMNIST
from minigrad.training import averaged, checkpoint
from tests.minigrad.commands.made_run import made_run
from tests.small_net import SmallNet

OF_AVERAGING = {
    "averaged": "averaged weights; --raw takes those of the last step",
    "raw": "the weights of the last step",
    "missing": "the weights of the last step, for there are no averaged ones yet",
}
"""What is said of a run that averages: by default, with --raw, and where the averaged weights are not there."""
SIZE = 24
"""Pixels; the last pool then has windows of one size, as ONNX needs them."""
each = pytest.mark.parametrize("kind", OF_AVERAGING)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, SmallNet]:
    """A run with both kinds of weights, in the folder `run`; the models that have them, by the kinds above."""
    last = made_run(tmp_path / "run", 0, SIZE)
    mean = made_run(tmp_path / "run", 1, SIZE, averaged.NAME)
    return {"averaged": mean, "raw": last, "missing": last}


def remove_if(missing: bool, folder: Path) -> None:
    if missing:
        (folder / averaged.NAME).unlink()


@each
def test_the_averaged_weights_if_there_are_any(kind: str, models: dict[str, SmallNet], tmp_path: Path) -> None:
    remove_if(kind == "missing", tmp_path / "run")
    trained = load_trained(SmallNet, tmp_path / "run", device.CPU, raw=kind == "raw")
    assert trained.weights == OF_AVERAGING[kind]
    expected = models[kind].state_dict()
    for name, array in trained.model.state_dict().items():
        np.testing.assert_array_equal(array, expected[name])


@each
@pytest.mark.parametrize("command", ["evaluate", "predict", "export", "explain"])
def test_each_command_says_which(
    command: str, kind: str, models: dict[str, SmallNet], tmp_path: Path, cut_data: FashionMNIST,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    remove_if(kind == "missing", tmp_path / "run")
    Image.fromarray(cut_data.test_images[0]).save(tmp_path / "picture.png")
    given = {"predict": [str(tmp_path / "picture.png")], "export": [str(tmp_path / "model.onnx")]}.get(command, [])
    place = [] if command == "export" else ["--device", "cpu"]
    raw = ["--raw"] if kind == "raw" else []
    assert run(SmallNet, [command, str(tmp_path / "run"), *given, *place, *raw]) == 0
    assert f"{tmp_path / 'run'}: {OF_AVERAGING[kind]}\n" in capsys.readouterr().out


def test_a_run_that_averages_nothing_has_but_one_kind(tmp_path: Path) -> None:
    model = made_run(tmp_path, 0)
    trained = load_trained(SmallNet, tmp_path, device.CPU)
    assert (tmp_path / checkpoint.NAME).exists()
    assert trained.weights == ""
    np.testing.assert_array_equal(trained.model.fc.weight.data, model.fc.weight.data)
