"""The border between NCHW and NHWC: views where memory allows, counted copies where it does not."""

import numpy as np
import pytest

from kernels import layout


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 3), (2, 4, 5, 3)])
def test_channels_last_memory_crosses_the_border_as_a_view(shape: tuple[int, ...]) -> None:
    memory = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    before = layout.copies
    public = layout.nchw(memory)
    assert public.shape == (shape[0], shape[-1], *shape[1:-1])
    back = layout.nhwc(public)
    assert layout.copies == before
    assert back.flags.c_contiguous
    assert np.shares_memory(back, memory)
    np.testing.assert_array_equal(back, memory)


def test_channels_first_memory_is_copied_and_counted() -> None:
    public = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    before = layout.copies
    memory = layout.nhwc(public)
    assert layout.copies == before + 1
    assert memory.flags.c_contiguous
    assert not np.shares_memory(memory, public)
    for n, c, h, w in np.ndindex(public.shape):
        assert memory[n, h, w, c] == public[n, c, h, w]


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 1, 1)])
def test_where_both_layouts_are_the_same_memory_nothing_is_copied(shape: tuple[int, ...]) -> None:
    public = np.ones(shape)
    before = layout.copies
    assert np.shares_memory(layout.nhwc(public), public)
    assert layout.copies == before


def test_weight_crosses_the_border_as_a_view() -> None:
    memory = np.arange(3 * 2 * 4 * 5.0).reshape(3, 2, 4, 5)
    before = layout.copies
    public = layout.oihw(memory)
    assert public.shape == (5, 4, 3, 2)
    for i, j, c, o in np.ndindex(memory.shape):
        assert public[o, c, i, j] == memory[i, j, c, o]
    assert np.shares_memory(layout.hwio(public), memory)
    np.testing.assert_array_equal(layout.hwio(public), memory)
    assert layout.copies == before


def test_weight_in_torchs_memory_is_copied_and_counted() -> None:
    public = np.arange(5 * 4 * 3 * 2.0).reshape(5, 4, 3, 2)
    before = layout.copies
    memory = layout.hwio(public)
    assert layout.copies == before + 1
    assert memory.flags.c_contiguous
    np.testing.assert_array_equal(layout.oihw(memory), public)
