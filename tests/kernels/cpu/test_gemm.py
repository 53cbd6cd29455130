"""The micro-kernel's two products against NumPy, where nothing is a whole number of tiles."""

from typing import Any

import numpy as np
from hypothesis import example, given, strategies as st

from kernels.cpu.gemm import BLOCK_DEPTH, MOST_ROWS, column_place, columns_product, multiply_rows, packed, padded
from kernels.cpu.jit import compiled
from kernels.cpu.microkernel import GROUP
from kernels.cpu.vectors import LANES

sizes = st.integers(1, 3 * LANES + 3)


@compiled
def product_of_rows(
    a: Any, offsets: Any, rows: int, taps: Any, run: int, panels: Any, columns: int, c: Any, c_offsets: Any,
    start: Any, add: bool, floor: Any,
) -> None:
    multiply_rows(
        a.ctypes.data, offsets, rows, taps, run, panels.ctypes.data, columns, c.ctypes.data, c_offsets,
        start.ctypes.data, add, floor,
    )


@compiled
def product_of_columns(
    a: Any, depth: int, a_columns: int, b: Any, offsets: Any, columns: int, c: Any, add: bool
) -> None:
    columns_product(a.ctypes.data, depth, a_columns, b.ctypes.data, offsets, columns, c.ctypes.data, c.shape[1], add)


@given(rows=sizes, columns=st.integers(1, 7 * LANES), run=sizes, taps=st.integers(1, 3), add=st.booleans(), seed=sizes)
@example(rows=30, columns=5 * LANES, run=2 * BLOCK_DEPTH + 7, taps=1, add=False, seed=0)
@example(rows=30, columns=5 * LANES, run=2 * BLOCK_DEPTH + 7, taps=1, add=True, seed=0)
def test_rows_times_panels(rows: int, columns: int, run: int, taps: int, add: bool, seed: int) -> None:
    """Rows at offsets of their own, in pieces, and results between columns that must not be touched."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((rows, 2, taps, run)), rng.standard_normal((taps * run, columns))
    c, start = rng.standard_normal((rows, columns + 3)), rng.standard_normal(columns)
    a, b, c, start = (array.astype(np.float32) for array in (a, b, c, start))
    padded_start = np.zeros(padded(columns), np.float32)
    padded_start[:columns] = start
    (panels,) = packed(b[None], turned=False)
    np.testing.assert_array_equal(packed(np.ascontiguousarray(b.T)[None], turned=True), [panels])
    last = np.minimum(np.arange(rows + MOST_ROWS), rows - 1)

    expected = c.copy()
    exact = a[:, 0].reshape(rows, -1).astype(np.float64) @ b.astype(np.float64) + (c[:, :columns] if add else start)
    expected[:, :columns] = np.maximum(exact, -1)
    product_of_rows(
        a, last * 2 * taps * run, rows, np.arange(taps) * run, run, panels, columns, c, last * c.shape[1],
        padded_start, add, np.float32(-1),
    )
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@given(depth=sizes, a_columns=sizes, columns=st.integers(1, 7 * LANES), add=st.booleans(), seed=sizes)
def test_columns_times_rows(depth: int, a_columns: int, columns: int, add: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((depth, a_columns)), rng.standard_normal((depth, columns + 2))
    c = rng.standard_normal((a_columns, columns + 3))
    a, b, c = (array.astype(np.float32) for array in (a, b, c))
    grouped = np.full(depth * (a_columns + GROUP), np.nan, np.float32)
    for row in range(depth):
        for column in range(a_columns):
            grouped[column_place(column, row, depth)] = a[row, column]

    expected = c.copy()
    exact = a.T.astype(np.float64) @ b[:, :columns].astype(np.float64)
    expected[:, :columns] = exact + c[:, :columns] if add else exact
    product_of_columns(grouped, depth, a_columns, b, np.arange(depth) * b.shape[1], columns, c, add)
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
