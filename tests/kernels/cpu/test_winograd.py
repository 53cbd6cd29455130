"""Winograd's matrices and the choice among them."""

import numpy as np
import pytest

from kernels.cpu.winograd_tiles import SIZES, plan
from kernels.cpu.winograd_transforms import matrices


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_the_matrices_compute_a_correlation(m: int, r: int) -> None:
    """In exact fractions, so with no error at all: y_i = sum over k of d_(i + k) g_k."""
    rng = np.random.default_rng(m)
    signal, weight = (rng.integers(-9, 10, size).tolist() for size in (m + r - 1, r))
    output_matrix, weight_matrix, input_matrix = matrices(m, r)

    def times(matrix: list, vector: list) -> list:
        return [sum(x * y for x, y in zip(row, vector, strict=True)) for row in matrix]

    products = [x * y for x, y in zip(times(weight_matrix, weight), times(input_matrix, signal), strict=True)]
    expected = [sum(signal[i + k] * weight[k] for k in range(r)) for i in range(m)]
    assert times(output_matrix, products) == expected


def test_a_tile_that_takes_more_points_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"F\(6, 3\) needs 7 points, and there are 5"):
        matrices(6, 3)


@pytest.mark.parametrize(
    ("places", "r", "m"), [((24, 24), 3, 4), ((12, 12), 3, 4), ((6, 6), 3, 3), ((3, 3), 3, 3), ((7, 7), 3, 4)]
)
def test_the_tile_with_the_fewest_products_is_chosen(places: tuple[int, int], r: int, m: int) -> None:
    assert plan(places, r).m == m
