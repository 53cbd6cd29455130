"""Counted randomness: two integers are all the state there is, and each thread has its own."""

import threading

import numpy as np
import pytest

import minigrad
from minigrad import random


def test_seeding_starts_the_count_anew() -> None:
    minigrad.manual_seed(7)
    assert [random.next_call() for _ in range(3)] == [(7, 0), (7, 1), (7, 2)]
    assert random.get_state() == (7, 3)
    minigrad.manual_seed(7)
    assert random.get_state() == (7, 0)


def test_state_can_be_written_down_and_restored() -> None:
    minigrad.manual_seed(1)
    random.next_call()
    state = random.get_state()
    first = random.generator().standard_normal(4)
    random.generator()
    random.set_state(*state)
    np.testing.assert_array_equal(random.generator().standard_normal(4), first)


def test_generators_differ_by_seed_and_by_call() -> None:
    drawn = []
    for seed in (0, 1, 2**64 - 1):
        minigrad.manual_seed(seed)
        drawn += [random.generator().integers(2**62) for _ in range(3)]
    assert len(set(drawn)) == 9


def test_each_thread_counts_for_itself() -> None:
    minigrad.manual_seed(3)
    random.next_call()
    found: list[tuple[int, int]] = []

    def work() -> None:
        found.append(random.get_state())
        random.next_call()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(0, 0)]
    assert random.get_state() == (3, 1)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_out_of_range_are_named(seed: int) -> None:
    with pytest.raises(ValueError, match="seed: given"):
        minigrad.manual_seed(seed)
