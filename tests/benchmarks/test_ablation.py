"""The ablation of the best recipe, without its hours of training."""

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import ablation
from benchmarks.__main__ import main
from googlenet import GoogLeNet
from minigrad.commands import INTERRUPTED
from minigrad.commands.settings import given
from minigrad.commands.train import parser
from minigrad.training import checkpoint, metrics
from minigrad.training.config import Config, ConfigError
from minigrad.training.recipes import settings
from minigrad.training.run_files import alone_in

FIGURES = ("validation_accuracy", "averaged_validation_accuracy", "seconds")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs leave, and what they take for their program's name."""
    monkeypatch.setattr(ablation, "UNFINISHED", tmp_path / "runs")
    monkeypatch.setattr(sys, "argv", ["benchmarks/__main__.py", "ablation"])


def come_to(monkeypatch: pytest.MonkeyPatch, *shares: float | None) -> None:
    """Have the runs come to these accuracies in turn, or fail."""
    left = iter(shares)

    def train(arguments: list[str], run: Path) -> dict[str, Any] | None:
        run.mkdir(parents=True)
        share = next(left)
        return None if share is None else dict.fromkeys(FIGURES, share)

    monkeypatch.setattr(ablation, "train", train)


def config(name: str) -> Config:
    options: argparse.Namespace = parser(GoogLeNet).parse_args([*ablation.SHORT, *ablation.CHANGES[name]])
    return settings(GoogLeNet, "best", given(options, GoogLeNet))


@pytest.mark.parametrize("name", [name for name in ablation.CHANGES if name != "best"])
def test_each_change_is_one(name: str) -> None:
    """It differs from the recipe by as many settings as it has options, and its network can be built."""
    ours, best = ({**vars(config(each)), **config(each).model} for each in (name, "best"))
    differing = {key for key in ours if key != "model" and ours[key] != best.get(key)}
    assert len(differing) == sum(word.startswith("--") for word in ablation.CHANGES[name])
    config(name).build_model(GoogLeNet)


def test_what_is_done_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained: list[list[str]] = []

    def train(arguments: list[str], run: Path) -> dict[str, Any] | None:
        trained.append(arguments)
        run.mkdir(parents=True)
        share = 0.9 - 0.01 * len(trained)
        return {"validation_accuracy": share, "averaged_validation_accuracy": share + 0.005, "seconds": 7.0}

    monkeypatch.setattr(ablation, "train", train)
    file = tmp_path / "a.jsonl"
    command = ["ablation", "--json", str(file), "--epochs", "2", "--only"]
    assert main([*command, "best"]) == 0
    assert main([*command, "best", "without holes"]) == 0
    assert [arguments[-4:] for arguments in trained] == [
        ["--epochs", "2", "--train-limit", "15000"],
        ["--train-limit", "15000", "--erase", "0"],
    ]
    assert [record["name"] for record in metrics.read(file)] == ["best", "without holes"]
    recipe = {**ablation.RECIPES["best"], "epochs": 99}
    monkeypatch.setitem(ablation.RECIPES, "best", recipe)
    assert main([*command, "without holes"]) == 0
    assert len(trained) == 2, "how long the recipe trains makes no difference to a short run"
    printed = capsys.readouterr().out.rpartition("accuracy on 5,000 held-out images")[2].splitlines()
    (line,) = [line for line in printed if "without holes │" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "without holes", "0", "88.50", "-1.00", "88.00", "-1.00", "7",
    ]  # fmt: skip
    assert main([*command[:-1], "--image-size", "32", "--only", "best"]) == 0
    assert trained[2][-2:] == ["--image-size", "32"], "what was done on larger images does not count"


def test_each_seed_is_compared_with_the_recipe_of_that_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    come_to(monkeypatch, 0.9, 0.5, 0.91, 0.53)
    file = tmp_path / "a.jsonl"
    command = ["ablation", "--json", str(file), "--only", "best", "without holes"]
    assert main([*command, "--seeds", "0", "1"]) == 0
    assert [(record["name"], record["arguments"][-2:]) for record in metrics.read(file)] == [
        ("best", ["--train-limit", "15000"]), ("best", ["--seed", "1"]),
        ("without holes", ["--erase", "0"]), ("without holes", ["--seed", "1"]),
    ]  # fmt: skip
    printed = capsys.readouterr().out.partition("held-out images")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")][:4] for line in printed if "without holes │" in line]
    assert rows == [["without holes", "0", "91.00", "+1.00"], ["without holes", "1", "53.00", "+3.00"]]
    assert main(command) == 0, "seed 0 is done"
    come_to(monkeypatch, 0.9)
    assert main([*command[:-1], "--seeds", "2"]) == 0
    assert metrics.read(file)[-1]["arguments"][-2:] == ["--seed", "2"]


@pytest.mark.parametrize("other", ["epochs", "recipe"])
def test_what_was_done_otherwise_does_not_count(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    come_to(monkeypatch, 0.5, 0.9)
    command = ["ablation", "--json", str(tmp_path / "a.jsonl"), "--only", "best"]
    assert main(command) == 0
    if other == "recipe":
        monkeypatch.setitem(ablation.RECIPES, "best", ablation.RECIPES["best"] | {"lr": 0.2})
    capsys.readouterr()
    assert main([*command, *(["--epochs", "3"] if other == "epochs" else [])]) == 0
    printed = capsys.readouterr().out
    assert "90.00" in printed
    assert "50.00" not in printed


def test_a_run_that_fails_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    come_to(monkeypatch, None, 0.9)
    names = ["without holes", "without shifts"]
    assert main(["ablation", "--json", str(tmp_path / "a.jsonl"), "--only", *names]) == 1
    assert [record["name"] for record in metrics.read(tmp_path / "a.jsonl")] == names[1:]


def test_ctrl_c_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """googlenet.py ends its run as it should, and says so by its status."""
    programs: list[str] = []

    def stopped(arguments: list[str]) -> int:
        programs.append(sys.argv[0])
        return INTERRUPTED

    monkeypatch.setattr(ablation.googlenet, "main", stopped)
    assert main(["ablation", "--json", str(tmp_path / "a.jsonl")]) == 130
    assert capsys.readouterr().out.count(":") == 1, "no second run was begun"
    assert programs == ["googlenet.py"], "whose --resume goes on with the run, and is what its last line should name"


@pytest.mark.parametrize("left", [checkpoint.NAME, checkpoint.PREVIOUS])
def test_a_run_is_googlenets(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last epoch, with the seconds of all; it is done again only as far as it was not."""
    calls: list[list[str]] = []
    file = tmp_path / "a.jsonl"

    def train(arguments: list[str]) -> int:
        """Ended from outside before the first checkpoint, stopped in epoch 2, and at the end."""
        calls.append(arguments)
        run = Path(arguments[arguments.index("--out" if "--out" in arguments else "--resume") + 1])
        if "--out" in arguments:
            run.mkdir(parents=True)
            (run / "config.json").touch()
            if len(calls) == 1:
                return 1
            (run / left).touch()
            metrics.append(run / metrics.EPOCHS, {"epoch": 1, **dict.fromkeys(FIGURES, 0.1), "seconds": 5.0})
            return INTERRUPTED
        metrics.append(run / metrics.EPOCHS, {"epoch": 2, **dict.fromkeys(FIGURES, 0.2), "seconds": 6.0})
        return 0

    monkeypatch.setattr(ablation.googlenet, "main", train)
    command = ["ablation", "--json", str(file), "--only", "best"]
    assert [main(command) for _ in range(3)] == [1, INTERRUPTED, 0]
    (record,) = metrics.read(file)
    figures = {"epoch": 2, **dict.fromkeys(FIGURES, 0.2), "seconds": 11.0}
    assert figures.items() <= record.items()
    new, again, going_on = calls
    run = new[-1]
    assert new == again == [*ablation.SHORT, "--epochs", "10", "--train-limit", "15000", "--out", run]
    assert going_on == ["--resume", run, *ablation.PLAIN]
    assert given(parser(GoogLeNet).parse_args(going_on), GoogLeNet) == {}, "a resumed run takes no settings"
    assert not Path(run).exists()


def test_a_run_whose_figures_are_not_kept_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder stays until they are."""
    come_to(monkeypatch, 0.9)
    (tmp_path / "no folder").touch()
    with pytest.raises(OSError, match="no folder"):
        main(["ablation", "--json", str(tmp_path / "no folder" / "a.jsonl"), "--only", "best"])
    assert len([*ablation.UNFINISHED.iterdir()]) == 1


def test_another_at_work_on_the_same_run_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its first epoch too, when there is nothing yet to go on with."""
    monkeypatch.setattr(ablation.googlenet, "main", lambda arguments: 0)
    (tmp_path / "config.json").touch()
    with alone_in(tmp_path), pytest.raises(ConfigError, match="another run is at work"):
        ablation.train(["--epochs", "2"], tmp_path)
    assert (tmp_path / "config.json").exists()


def test_each_run_has_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none goes on with what another has left, and each finds its own."""
    runs: list[Path] = []
    monkeypatch.setattr(ablation, "train", lambda arguments, run: runs.append(run))
    command = ["ablation", "--json", str(tmp_path / "a.jsonl"), "--only", "best", "without holes"]
    for options in ([], [], ["--epochs", "3"]):
        assert main([*command, *options]) == 1
    monkeypatch.setitem(ablation.RECIPES, "best", ablation.RECIPES["best"] | {"lr": 0.2})
    assert main(command) == 1
    assert runs[:2] == runs[2:4]
    assert len({*runs}) == 6
    assert {run.parent for run in runs} == {ablation.UNFINISHED}
