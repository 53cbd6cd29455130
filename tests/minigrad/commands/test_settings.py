"""Recipes and settings from the command line, to the numbers that a run writes down."""

import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from minigrad import Tensor, functional as F, nn
from minigrad.commands import run
from minigrad.commands.settings import help_of, kind_of, options_of
from minigrad.data import FashionMNIST
from minigrad.training import checkpoint
from minigrad.training.config import Config
from minigrad.training.loop import data_of
from tests.small_net import SmallNet

pytestmark = pytest.mark.usefixtures("cut_data")
OPTIONS = ("--device", "cpu", "--image-size", "28", "--batch-size", "40", "--test-limit", "50", "--epochs", "1")


class Outputs(NamedTuple):
    main: Tensor
    aux1: Tensor


class Options(nn.Module):
    """A network with an option of each kind. In width: nothing, for this paragraph does not begin with an option.

    width: of all layers, in
    channels. norm: "batch", or "none". dropout: 50% is 0.5.

    About aux: not this either.
    """

    def __init__(
        self, in_channels: int, num_classes: int, image_size: int, aux: bool = False, width: int = 4,
        dropout: float | None = None, norm: Literal["batch", "none"] | None = None, kind: Literal["a", "b"] = "a",
    ) -> None:
        super().__init__()
        self.given = aux, width, dropout, norm, kind
        self.conv = nn.Conv2d(in_channels, width, 5, stride=4)
        self.bn = nn.BatchNorm2d(width, activation="relu") if norm == "batch" else nn.ReLU()
        self.dropout = nn.Dropout(dropout or 0.0)
        self.aux1 = nn.Linear(width, num_classes) if aux else None
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Any:
        x = F.flatten(F.adaptive_avg_pool2d(self.bn(self.conv(x)), 1), 1)
        logits = self.fc(self.dropout(x))
        return Outputs(logits, self.aux1(x)) if self.aux1 and self.training else logits


def train(out: Path, *options: str, builder: type = Options) -> int:
    return run(builder, [*OPTIONS, "--out", str(out), *options])


def config(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "config.json").read_text())
    return read


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_options_of_the_network_come_from_its_constructor(tmp_path: Path) -> None:
    assert list(options_of(Options)) == ["aux", "width", "dropout", "norm", "kind"]
    assert train(tmp_path / "a", "--aux", "--width", "6", "--dropout", "0.25", "--norm", "batch", "--kind", "b") == 0
    assert config(tmp_path / "a")["model"] == {"aux": True, "width": 6, "dropout": 0.25, "norm": "batch", "kind": "b"}
    assert train(tmp_path / "b", "--norm", "none", "--no-aux") == 0
    assert config(tmp_path / "b")["model"] == {"aux": False, "norm": "none"}
    assert run(Options, ["evaluate", str(tmp_path / "a"), "--device", "cpu"]) == 0


def test_options_of_the_network_have_the_help_that_its_docstring_gives(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = list(options_of(Options))
    texts = {"width": "of all layers, in channels", "norm": '"batch", or "none"', "dropout": "50%% is 0.5"}
    assert help_of(Options, names) == texts
    assert help_of(SmallNet, names) == {}
    shown = help_shown(Options, capsys)
    assert re.search(r"--width N +of all layers, in channels\n", shown)
    assert re.search(r"--dropout F +50% is 0\.5\n", shown)
    assert re.search(r"--aux, --no-aux\n", shown)
    assert "options of the network" in shown


def test_a_network_without_options_has_no_heading_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert "options of the network" not in help_shown(SmallNet, capsys)


def help_shown(builder: type, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        run(builder, ["summary", "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        (bool, bool), (bool | None, bool), (int, int), (float | None, float), (int | float, float), (str, str),
        (Literal["a", "b"], ("a", "b")), (Literal["a", "b"] | None, ("a", "b")),
        (Literal[1, 2], None), (list[int], None), (int | str, None), (None, None), (type, None),
    ],
)  # fmt: skip
def test_what_an_option_of_a_type_takes(hint: Any, kind: Any) -> None:
    assert kind_of(hint) == kind


def test_a_network_of_a_users_own_has_the_options_that_can_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of words, too; of lists, and of what has no type, the default stays."""

    class Own(SmallNet):
        def __init__(
            self, in_channels: int, num_classes: int, image_size: int, words: str = "", bias: bool | None = None,
            sizes: list[int] = [3],  # noqa: B006
            anything=None,  # type: ignore[no-untyped-def]
        ) -> None:
            super().__init__(in_channels, num_classes, image_size)
            assert (sizes, anything) == ([3], None)

    assert train(tmp_path, "--words", "none", "--no-bias", builder=Own) == 0
    assert config(tmp_path)["model"] == {"words": "none", "bias": False}
    with pytest.raises(SystemExit):
        train(tmp_path, "--sizes", "3", builder=Own)
    assert "unrecognized arguments: --sizes 3" in capsys.readouterr().err


def test_an_option_of_the_network_with_the_name_of_another_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Seeded(SmallNet):
        def __init__(self, in_channels: int, num_classes: int, image_size: int, seed: int = 0) -> None:
            super().__init__(in_channels, num_classes, image_size)

    assert run(Seeded, ["--device", "cpu"]) == 1
    assert capsys.readouterr().err == "error: Seeded: seed: this command has an option of that name\n"


def test_the_losses_of_all_classifiers_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--aux", "--lr", "0.01") == 0
    steps, (epoch,) = lines(tmp_path / "steps.jsonl"), lines(tmp_path / "metrics.jsonl")
    for name in ("main_loss", "aux1_loss"):
        assert epoch[f"train_{name}"] == pytest.approx(np.mean([step[name] for step in steps]))
    for record in (*steps, {name: epoch[f"train_{name}"] for name in ("loss", "main_loss", "aux1_loss")}):
        assert record["loss"] == pytest.approx(record["main_loss"] + 0.3 * record["aux1_loss"])
    main, aux1 = (f"{epoch[f'train_{name}_loss']:.4f}" for name in ("main", "aux1"))
    printed = f"epoch 1: train loss {epoch['train_loss']:.4f} (main {main}, aux1 {aux1}) accuracy"
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize("after", [4, 10, 14])
def test_a_resumed_run_with_everything_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Averages, their statistics, the auxiliary losses so far, and the augmentation of the epoch."""
    options = (
        "--epochs", "2", "--checkpoint-every", "2", "--aux", "--norm", "batch", "--dropout", "0.2",
        "--averaging", "0.9", "--flip", "--shift", "2", "--erase", "0.5", "--label-smoothing", "0.1",
        "--schedule", "step",
    )  # fmt: skip
    assert train(tmp_path / "whole", *options) == 0
    original, count = nn.BatchNorm2d.forward, 0

    def crash(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
        nonlocal count
        count += self.training
        if count > after:
            raise OSError("crash")
        return original(self, x)

    monkeypatch.setattr(nn.BatchNorm2d, "forward", crash)
    assert train(tmp_path / "parts", *options) == 1
    monkeypatch.undo()
    monkeypatch.setenv("MINIGRAD_DATA", str(Path(__file__).parents[2] / "data" / "fashion-mnist"))
    resume(tmp_path / "parts")
    for name in ("checkpoint.safetensors", "averaged.safetensors"):
        ours, theirs = (checkpoint.load_arrays(tmp_path / run / name)[0] for run in ("whole", "parts"))
        assert ours.keys() == theirs.keys()
        assert all(ours[key].tobytes() == theirs[key].tobytes() for key in ours)
    ours, theirs = (lines(tmp_path / run / "metrics.jsonl") for run in ("whole", "parts"))
    for record in (*ours, *theirs):
        del record["seconds"], record["images_per_second"]
    assert ours == theirs
    assert lines(tmp_path / "whole" / "steps.jsonl") == lines(tmp_path / "parts" / "steps.jsonl")


def resume(out: Path) -> None:
    from minigrad.data import fashion_mnist
    from tests import cut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fashion_mnist, "FILES", cut.FILES)
        assert run(Options, ["--device", "cpu", "--resume", str(out), "--checkpoint-every", "2"]) == 0


def test_images_from_0_to_1_are_trained_and_tested_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    forward = Options.forward

    def note(self: Options, x: Tensor) -> Any:
        seen.append((self.training, x.data.min(), x.data.max()))
        return forward(self, x)

    monkeypatch.setattr(Options, "forward", note)
    options = ("--no-normalized", "--norm", "batch", "--averaging", "0.5", "--train-limit", "80")
    assert train(tmp_path / "run", *options) == 0
    trained = [each for each in seen if each[0]]
    assert len(trained) == 2 + 2, "two steps, and two batches for the statistics of the averaged model"
    assert len(seen) > len(trained)
    assert all((low, high) == (0, 1) for _, low, high in seen)


def test_augmented_images_are_seen(tmp_path: Path) -> None:
    """Another loss from the first step on, the same for the same seed."""
    for name, options in {"plain": [], "flip": ["--flip"], "again": ["--flip"], "crop": ["--crop", "0.3"]}.items():
        assert train(tmp_path / name, *options) == 0
    losses = {name: lines(tmp_path / name / "steps.jsonl")[0]["loss"] for name in ("plain", "flip", "again", "crop")}
    assert losses["flip"] == losses["again"]
    assert len(set(losses.values())) == 3


def test_held_out_images_are_tested_on_and_not_trained_on(cut_data: FashionMNIST) -> None:
    trained, tested, name = data_of(cut_data, Config("Options", hold_out=100, test_limit=30))
    assert name == "validation"
    np.testing.assert_array_equal(trained[0], cut_data.train_images[:300])
    np.testing.assert_array_equal(trained[1], cut_data.train_labels[:300])
    np.testing.assert_array_equal(tested[0], cut_data.train_images[300:330])
    np.testing.assert_array_equal(tested[1], cut_data.train_labels[300:330])


def test_held_out_results_have_a_name_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        from minigrad.data import fashion_mnist
        from tests import cut

        patch.setattr(fashion_mnist, "FILES", cut.FILES)
        patch.setenv("MINIGRAD_DATA", str(cut.FOLDER))
        assert train(tmp_path / "run", "--hold-out", "300") == 0
        assert train(tmp_path / "none", "--hold-out", "400") == 1
    (record,) = lines(tmp_path / "run" / "metrics.jsonl")
    assert "validation_accuracy" in record
    assert "test_accuracy" not in record
    assert not (tmp_path / "none").exists(), "it would be in the way of the next try"
    assert len(lines(tmp_path / "run" / "steps.jsonl")) == 3
    printed = capsys.readouterr()
    assert "100 training and 50 validation images" in printed.out
    assert "hold_out: given 400, expected fewer than 400 images" in printed.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shift", "2", "--crop", "0.5"], "shift: given 2 beside crop 0.5"),
        (["--crop", "1.5"], "crop: given 1.5"),
        (["--optimizer", "adam", "--momentum", "0.5"], "momentum: given 0.5, expected none with the optimiser adam"),
        (["--norm", "batch", "--batch-size", "57"], "batch_size: given 57, which leaves the last batch one of 400"),
        (["--norm", "batch", "--batch-size", "1"], "batch_size: given 1, which leaves the last batch one of 400"),
        (["--shift", "28"], "shift: given 28, expected less than the 28x28 images"),
        (["--averaging", "1"], "averaging: given 1.0, expected 0 or more, and below 1"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert train(tmp_path / "run", *options) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_resuming_refuses_options_of_the_network_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "run", builder=SmallNet) == 0
    with pytest.raises(SystemExit):
        run(Options, ["--resume", str(tmp_path / "run"), "--norm", "batch", "--flip"])
    assert "not allowed beside it: --norm, --flip" in capsys.readouterr().err


def test_words_in_brackets_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which rich would take for colours: those of what to install for a card, and of folders."""
    monkeypatch.setattr("minigrad.device.missing_for_gpu", lambda number: "pip install 'cupy-cuda13x[ctk]'")
    assert run(SmallNet, [*OPTIONS[2:], "--train-limit", "40", "--out", str(tmp_path / "[bold]")]) == 0
    printed = capsys.readouterr().out
    assert "using the CPU: pip install 'cupy-cuda13x[ctk]'" in printed
    assert f"run folder {tmp_path / '[bold]'}" in printed
