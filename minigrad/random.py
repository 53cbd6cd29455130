"""Randomness is counted, not drawn.

All the random state there is are two integers: the seed, and how many random calls were made since it was set. The
bits of a call follow from these two and the number of the image alone, so a run can be resumed by writing them down,
and a batch be shared out among processes. Each thread has its own.
"""

import operator
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class _State(threading.local):
    seed = 0
    calls = 0
    first_image = 0


_state = _State()


def manual_seed(seed: int) -> None:
    """Start the random calls of this thread anew from `seed`, in [0, 2**64). ValueError or TypeError otherwise."""
    set_state(seed, 0)


def next_call() -> tuple[int, int]:
    """(seed, number) of a new random call."""
    _state.calls += 1
    return _state.seed, _state.calls - 1


def get_state() -> tuple[int, int]:
    """(seed, calls so far): what a checkpoint keeps."""
    return _state.seed, _state.calls


def checked_state(seed: int, calls: int) -> tuple[int, int]:
    """The two as `set_state` takes them. ValueError or TypeError if they are not integers from 0 to 2**64 - 1."""
    seed, calls = operator.index(seed), operator.index(calls)
    for name, value in (("seed", seed), ("calls", calls)):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name}: given {value}, expected an integer from 0 to 2**64 - 1")
    return seed, calls


def set_state(seed: int, calls: int) -> None:
    """Go on as if `calls` random calls had been made since `manual_seed(seed)`. ValueError or TypeError if that cannot
    be."""
    _state.seed, _state.calls = checked_state(seed, calls)


def first_image() -> int:
    """The number of the first image that is at work here, of those that a random call is for."""
    return _state.first_image


@contextmanager
def images_from(first: int) -> Iterator[None]:
    """Inside the block this thread has images of a batch from number `first` on, and others have those before."""
    before, _state.first_image = _state.first_image, first
    try:
        yield
    finally:
        _state.first_image = before


def generator() -> np.random.Generator:
    """A NumPy generator for one random call, as the initialisers need it."""
    return np.random.Generator(np.random.Philox(key=np.array(next_call(), np.uint64)))
