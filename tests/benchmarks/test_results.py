"""The committed results are of runs that today's recipes make, and the tables say what the files say."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from googlenet import GoogLeNet
from minigrad.commands.settings import given
from minigrad.commands.train import parser
from minigrad.training.config import Config
from minigrad.training.recipes import settings

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
TEXT = (RESULTS / "README.md").read_text()
ROWS = {
    match[1]: (match[2], match[0])
    for match in re.finditer(r"^\| \[`([\w-]+)`\]\(\1\) \| `([^`]+)`.*", TEXT, re.M)
}
"""By folder: the options of its command, and the whole row of the table."""


def test_each_folder_has_its_row() -> None:
    assert set(ROWS) == {path.name for path in RESULTS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", ROWS)
def test_the_command_makes_this_run_today(name: str) -> None:
    options = parser(GoogLeNet).parse_args(shlex.split(ROWS[name][0]))
    chosen = given(options, GoogLeNet)
    assert Config.load(RESULTS / name, "GoogLeNet") == settings(GoogLeNet, chosen.pop("recipe", "adam"), chosen)


@pytest.mark.parametrize("name", ROWS)
def test_the_table_says_what_the_run_came_to(name: str) -> None:
    epochs = [json.loads(line) for line in (RESULTS / name / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == list(range(1, Config.load(RESULTS / name, "GoogLeNet").epochs + 1))
    row = ROWS[name][1]
    accuracies = re.findall(r"0\.\d{4}", row)
    last = epochs[-1]
    assert accuracies[0] == f"{last.get('averaged_test_accuracy', last['test_accuracy']):.4f}"
    assert f"{last['test_accuracy']:.4f}" in accuracies
    assert f"{sum(epoch['seconds'] for epoch in epochs):,.0f}" in row


@pytest.mark.parametrize("file", ["ablation-15000.jsonl", "ablation-32.jsonl"])
def test_the_ablations_table_says_what_the_runs_came_to(file: str) -> None:
    """The first table after the file is named. In per cent, with the differences to the recipe as it is."""
    records = [json.loads(line) for line in (RESULTS / file).read_text().splitlines()]
    columns = ("averaged_validation_accuracy", "validation_accuracy")
    best, *others = [[record["name"], *(100 * record[column] for column in columns)] for record in records]
    expected = [["none: `best` as it was", f"{best[1]:.2f}", "", f"{best[2]:.2f}", ""]]
    for name, averaged, raw in others:
        expected.append([name, f"{averaged:.2f}", f"{averaged - best[1]:+.2f}", f"{raw:.2f}", f"{raw - best[2]:+.2f}"])
    table = re.search(r"(?:^\|.*\n)+", TEXT.partition(f"]({file})")[2], re.M)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    assert rows == expected


@pytest.mark.parametrize("file", ["ablation-parts.jsonl", "ablation-schedule.jsonl"])
def test_the_tables_around_todays_recipe_compare_runs_of_one_seed(file: str) -> None:
    """Of the parts' own runs two are of the other table, where today's recipe was not the recipe yet."""
    earlier, new = (
        [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]
        for name in ("ablation-32.jsonl", file)
    )
    today = "without mirrored images, shifts half as far"
    by_name = {record["name"]: record for record in earlier}
    by_seed = {"0": by_name[today], "1": by_name[f"{today}, another seed"]} if "parts" in file else {}
    columns = ("averaged_validation_accuracy", "validation_accuracy")
    by_seed |= {seed_of(record): record for record in new if record["name"] == "best"}
    rows = [
        ["none: `best` as it is", seed, *(cell for column in columns for cell in (f"{100 * run[column]:.2f}", ""))]
        for seed, run in by_seed.items()
    ]
    for record in new:
        if record["name"] != "best":
            base = by_seed[seed_of(record)]
            cells = [
                cell for column in columns
                for cell in (f"{100 * record[column]:.2f}", f"{100 * (record[column] - base[column]):+.2f}")
            ]
            rows.append([record["name"], seed_of(record), *cells])
    table = re.search(r"(?:^\|.*\n)+", TEXT.partition(f"]({file})")[2], re.M)
    assert table is not None
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]] == rows


def seed_of(record: dict[str, Any]) -> str:
    words: list[str] = record["arguments"]
    return words[words.index("--seed") + 1] if "--seed" in words else "0"
