"""The tests notice mistakes: each mutant makes the test that it names fail, and that test passes without it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import mutants


@pytest.fixture(scope="module")
def statuses() -> dict[str, int]:
    """pytest's exit status for each mutant: all are run at once, on several cores."""
    return mutants.run_all(mutants.MUTANTS)


@pytest.mark.parametrize("name", [mutant.name for mutant in mutants.MUTANTS])
def test_mutant_is_noticed(name: str, statuses: dict[str, int]) -> None:
    assert statuses[name] == mutants.FAILED


def test_the_same_tests_pass_without_mutants() -> None:
    tests = sorted({mutant.test for mutant in mutants.MUTANTS})
    with ThreadPoolExecutor(mutants.WORKERS) as pool:
        assert set(pool.map(mutants.run_tests, (tests[::2], tests[1::2]))) == {mutants.PASSED}


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS)


def test_a_mutant_whose_code_is_gone_is_an_error() -> None:
    gone = mutants.Mutant("gone", "minigrad/tensor.py", "no such code", "", "tests/minigrad/test_tensor.py")
    with pytest.raises(ValueError, match=r"gone: minigrad/tensor\.py has 'no such code' 0 times"):
        mutants.run_tests([gone.test], gone)
