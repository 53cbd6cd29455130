"""The pool of buffers: who gets what memory, and when it comes back."""

import gc
import threading

import numpy as np
import pytest

from kernels import memory
from kernels.layout import Array
from kernels.memory import ALIGNMENT, SMALL, Pool

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
    assert pool.bytes_waiting == 0
    assert start(memory.empty((SIZE,), np.uint8)) != first
    del view
    again = memory.empty((SIZE,), np.uint8)
    assert first in (start(again), start(memory.empty((SIZE,), np.uint8)))


def test_two_arrays_never_share_memory(pool: Pool) -> None:
    arrays = [memory.empty((SIZE,), np.uint8) for _ in range(4)]
    for k, array in enumerate(arrays):
        array[:] = k
    assert [int(array.min()) for array in arrays] == [int(array.max()) for array in arrays] == [0, 1, 2, 3]


def test_a_much_larger_buffer_is_not_wasted_on_a_small_request(pool: Pool) -> None:
    large = memory.empty((10 * SIZE,), np.uint8)
    place = start(large)
    del large
    assert start(memory.empty((SIZE,), np.uint8)) != place


def test_the_pool_never_holds_more_than_was_once_in_use(pool: Pool) -> None:
    """As when the batch becomes smaller: the old buffers go before new ones would add to them."""
    large = [memory.empty((3 * SIZE,), np.uint8) for _ in range(4)]
    most = pool.most_in_use
    del large
    for size in range(SIZE, 3 * SIZE, SIZE // 3):
        small = [memory.empty((size,), np.uint8) for _ in range(4)]
        assert pool.bytes_in_use + pool.bytes_waiting <= most
        del small
    assert pool.bytes_in_use == 0


def test_counts_hold_when_threads_come_and_go(pool: Pool) -> None:
    def use() -> None:
        for k in range(200):
            memory.empty((SIZE + 64 * (k % 7),), np.uint8)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert pool.bytes_in_use == 0
    assert 0 < pool.bytes_waiting <= pool.most_in_use
