"""Formulas say what was computed: with the options that were given, and no others."""

from collections.abc import Callable

import numpy as np
import pytest

from minigrad import Function, Tensor, functional as F, nn
from minigrad.explorer.formulas import formula_of
from minigrad.explorer.record import record
from tests.minigrad.against_torch import normal

CLASSES = np.array([1, 0, 2])


def images(*shape: int) -> Tensor:
    return Tensor(normal(*shape).astype(np.float32), requires_grad=True)


def of(name: str, compute: Callable[[], Tensor]) -> tuple[str, str]:
    """Formulas of the one operation with that name."""
    functions = (operation.function for operation in record(lambda: compute().sum()).operations)
    (found,) = (function for function in functions if function.name == name)
    return formula_of(found)


CROSS_ENTROPY = "y = −Σ c  t[c] · log softmax(x)[c], "


@pytest.mark.parametrize(
    ("compute", "forward", "backward"),
    [
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES),
            CROSS_ENTROPY + "averaged over the images",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, reduction="sum"),
            CROSS_ENTROPY + "summed over the images",
            "x_grad[c] = g · (softmax(x)[c] − t[c])",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, reduction="none", label_smoothing=0.1),
            CROSS_ENTROPY + "for each of the images\nt[c] = (1 − 0.1) · target[c] + 0.1 / 4",
            "x_grad[c] = g · (softmax(x)[c] − t[c])",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), np.array([1, -100, -100])),
            CROSS_ENTROPY + "averaged over the images\n2 of the images are of class -100, which does not count",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
        ),
        (
            lambda: F.cross_entropy(images(3, 4, 2), np.array([[1, 0], [2, 3], [0, 0]])),
            CROSS_ENTROPY + "averaged over the places",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, weight=Tensor(np.ones(4, np.float32))),
            "y = −Σ c  k[c] · t[c] · log softmax(x)[c], summed over the images and divided by the sum K of k[class]",
            "x_grad[c] = g · (softmax(x)[c] · Σ k[c] · t[c] − k[c] · t[c]) / K",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), Tensor(np.full((3, 4), 0.25, np.float32))),
            CROSS_ENTROPY + "averaged over the images",
            "x_grad[c] = g · (softmax(x)[c] · Σ t[c] − t[c]) / N",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), images(3, 4), label_smoothing=0.1, reduction="sum"),
            CROSS_ENTROPY + "summed over the images\nt[c] = (1 − 0.1) · target[c] + 0.1 / 4",
            "x_grad[c] = g · (softmax(x)[c] · Σ t[c] − t[c])\ntarget_grad[c] = −g · (1 − 0.1) · log softmax(x)[c]",
        ),
        (lambda: F.dropout(images(3, 4), 1.0), "y = 0: p is 1", "x_grad = 0"),
    ],
)
def test_options_are_in_the_formula(compute: Callable[[], Tensor], forward: str, backward: str) -> None:
    assert of("Dropout" if "p is 1" in forward else "CrossEntropy", compute) == (forward, backward)


def test_batch_norm_in_evaluation_mode_has_no_gradient_through_its_statistics() -> None:
    layer, x = nn.BatchNorm2d(3), images(2, 3, 4, 4)
    forward, backward = of("BatchNorm", lambda: layer(x))
    assert "both over the batch" in forward
    assert "mean(g · x̂)" in backward
    layer.eval()
    forward, backward = of("BatchNorm", lambda: layer(x))
    assert "both as training has left them" in forward
    assert backward.endswith("x_grad = w / √(variance + ε) · g")


def test_groups_are_told_where_there_are_some() -> None:
    assert not any("group" in part for part in of("Conv2d", lambda: nn.Conv2d(4, 4, 3)(images(1, 4, 5, 5))))
    parts = of("Conv2d", lambda: nn.Conv2d(4, 4, 3, groups=2)(images(1, 4, 5, 5)))
    assert all(part.endswith("each o meets the channels c of its own group alone, one of 2") for part in parts)


def test_a_fused_relu_comes_last_forward_and_first_backward() -> None:
    forward, backward = of("Conv2d", lambda: nn.Conv2d(3, 4, 3, activation="relu")(images(1, 3, 5, 5)))
    assert forward.endswith("\ny = max(y, 0)")
    assert backward.startswith("g = g where y > 0, else 0\n")


def test_every_operation_of_the_engine_has_a_formula() -> None:
    from minigrad import ops
    from minigrad.explorer.formulas import FORMULAS

    kinds = {name for name, value in vars(ops).items() if isinstance(value, type) and issubclass(value, Function)}
    assert kinds - {"Function"} == set(FORMULAS)
