"""The evaluate command."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from minigrad import device
from minigrad.commands import run
from minigrad.data import CLASS_NAMES, FashionMNIST
from minigrad.training import Evaluation, averaged, evaluate, plots
from minigrad.training.config import Config
from minigrad.training.evaluation import mean_prediction, tta_views
from tests import cupy_standin, on_card
from tests.cupy_standin.counters import counters
from tests.minigrad.commands.made_run import made_run, probabilities
from tests.small_net import SmallNet

pytestmark = pytest.mark.usefixtures("cut_data")
Evaluate = Callable[..., str]


@pytest.fixture
def evaluated(capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """What the command prints on the CPU, without the lines of progress."""

    def command(*words: str | Path) -> str:
        capsys.readouterr()
        assert run(SmallNet, ["evaluate", *map(str, words), "--device", "cpu"]) == 0
        return "\n".join(line for line in capsys.readouterr().out.splitlines() if not line.startswith("test "))

    return command


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    out = tmp_path / "run"
    options = ["--image-size", "28", "--epochs", "1", "--batch-size", "64", "--averaging", "0.5"]
    assert run(SmallNet, ["--device", "cpu", *options, "--out", str(out)]) == 0
    return out


def figures(predicted: np.ndarray, labels: np.ndarray) -> str:
    """How the command puts what (M, 10) probabilities come to."""
    loss = -np.log(predicted[np.arange(len(labels)), labels]).mean()
    return f"loss {loss:.4f}, accuracy {(predicted.argmax(axis=1) == labels).mean():.4f}"


def test_evaluate_repeats_the_last_test_of_the_run(trained: Path, evaluated: Evaluate) -> None:
    """The averaged model's, for this run has one, or with --raw that of the last step."""
    record = json.loads((trained / "metrics.jsonl").read_text())
    for options, prefix in ((["--raw"], "test"), ([], "averaged_test")):
        text = evaluated(trained, *options)
        expected = f"loss {record[f'{prefix}_loss']:.4f}, accuracy {record[f'{prefix}_accuracy']:.4f}"
        assert text.splitlines()[-1] == f"{expected} on 200 test images"
        assert ("averaged weights" in text) == (not options)
        assert "Ankle boot" in text
    assert record["test_loss"] != record["averaged_test_loss"]
    (trained / averaged.NAME).unlink()
    assert "the weights of the last step, for there are no averaged ones yet" in evaluated(trained)


def test_an_ensemble_averages_probabilities(tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST) -> None:
    """Of runs with images of different sizes, one of which has averaged weights; each is told apart, then together."""
    labels = cut_data.test_labels
    sizes = {"a": 28, "b": 20, "c": 28}
    models = {name: made_run(tmp_path / name, seed, sizes[name]) for seed, name in enumerate(sizes)}
    models["c"] = made_run(tmp_path / "c", 7, name=averaged.NAME)
    each = {name: probabilities(model, cut_data.test_images, sizes[name]) for name, model in models.items()}
    text = evaluated(*(tmp_path / name for name in sizes))
    for name, own in each.items():
        assert f"{tmp_path / name}: {figures(own, labels)}" in text
    assert text.count("averaged weights") == 1
    assert text.splitlines()[-1] == f"ensemble of 3: {figures(sum(each.values()) / 3, labels)} on 200 test images"


def test_held_out_images_are_tested_on(
    tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last of the training images. Runs that held out others, or none, cannot be tested on the same."""
    for name, seed, held_out in (("a", 1, 150), ("b", 2, 150), ("c", 3, 40), ("d", 4, 0)):
        made_run(tmp_path / name, seed)
        Config("SmallNet", image_size=28, hold_out=held_out).save(tmp_path / name)
    models = [made_run(tmp_path / "e", seed) for seed in (1, 2)]
    images, labels = cut_data.train_images[-150:], cut_data.train_labels[-150:]
    both = sum(probabilities(model, images) for model in models) / 2
    text = evaluated(tmp_path / "a", tmp_path / "b", "--validation")
    assert text.splitlines()[-1] == f"ensemble of 2: {figures(both, labels)} on 150 validation images"
    for runs, held in (("ac", [40, 150]), ("d", [0])):
        with pytest.raises(SystemExit):
            run(SmallNet, ["evaluate", *(str(tmp_path / name) for name in runs), "--validation", "--device", "cpu"])
        assert f"--validation: the runs have held out {held} images" in capsys.readouterr().err


def test_averaged_weights_that_are_not_the_runs_are_left_alone(
    tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST
) -> None:
    made_run(tmp_path, 1, name=averaged.NAME)
    model = made_run(tmp_path, 0)  # of a run that averages nothing
    text = evaluated(tmp_path)
    assert figures(probabilities(model, cut_data.test_images), cut_data.test_labels) in text


def test_images_are_made_ready_as_the_run_says(tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST) -> None:
    model = made_run(tmp_path / "run", 0)
    Config("SmallNet", image_size=28, normalized=False).save(tmp_path / "run")
    expected = figures(probabilities(model, cut_data.test_images, normalized=False), cut_data.test_labels)
    assert expected != figures(probabilities(model, cut_data.test_images), cut_data.test_labels)
    assert expected in evaluated(tmp_path / "run")


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images whose pixel (r, c) is what was (r + down, c + right), 0 where there was nothing."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    _, height, width = images.shape
    return padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def test_tta_looks_in_the_ways_that_a_run_has_learnt_from(
    tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST
) -> None:
    """Each model of an ensemble looks at the images in the ways that it has learnt from."""
    labels, means = cut_data.test_labels, []
    moved = [shifted(cut_data.test_images, *by) for by in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]
    for name, flip, steps in (("plain", False, (1,)), ("mirrored", True, (1, -1))):
        model = made_run(tmp_path / name, 0)
        Config("SmallNet", image_size=28, flip=flip).save(tmp_path / name)
        seen = [probabilities(model, images[:, :, ::step]) for images in moved for step in steps]
        means.append(sum(seen) / len(seen))
        expected = figures(means[-1], labels)
        assert expected != figures(seen[0], labels)
        text = evaluated(tmp_path / name, "--tta")
        assert text.splitlines()[-1] == f"{expected} on 200 test images, each seen in {len(seen)} ways"
    text = evaluated(tmp_path / "plain", tmp_path / "mirrored", "--tta")
    expected = figures(sum(means) / 2, labels)
    assert text.splitlines()[-1] == f"ensemble of 2: {expected} on 200 test images, each seen in 5 or 10 ways"


def test_probabilities_keep_their_images(cut_data: FashionMNIST, tmp_path: Path) -> None:
    """More images than a batch, and more than one view of them."""
    model, console = made_run(tmp_path / "run", 0), Console(file=io.StringIO())
    images, labels = cut_data.test_images, cut_data.test_labels
    config = Config("SmallNet", image_size=28)
    plain = evaluate(model, images, labels, config, console, 10)
    np.testing.assert_allclose(plain.probabilities, probabilities(model, images), rtol=1e-4)
    views = tta_views(*images.shape, with_mirrored=True)[5:6]  # mirrored only
    both = evaluate(model, images, labels, config, console, 10, views=[None, *views])
    expected = (plain.probabilities + probabilities(model, images[:, :, ::-1])) / 2
    np.testing.assert_allclose(both.probabilities, expected, rtol=1e-4)
    nothing = evaluate(model, images[:0], labels[:0], config, console, 10)
    assert (nothing.loss, nothing.accuracy, nothing.probabilities.shape) == (0.0, 0.0, (0, 10))


def test_a_prediction_of_nothing_but_a_wrong_class_has_a_finite_loss() -> None:
    sure = mean_prediction(np.array([[[1.0, 0.0]]]), np.array([1]))
    assert 700 < sure.loss < 710
    assert sure.confusion.tolist() == [[0, 0], [1, 0]]


@on_card.NEEDS_GPP
def test_nobody_waits_for_a_card_between_batches(
    tmp_path: Path, cut_data: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.training.evaluation.BATCH_SIZE", 4)
    model, console = made_run(tmp_path / "run", 0), Console(file=io.StringIO())
    config, waits = Config("SmallNet", image_size=28), []

    def tested(place: str, count: int) -> Evaluation:
        images, labels = (device.to(a[:count], place) for a in (cut_data.test_images, cut_data.test_labels))
        views = tta_views(*images.shape, with_mirrored=False)[:3]
        return evaluate(model.to(place), images, labels, config, console, 10, views=views)

    on_cpu = tested("cpu", 16)
    with cupy_standin.installed():
        for count in (4, 16):
            counters.reset()
            on_gpu = tested("gpu", count)
            waits.append(counters.synchronisations)
        model.to("cpu")
    assert waits[0] == waits[1] > 0
    np.testing.assert_allclose(on_gpu.probabilities, on_cpu.probabilities, rtol=1e-4)


def test_a_gallery_shows_the_most_confident_mistakes(
    tmp_path: Path, evaluated: Evaluate, cut_data: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    save = plots._save
    monkeypatch.setattr(plots, "_save", lambda figure, path: (figures.append(figure), save(figure, path)))
    model = made_run(tmp_path / "run", 0)
    evaluated(tmp_path / "run", "--gallery", tmp_path / "mistakes.png")
    assert (tmp_path / "mistakes.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mistakes.png"]
    predicted, labels = probabilities(model, cut_data.test_images), cut_data.test_labels
    right = predicted.argmax(axis=1) == labels
    order = np.argsort(np.where(right, 0, -predicted.max(axis=1)))[:30]
    shown = figures[0].axes
    assert len(shown) == 30
    for axes, index in zip(shown, order, strict=True):
        guess = predicted[index].argmax()
        names = f"{CLASS_NAMES[labels[index]]} →\n{CLASS_NAMES[guess]} {predicted[index, guess]:.2f}"
        assert axes.get_title() == names
        np.testing.assert_array_equal(axes.images[0].get_array(), cut_data.test_images[index])


def test_evaluate_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "run", 0)
    assert run(SmallNet, ["evaluate", str(tmp_path / "run"), str(tmp_path / "nowhere"), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert said.out == "", "all runs are looked at before the first is tested"
    assert "expected the folder of a training run" in said.err
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"broken")
    assert run(SmallNet, ["evaluate", str(tmp_path / "run"), "--device", "cpu"]) == 1
    assert "not a readable safetensors file" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["evaluate", "RUN", "--gallery"], ["export", "RUN"]])
@pytest.mark.parametrize("place", ["none/file", ".", ""])
def test_where_nothing_can_be_written_is_said_at_once(
    words: list[str], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        run(SmallNet, [*words, place])
    assert f"given {place!r}, expected the name of a file in a folder that is there" in capsys.readouterr().err


def test_full_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forward(self: SmallNet, x: object) -> None:
        raise MemoryError("Unable to allocate 4.88 PiB")

    made_run(tmp_path / "run", 0)
    monkeypatch.setattr(SmallNet, "forward", forward)
    for words in (["evaluate", str(tmp_path / "run")], ["--out", str(tmp_path / "new")]):
        assert run(SmallNet, [*words, "--device", "cpu"]) == 1
        assert re.fullmatch("error: memory is full. Unable to allocate 4.88 PiB; .*\n", capsys.readouterr().err)
    assert run(SmallNet, ["summary"]) == 1
    assert "memory is full" in capsys.readouterr().err
