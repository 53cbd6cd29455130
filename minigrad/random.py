"""Randomness is counted, not drawn.

All the random state there is are two integers: the seed, and how many random calls were made since it was set. The
bits of a call follow from these two alone, so a run can be resumed by writing them down. Each thread has its own.
"""

import operator
import threading

import numpy as np


class _State(threading.local):
    seed = 0
    calls = 0


_state = _State()


def manual_seed(seed: int) -> None:
    """Start the random calls of this thread anew from `seed`, in [0, 2**64). ValueError or TypeError otherwise."""
    seed = operator.index(seed)
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: given {seed}, expected an integer from 0 to 2**64 - 1")
    set_state(seed, 0)


def next_call() -> tuple[int, int]:
    """(seed, number) of a new random call."""
    _state.calls += 1
    return _state.seed, _state.calls - 1


def get_state() -> tuple[int, int]:
    """(seed, calls so far): what a checkpoint keeps."""
    return _state.seed, _state.calls


def set_state(seed: int, calls: int) -> None:
    """Go on as if `calls` random calls had been made since `manual_seed(seed)`."""
    _state.seed, _state.calls = seed, calls


def generator() -> np.random.Generator:
    """A NumPy generator for one random call, as the initialisers need it."""
    return np.random.Generator(np.random.Philox(key=np.array(next_call(), np.uint64)))
