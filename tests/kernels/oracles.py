"""What the kernel tests share: how arrays are drawn, what every kernel owes its caller, and how close is close."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import settings, strategies as st

from kernels.geometry import Padding, Pair
from kernels.layout import Array

DTYPES = (np.float32, np.float64)
TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-10}
"""Largest error, as a share of the expected array's largest value."""

thorough = settings(max_examples=80)
"""For shapes of many numbers, where the usual few examples leave most combinations out."""

seeds = st.integers(0, 9999)
layouts = st.sampled_from(["contiguous", "channel slice", "every other image"])


def pairs(least: int, most: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


def normal(rng: np.random.Generator, shape: Iterable[int], dtype: type, layout: str = "contiguous") -> Array:
    """Normally distributed numbers; a `layout` other than contiguous makes the array a part of a larger one."""
    n, *places, c = shape
    if layout == "channel slice":
        return rng.standard_normal((n, *places, c + 3)).astype(dtype)[..., 2 : 2 + c]
    if layout == "every other image":
        return rng.standard_normal((2 * n, *places, c)).astype(dtype)[::2]
    return rng.standard_normal((n, *places, c)).astype(dtype)


def call(kernel: Callable[..., Any], *args: Any) -> Any:
    """kernel(*args), after checking what every kernel owes: arguments left as they were, C-contiguous results,
    and the first array's dtype in all that is floating."""
    arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
    copies = [array.copy() for array in arrays]
    result = kernel(*args)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg="the kernel changed its argument")
    for out in result if isinstance(result, (tuple, list)) else (result,):
        assert out.flags.c_contiguous
        assert out.dtype == arrays[0].dtype or not np.issubdtype(out.dtype, np.floating)
    return result


def assert_close(got: Array, expected: Any, terms: Any = 0) -> None:
    """Same shape and dtype, NaN and infinities at the same places, and an error within TOLERANCE of the largest number.

    terms: what was summed, where sums may be near to 0: their rounding errors are the terms'.
    """
    expected = np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    largest = max(np.abs(each[np.isfinite(each)]).max(initial=0) for each in (expected, np.asarray(terms)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[got.dtype] * largest)


def leaf(torch: ModuleType, array: Array) -> Any:
    """A tensor with the array's numbers, of which torch will tell the gradient."""
    return torch.tensor(array.copy(), requires_grad=True)


def channels_first(torch: ModuleType, x: Array) -> Any:
    """A tensor with torch's order of axes: (N, ..., C) -> (N, C, ...)."""
    return torch.tensor(np.moveaxis(x, -1, 1).copy())


def image(torch: ModuleType, x: Array) -> Any:
    """`channels_first`, of which torch will tell the gradient."""
    return channels_first(torch, x).requires_grad_()


def channels_last(tensor: Any) -> Array:
    """The way back: torch's (N, C, ...) -> (N, ..., C)."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def torch_pad(torch: ModuleType, x: Any, padding: Padding, value: float = 0) -> Any:
    """torch's own convolutions and pools pad both sides alike; so other padding is laid on before."""
    (top, bottom), (left, right) = padding
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value)
