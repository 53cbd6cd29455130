"""The committed results are of runs that today's recipes make, and the tables say what the files say."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from googlenet import GoogLeNet
from minigrad.commands.settings import given
from minigrad.commands.train import parser
from minigrad.training.config import Config
from minigrad.training.recipes import RECIPES, settings

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TEXT = (RESULTS / "README.md").read_text()
README = (RESULTS.parents[1] / "README.md").read_text()
ROWS = {
    match[1]: (match[2], match[0])
    for match in re.finditer(r"^\| \[`([\w-]+)`\]\(\1\) \| `([^`]+)`.*", TEXT, re.M)
}
"""By folder: the options of its command, and the whole row of the table."""


def records(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / file).read_text().splitlines()]


def test_each_folder_has_its_row() -> None:
    assert set(ROWS) == {path.name for path in RESULTS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", ROWS)
def test_the_command_makes_this_run_today(name: str) -> None:
    options = parser(GoogLeNet).parse_args(shlex.split(ROWS[name][0]))
    chosen = given(options, GoogLeNet)
    assert Config.load(RESULTS / name, "GoogLeNet") == settings(GoogLeNet, chosen.pop("recipe", "adam"), chosen)


@pytest.mark.parametrize("name", ROWS)
def test_the_table_says_what_the_run_came_to(name: str) -> None:
    epochs = records(f"{name}/metrics.jsonl")
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, Config.load(RESULTS / name, "GoogLeNet").epochs + 1))
    row = ROWS[name][1]
    accuracies = re.findall(r"0\.\d{4}", row)
    last = epochs[-1]
    assert accuracies[0] == f"{last.get('averaged_test_accuracy', last['test_accuracy']):.4f}"
    assert f"{last['test_accuracy']:.4f}" in accuracies
    assert f"{sum(epoch['seconds'] for epoch in epochs):,.0f}" in row


def test_the_readme_says_what_the_runs_came_to() -> None:
    """In its table, the last epoch of runs whose commands the table here has too."""
    by_options = {options: name for name, (options, _) in ROWS.items()}
    by_options |= {"": "adam", "make train": "googlenet-20000"}
    rows = re.findall(r"^\| `(make train|\.venv/bin/python googlenet\.py[^`]*)`[^|]*\|(.*)\|$", README, re.M)
    assert len(rows) == 6
    for command, cells in rows:
        name = by_options[command.removeprefix(".venv/bin/python googlenet.py").strip()]
        epochs = records(f"{name}/metrics.jsonl")
        last = epochs[-1]
        tested = "averaged_test" if "averaged_test_loss" in last else "test"
        train_loss = "train_main_loss" if "train_main_loss" in last else "train_loss"
        losses = [f"{last[key]:.4f}" for key in (train_loss, "train_accuracy", f"{tested}_loss")]
        seconds = f"{sum(epoch['seconds'] for epoch in epochs):,.0f}"
        speed = f"{last['images_per_second']:.1f}"
        epoch, *figures = [cell.strip() for cell in cells.split("|")]
        assert epoch.split()[0] == str(last["epoch"])
        assert figures == [
            *losses, f"**{last[f'{tested}_accuracy']:.4f}**", speed, seconds,
        ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ROWS if (RESULTS / name / "evaluate.txt").exists()])
def test_the_table_says_what_was_printed_of_the_run(name: str) -> None:
    printed = (RESULTS / name / "evaluate.txt").read_text()
    by_views = re.search(r"accuracy (0\.\d{4}) on 10000 test images, each seen in \d+ ways", printed)
    of_onnx = re.search(r"the same class for 10,000 of 10,000 test images, logits at most (\S+) apart", printed)
    assert by_views is not None
    assert of_onnx is not None
    assert f"with `evaluate --tta` {by_views[1]}" in ROWS[name][1]
    assert of_onnx[1] in TEXT


def test_the_text_says_what_was_printed_of_the_ensemble() -> None:
    printed = (RESULTS / "ensemble.txt").read_text()
    *alone, together = re.findall(r"accuracy (0\.\d{4})", printed)
    (paragraph,) = [each for each in TEXT.split("\n\n") if "(ensemble.txt)" in each]
    assert f"**{together}**" in paragraph
    assert re.findall(r"0\.\d{4}", paragraph.replace("\n", " ")) == [together, *alone]
    for run, accuracy in zip(re.findall(r"runs/([\w-]+)", printed.splitlines()[0]), alone, strict=True):
        assert f"`evaluate --tta` {accuracy}" in ROWS[run][1]


def test_the_text_says_what_held_out_images_say_of_d2l() -> None:
    """And the two runs differ from the recipe in nothing but what the text says."""
    (paragraph,) = [each for each in TEXT.split("\n\n") if "(d2l-held-out.jsonl)" in each]
    means, largest, options = [], [], []
    for run in records("d2l-held-out.jsonl"):
        assert [epoch["epoch"] for epoch in run["epochs"]] == list(range(1, RECIPES["d2l"]["epochs"] + 1))
        means.append(f"{np.mean([epoch['validation_accuracy'] for epoch in run['epochs'][-3:]]):.4f}")
        largest.append(f"{max(epoch['largest_step_loss'] for epoch in run['epochs'][1:]):.2f}")
        options.append(given(parser(GoogLeNet).parse_args(run["arguments"]), GoogLeNet))
    deviation = f"{np.sqrt(float(means[0]) * (1 - float(means[0])) / 5000):.4f}"
    assert re.findall(r"(?<![\d.])\d\.\d+", paragraph) == [*means, deviation, *largest]
    assert options == [
        {"recipe": "d2l", "hold_out": 5000},
        {"recipe": "d2l", "hold_out": 5000, "normalized": True},
    ]


def table_of(file: str) -> list[list[str]]:
    """The cells of the first table after the file is named."""
    table = re.search(r"(?:^\|.*\n)+", TEXT.partition(f"]({file})")[2], re.M)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def cells(run: dict[str, Any], base: dict[str, Any] | None = None) -> list[str]:
    """Averaged and raw accuracy in per cent, each with its difference to the base's."""
    found = []
    for column in ("averaged_validation_accuracy", "validation_accuracy"):
        own = 100 * run[column]
        found += [f"{own:.2f}", f"{own - 100 * base[column]:+.2f}" if base else ""]
    return found


def seed_of(record: dict[str, Any]) -> str:
    words: list[str] = record["arguments"]
    return words[words.index("--seed") + 1] if "--seed" in words else "0"


@pytest.mark.parametrize("file", ["ablation-15000.jsonl", "ablation-32.jsonl"])
def test_the_ablations_table_says_what_the_runs_came_to(file: str) -> None:
    best, *others = records(file)
    rows = [["none: `best` as it was", *cells(best)], *([run["name"], *cells(run, best)] for run in others)]
    assert table_of(file) == rows


@pytest.mark.parametrize("file", ["ablation-parts.jsonl", "ablation-schedule.jsonl"])
def test_the_tables_around_todays_recipe_compare_runs_of_one_seed(file: str) -> None:
    """Of the parts' own runs two are of the other table, where today's recipe was not the recipe yet."""
    today = "without mirrored images, shifts half as far"
    by_name = {run["name"]: run for run in records("ablation-32.jsonl")}
    best = {"0": by_name[today], "1": by_name[f"{today}, another seed"]} if "parts" in file else {}
    best |= {seed_of(run): run for run in records(file) if run["name"] == "best"}
    rows = [["none: `best` as it is", seed, *cells(run)] for seed, run in best.items()]
    changed = [run for run in records(file) if run["name"] != "best"]
    rows += [[run["name"], seed_of(run), *cells(run, best[seed_of(run)])] for run in changed]
    assert table_of(file) == rows


def test_the_text_says_what_chose_the_optimiser() -> None:
    """AdamW beside momentum in two lengths of run."""
    text = " ".join(TEXT.rpartition("What chose the optimiser")[2].split())
    for file, kinds in (("ablation-sgd.jsonl", (0,)), ("ablation-55000.jsonl", (0, 2))):
        by_name = {run["name"]: cells(run) for run in records(file)}
        for kind in kinds:
            momentum, adamw = by_name["best"][kind], by_name["AdamW at 0.002 for SGD"][kind]
            assert f"{adamw} where it reached {momentum}" in text
