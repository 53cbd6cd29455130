"""The tests notice mistakes: each mutant makes the test that it names fail, and that test passes without it."""

from concurrent.futures import Future
from typing import Any

import pytest

from tests import background, mutants

BY_NAME = {mutant.name: mutant for mutant in mutants.MUTANTS}
statuses: dict[str, Future[int]] = {}
NONE = "no mutant"


def in_background(items: list[Any]) -> None:
    """Mutants' tests are run as other programs."""
    for item in items:
        if item.function is test_the_same_tests_pass_without_mutants:
            tests = sorted({mutant.test for mutant in mutants.MUTANTS})
            statuses[NONE] = background.pool.submit(mutants.run_tests, tests)
        elif item.function is test_mutant_is_noticed:
            mutant = BY_NAME[item.callspec.params["name"]]
            statuses[mutant.name] = background.pool.submit(mutants.run_tests, [mutant.test], mutant)


@pytest.mark.parametrize("name", BY_NAME)
def test_mutant_is_noticed(name: str) -> None:
    status = statuses[name].result()
    if status == mutants.SKIPPED:
        pytest.skip(f"so is {BY_NAME[name].test}")
    assert status == mutants.FAILED


def test_the_same_tests_pass_without_mutants() -> None:
    assert statuses[NONE].result() == mutants.PASSED


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


def test_a_mutant_whose_code_is_gone_is_an_error() -> None:
    gone = mutants.Mutant("gone", "minigrad/tensor.py", "no such code", "", "tests/minigrad/test_tensor.py")
    with pytest.raises(ValueError, match=r"gone: minigrad/tensor\.py has 'no such code' 0 times"):
        mutants.run_tests([gone.test], gone)
