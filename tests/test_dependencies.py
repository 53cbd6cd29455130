"""What setup.cfg lets pip choose: for every dependency a lowest version and an end, or one version alone."""

import configparser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SETTINGS = configparser.ConfigParser()
SETTINGS.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
LISTS = [SETTINGS["options"]["install_requires"], *SETTINGS["options.extras_require"].values()]
LINES = {line for text in LISTS for line in text.split("\n") if line}
REQUIREMENTS = sorted(line for line in LINES if not line.startswith("minigrad["))


@pytest.mark.parametrize("line", REQUIREMENTS)
def test_a_dependency_is_bounded_from_both_sides(line: str) -> None:
    operators = {specifier.operator for specifier in Requirement(line).specifier}
    assert operators in ({">=", "<"}, {"=="}), line
