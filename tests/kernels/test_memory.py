"""The pool of buffers: who gets what memory, and when it comes back."""

import gc
import itertools
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from kernels import memory
from kernels.layout import Array
from kernels.memory import ALIGNMENT, SMALL, Pool
from tests.kernels.oracles import thorough

SIZE = 10 * SMALL


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool of its own, which `empty` takes its memory from."""
    fresh = Pool()
    monkeypatch.setattr(memory, "pool", fresh)
    return fresh


def start(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(3, SMALL, 5), (SMALL,), (0, 7), (2, 3)])
def test_an_array_is_like_numpys(pool: Pool, shape: tuple[int, ...], dtype: type) -> None:
    array = memory.empty(shape, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable


def test_large_arrays_are_aligned(pool: Pool) -> None:
    assert all(start(memory.empty((SIZE + k,), np.uint8)) % ALIGNMENT == 0 for k in range(5))


def test_memory_comes_back_with_the_last_view_and_not_before(pool: Pool) -> None:
    array = memory.empty((SIZE,), np.uint8)
    first, view = start(array), array[5:].reshape(-1, 1)
    del array
    assert pool.bytes_in_use > 0
    assert start(memory.empty((SIZE,), np.uint8)) != first
    del view
    assert pool.bytes_in_use == 0
    assert first in (start(a) for a in [memory.empty((SIZE,), np.uint8) for _ in range(2)])


def test_two_arrays_never_share_memory(pool: Pool) -> None:
    arrays = [memory.empty((SIZE,), np.uint8) for _ in range(4)]
    for k, array in enumerate(arrays):
        array[:] = k
    assert [int(array.min()) for array in arrays] == [int(array.max()) for array in arrays] == [0, 1, 2, 3]


def test_a_large_buffer_is_cut_to_measure_and_made_whole_again(pool: Pool) -> None:
    large = memory.empty((10 * SIZE,), np.uint8)
    place = start(large)
    del large
    small = [memory.empty((SIZE,), np.uint8) for _ in range(10)]
    assert sorted(start(a) - place for a in small) == [k * SIZE for k in range(10)]
    for k in (3, 5, 4, 0, 9, 1, 8, 2, 7, 6):  # a piece meets free neighbours before it, behind it, on both sides
        small[k] = np.empty(0, np.uint8)
    assert start(memory.empty((10 * SIZE,), np.uint8)) == place


def test_the_smallest_piece_that_is_large_enough_is_taken(pool: Pool) -> None:
    arrays = [memory.empty((factor * SIZE,), np.uint8) for factor in (5, 2, 3)]
    places = [start(a) for a in arrays]
    del arrays
    assert start(memory.empty((2 * SIZE - 100,), np.uint8)) == places[1]


@thorough
@given(st.lists(st.tuples(st.integers(1, 12), st.lists(st.integers(0, 20), max_size=3)), max_size=60))
@example([(10, [0]), (4, []), (6, [0]), (1, []), (3, [1, 0]), (4, [])])  # a piece is cut between two others
def test_live_arrays_never_overlap_and_all_memory_comes_back_whole(steps: list[tuple[int, list[int]]]) -> None:
    """Each step takes an array of some size and lets go of some of those that are there."""
    pool, live = Pool(), list[Array]()
    for size, goes in steps:
        live.append(pool.lend(size * SMALL))
        for index in goes:
            del live[index : index + 1]
        spans = sorted((start(a), start(a) + a.nbytes) for a in live)
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
        assert pool.bytes_in_use == sum(a.nbytes for a in live) <= pool.bytes_held
    live.clear()
    assert pool.bytes_in_use == 0
    assert all(piece.is_whole_segment for _, _, piece in pool._free)
    assert sum(size for size, _, _ in pool._free) == pool.bytes_held


def test_a_loop_asks_the_system_for_nothing_more(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def step() -> None:
        kept = [memory.empty((size * SMALL,), np.uint8) for size in (70, 20, 45, 3, 12)]
        for size in (70, 33, 8, 21):
            passing = memory.empty((size * SMALL + 7,), np.uint8)
            passing[:] = 1
            kept.append(memory.empty((size * SMALL // 2,), np.uint8))

    for _ in range(3):
        step()
    asked = []
    real = np.empty
    monkeypatch.setattr(memory.np, "empty", lambda *a, **k: asked.append(a) or real(*a, **k))
    step()
    assert asked == []


@pytest.mark.parametrize("factors", [(3, 1), (1, 3)])
def test_another_batch_size_leaves_no_second_set_of_buffers_behind(pool: Pool, factors: tuple[int, int]) -> None:
    for factor in factors:
        for _ in range(3):
            sizes = [factor * SIZE, factor * SIZE // 3, 2 * factor * SIZE]
            arrays = [memory.empty((size,), np.uint8) for size in sizes]
            assert pool.bytes_held <= pool.most_in_use
            del arrays
    assert pool.bytes_in_use == 0


def test_an_array_may_die_while_the_pool_is_at_work(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector strikes anywhere. The pool takes note, and sees to it the next time."""
    victims = [memory.empty((SIZE,), np.uint8) for _ in range(3)]
    real = memory.bisect.bisect_left

    def striking(*arguments: Any) -> int:
        index = real(*arguments)
        if victims:
            victims.pop()
        return index

    monkeypatch.setattr(memory.bisect, "bisect_left", striking)
    arrays = [memory.empty((SIZE,), np.uint8) for _ in range(6)]
    assert len({start(a) for a in arrays}) == 6
    assert pool.bytes_in_use == 6 * SIZE


def test_counts_hold_when_threads_come_and_go(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def use() -> None:
        for k in range(200):
            memory.empty((SIZE + 64 * (k % 7),), np.uint8)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the threads take turns in the middle of everything
    try:
        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    gc.collect()
    assert pool.bytes_in_use == 0
    assert sum(size for size, _, _ in pool._free) == pool.bytes_held > 0


def test_an_interrupted_request_harms_no_other(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(piece: Any, size: int) -> Any:
        raise KeyboardInterrupt

    large = memory.empty((4 * SIZE,), np.uint8)
    del large
    kept = memory.empty((SIZE,), np.uint8)
    with monkeypatch.context() as patch:
        patch.setattr(memory._Piece, "cut", interrupted)
        with pytest.raises(KeyboardInterrupt):
            memory.empty((2 * SIZE,), np.uint8)
    del kept
    arrays = [memory.empty((SIZE,), np.uint8) for _ in range(3)]
    assert len({start(a) for a in arrays}) == 3


def test_idle_segments_are_gone_before_the_system_is_asked(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    small = memory.empty((SIZE,), np.uint8)
    del small
    assert pool.bytes_in_use == 0
    (segment,) = [weakref.ref(piece.segment) for _, _, piece in pool._free]
    real = np.empty
    alive: list[bool] = []
    monkeypatch.setattr(memory.np, "empty", lambda *a, **k: alive.append(segment() is not None) or real(*a, **k))
    memory.empty((2 * SIZE,), np.uint8)
    assert alive == [False]


def test_a_threads_workspace_is_the_same_memory_every_time() -> None:
    first, second = memory.workspace((3, 5), (SIZE,))
    assert (first.shape, second.shape, first.dtype) == ((3, 5), (SIZE,), np.float32)
    assert start(first) % ALIGNMENT == start(second) % ALIGNMENT == 0
    assert start(first) + first.nbytes <= start(second)
    assert [start(a) for a in memory.workspace((3, 5), (SIZE,))] == [start(first), start(second)]
    larger, *_ = memory.workspace((2 * SIZE,))
    larger[:] = 1
    assert start(memory.workspace((1,))[0]) == start(larger)
    too_large = memory.workspace((1,), (memory.WORKSPACE_BYTES // 4,))
    assert start(too_large[1]) != start(larger)
    assert [a.shape for a in too_large] == [(1,), (memory.WORKSPACE_BYTES // 4,)]


def test_threads_do_not_share_a_workspace() -> None:
    places: list[int] = []
    barrier = threading.Barrier(2)

    def use() -> None:
        (array,) = memory.workspace((SIZE,))
        barrier.wait()
        places.append(start(array))
        barrier.wait()

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(places)) == 2
