"""Joining, parting and padding on every backend against NumPy and PyTorch, and the reference against the loops."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.layout import Array
from tests import on_card
from tests.kernels.oracles import DTYPES, call, layouts, normal, seeds


@st.composite
def joinings(draw: st.DrawFn) -> tuple[list[Array], int]:
    """Arrays that differ in length along one axis at most, and the axis."""
    shape = draw(st.lists(st.integers(1, 3), min_size=2, max_size=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(draw(seeds))
    dtype = draw(st.sampled_from(DTYPES))
    arrays = []
    for length in draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)):
        shape[axis] = length
        arrays.append(normal(rng, shape, dtype, draw(layouts)))
    return arrays, axis


@given(joining=joinings())
def test_cat_and_split_agree_with_numpy_and_undo_each_other(backend: str, joining: tuple[list[Array], int]) -> None:
    arrays, axis = joining
    k = kernels.serving(*arrays)
    joined = k.cat(arrays, axis)
    np.testing.assert_array_equal(joined, np.concatenate(arrays, axis))
    assert joined.flags.c_contiguous
    assert joined.dtype == arrays[0].dtype
    assert not any(np.shares_memory(joined, array) for array in arrays)
    pieces = call(k.split, joined, [array.shape[axis] for array in arrays], axis)
    for piece, array in zip(pieces, arrays, strict=True):
        np.testing.assert_array_equal(piece, array)


def test_cat_of_channels_is_contiguous_where_numpys_is_not(backend: str) -> None:
    """What went wrong before: joined along the channels, NCHW views of NHWC memory change their layout."""
    arrays = [np.moveaxis(np.ones((2, 3, 4, c), np.float32), -1, 1) for c in (2, 5)]
    assert kernels.serving(*arrays).cat(arrays, 1).flags.c_contiguous


@st.composite
def paddings(draw: st.DrawFn) -> tuple[Array, list[tuple[int, int]]]:
    """An array, and for each axis amounts that cut off no more than there is."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    amounts = []
    for size in shape:
        before = draw(st.integers(-size, 3))
        amounts.append((before, draw(st.integers(-size - min(before, 0), 3))))
    x = normal(np.random.default_rng(draw(seeds)), shape, draw(st.sampled_from(DTYPES)), draw(layouts))
    return x, amounts


@given(padding=paddings(), value=st.sampled_from([0.0, 1.5, -np.inf]))
def test_pad_agrees_with_torch(
    backend: str, torch: ModuleType, padding: tuple[Array, list[tuple[int, int]]], value: float
) -> None:
    x, amounts = padding
    flat = [amount for pair in reversed(amounts) for amount in pair]  # torch counts axes from the last
    expected = torch.nn.functional.pad(torch.tensor(x.copy()), flat, value=value)
    np.testing.assert_array_equal(call(kernels.serving(x).pad, x, amounts, value), expected.numpy())


@given(padding=paddings(), seed=seeds)
def test_pad_is_its_own_backward(
    backend: str, padding: tuple[Array, list[tuple[int, int]]], seed: int
) -> None:
    """<pad(x), g> = <x, pad'(g)>: that is what makes pad', with negated amounts, the transpose of pad."""
    x, amounts = padding
    x = x.astype(np.float64)
    k = kernels.serving(x)
    y = k.pad(x, amounts, 0.0)
    grad = np.random.default_rng(seed).standard_normal(y.shape)
    x_grad = k.pad(grad, [(-before, -after) for before, after in amounts], 0.0)
    assert x_grad.shape == x.shape
    np.testing.assert_allclose((y * grad).sum(), (x * x_grad).sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_cpu_joins_parts_and_pads_what_takes_several_threads(axis: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    shape = [90, 40, 70]
    arrays = []
    for length in (31, 70, 0, 1):
        shape[axis] = length
        arrays.append(rng.integers(0, 99, shape).astype(dtype))
    cpu = kernels.load("cpu")
    joined = cpu.cat(arrays, axis)
    assert joined.dtype == dtype
    np.testing.assert_array_equal(joined, np.concatenate(arrays, axis))
    for piece, array in zip(cpu.split(joined, [31, 70, 0, 1], axis), arrays, strict=True):
        np.testing.assert_array_equal(piece, array)
    amounts = [(0, 0), (2, -3), (1, 1)] if axis else [(-1, 2), (3, 0), (0, 0)]
    np.testing.assert_array_equal(cpu.pad(joined, amounts, 7.0), kernels.load("reference").pad(joined, amounts, 7.0))


@given(joining=joinings(), padding=paddings())
def test_the_reference_agrees_with_the_loops(
    joining: tuple[list[Array], int], padding: tuple[Array, list[tuple[int, int]]]
) -> None:
    (arrays, axis), (x, amounts) = joining, padding
    naive, reference = kernels.load("naive"), kernels.load("reference")
    joined = naive.cat(arrays, axis)
    np.testing.assert_array_equal(reference.cat(arrays, axis), joined)
    sizes = [array.shape[axis] for array in arrays]
    for piece, expected in zip(reference.split(joined, sizes, axis), naive.split(joined, sizes, axis), strict=True):
        np.testing.assert_array_equal(piece, expected)
    np.testing.assert_array_equal(reference.pad(x, amounts, 2.0), naive.pad(x, amounts, 2.0))


@pytest.mark.parametrize("amounts", [[(1, 1)], [(1, 1), (0, 0), (0, 0)]])
def test_pad_wants_amounts_for_every_axis(backend: str, amounts: list[tuple[int, int]]) -> None:
    x = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="zip"):
        kernels.serving(x).pad(x, amounts, 0.0)


@pytest.mark.parametrize("backend", ["reference", "cpu", on_card.PARAMETERS[0]], indirect=True)
def test_arrays_that_do_not_fit_together_are_refused(backend: str) -> None:
    a, b = np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32)
    k = kernels.serving(a)
    with pytest.raises(ValueError, match=r"shape|dimensions"):
        k.cat([a, b], 1)
    if backend != "reference":  # where it is NumPy that does it
        with pytest.raises(ValueError, match=r"split: sizes \[1, 1\] do not make up the 3 places of axis 1"):
            k.split(a, [1, 1], 1)
