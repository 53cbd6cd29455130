"""The tests notice mistakes: each mutant makes the test that it names fail, and that test passes without it."""

import pytest

from tests import mutants

BY_NAME = {mutant.name: mutant for mutant in mutants.MUTANTS}


def test_the_same_tests_pass_without_mutants() -> None:
    """First, for it takes longest."""
    assert mutants.run_tests(sorted({mutant.test for mutant in mutants.MUTANTS})) == mutants.PASSED


@pytest.mark.parametrize("name", BY_NAME)
def test_mutant_is_noticed(name: str) -> None:
    mutant = BY_NAME[name]
    status = mutants.run_tests([mutant.test], mutant)
    if status == mutants.SKIPPED:
        pytest.skip(f"so is {mutant.test}")
    assert status == mutants.FAILED


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


def test_a_mutant_whose_code_is_gone_is_an_error() -> None:
    gone = mutants.Mutant("gone", "minigrad/tensor.py", "no such code", "", "tests/minigrad/test_tensor.py")
    with pytest.raises(ValueError, match=r"gone: minigrad/tensor\.py has 'no such code' 0 times"):
        mutants.run_tests([gone.test], gone)
