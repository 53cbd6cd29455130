"""The work of kernels, counted by hand and by another way."""

from typing import Any

import numpy as np
import pytest

from benchmarks import work
from benchmarks.cases import Case, Spec, case
from benchmarks.googlenet_cases import cases
from googlenet import GoogLeNet
from minigrad.commands.summary import stages

WINDOW: dict[str, Any] = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 2}
X, Y, WEIGHT = Spec((2, 5, 5, 4)), Spec((2, 3, 3, 6)), Spec((3, 3, 2, 6))
CONVOLUTION = 2 * 3 * 3 * 6 * 3 * 3 * 2  # images, places, filters, taps, channels of a group


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (case("conv2d", x=X, weight=WEIGHT, bias=None, **WINDOW, activation=None), CONVOLUTION),
        (case("conv2d_input_grad", grad=Y, output=Y, weight=WEIGHT, size=(5, 5), **WINDOW, into=X), CONVOLUTION),
        (case("conv2d_weight_grad", grad=Y, output=Y, x=X, kernel=(3, 3), **WINDOW), CONVOLUTION),
        (case("linear", x=Spec((7, 3)), weight=Spec((5, 3)), bias=Spec((5,))), 7 * 3 * 5),
        (case("linear_input_grad", grad=Spec((7, 5)), weight=Spec((5, 3))), 7 * 3 * 5),
        (case("linear_weight_grad", grad=Spec((7, 5)), x=Spec((7, 3))), 7 * 3 * 5),
        (case("channel_sum", grad=X), 0),
    ],
)
def test_multiply_adds(given: Case, expected: int) -> None:
    assert work.multiply_adds(given) == expected


def test_a_step_does_what_the_summary_counts_three_times() -> None:
    """Forward and two gradients, but for the images', which nobody needs."""
    rows = stages(GoogLeNet(image_size=96), in_channels=1, image_size=96)
    first = next(row.multiply_adds for row in rows if row.name == "conv1")
    forward = sum(row.multiply_adds for row in rows)
    assert work.of_a_step(cases(96), images=8) == 8 * (3 * forward - first)


def test_bytes_are_those_of_all_arrays() -> None:
    arguments = {"arrays": [np.zeros(3, np.float32), np.zeros(5, np.uint8)], "x": np.zeros(2), "axis": 1, "bias": None}
    assert work.moved(arguments, [np.zeros(7, np.float32)]) == 12 + 5 + 16 + 28
