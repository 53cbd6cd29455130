"""The README: what it prints is what is printed, and what it names is there."""

import argparse
import doctest
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tour_prints_what_the_readme_says() -> None:
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert result.failed == 0
    assert result.attempted >= 15


def test_every_path_that_the_readme_names_is_there() -> None:
    tree = README.split("## How the tree is laid out")[1].split("\n\n")[1]
    folder, names = ROOT, []
    for line in tree.splitlines():
        indent, words = len(line) - len(line.lstrip()), line.split()
        for word in words[: 2 if words[1].endswith("/") else 1]:
            path = (ROOT if indent == 4 else folder) / word
            assert path.exists(), path
            names.append(word)
        if indent == 4:
            folder = ROOT / words[0]
    assert {"googlenet.py", "backward.py", "reference/", "optim/"} <= set(names)
    for target in re.findall(r"\]\(([^)#h][^)]*)\)", README):
        assert (ROOT / target).exists(), target


def test_every_target_that_the_readme_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", README)) == targets


def test_every_option_that_the_readme_names_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import ablation, accuracy, drift, gpu_check, gpu_plan, kernel_times, rank_scaling, train_step
    from minigrad.commands import COMMANDS

    helps = [["googlenet.py", command] for command in COMMANDS] + [["examples/small_inception.py", "train"]]
    for command in helps:
        with pytest.raises(SystemExit, match="0"):
            runpy.run_path(str(ROOT / command[0]))["main"]([command[1], "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    parsers = []
    for module in (ablation, accuracy, drift, gpu_check, gpu_plan, kernel_times, rank_scaling, train_step):
        parsers.append(argparse.ArgumentParser())
        module.add_options(parsers[-1])
    options |= {option for each in parsers for action in each._actions for option in action.option_strings}
    ours = re.sub(r"#SBATCH .*", "", README)
    assert set(re.findall(r"(?<!\w)--[a-z][a-z-]+", ours)) <= options
