"""Formulas say what was computed: with the options that were given, and no others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Function, Tensor, functional as F, nn
from minigrad.explorer.formulas import formula_of
from minigrad.explorer.record import record
from tests.minigrad.against_torch import normal

CLASSES = np.array([1, 0, 2])


def images(*shape: int) -> Tensor:
    return Tensor(normal(*shape).astype(np.float32), requires_grad=True)


def of(name: str, compute: Callable[[], Tensor]) -> tuple[str, str, str]:
    """Formulas of the one operation with that name, forward and backward, and what their letters are."""
    operations = record(lambda: compute().sum()).operations
    (found,) = (operation for operation in operations if operation.function.name == name)
    forward, backward = formula_of(found)
    forward, _, where = forward.partition("\nwhere ")
    return forward, backward, where


CROSS_ENTROPY = "y = −Σ c  t[c] · log softmax(x)[c], "


RIGHT = "[c] = 1 for the right class, else 0"


@pytest.mark.parametrize(
    ("compute", "forward", "backward", "where"),
    [
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES),
            CROSS_ENTROPY + "averaged over the images",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
            f"x = input; t{RIGHT}, N = 3",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, reduction="sum"),
            CROSS_ENTROPY + "summed over the images",
            "x_grad[c] = g · (softmax(x)[c] − t[c])",
            f"x = input; t{RIGHT}",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, reduction="none", label_smoothing=0.1),
            CROSS_ENTROPY + "for each of the images\nt[c] = (1 − 0.1) · target[c] + 0.1 / 4",
            "x_grad[c] = g · (softmax(x)[c] − t[c])",
            f"x = input; target{RIGHT}",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), np.array([1, -100, -100])),
            CROSS_ENTROPY + "averaged over the images\n2 of the images are of class -100, which does not count",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
            f"x = input; t{RIGHT}, N = 1",
        ),
        (
            lambda: F.cross_entropy(images(3, 4, 2), np.array([[1, 0], [2, 3], [0, 0]])),
            CROSS_ENTROPY + "averaged over the places",
            "x_grad[c] = g · (softmax(x)[c] − t[c]) / N",
            f"x = input; t{RIGHT}, N = 6",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), CLASSES, weight=Tensor(np.ones(4, np.float32))),
            "y = −Σ c  k[c] · t[c] · log softmax(x)[c], summed over the images and divided by the sum K of k[class]",
            "x_grad[c] = g · (softmax(x)[c] · Σ k[c] · t[c] − k[c] · t[c]) / K",
            f"x = input; t{RIGHT}",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), Tensor(np.full((3, 4), 0.25, np.float32))),
            CROSS_ENTROPY + "averaged over the images",
            "x_grad[c] = g · (softmax(x)[c] · Σ t[c] − t[c]) / N",
            "x = input, t = target; N = 3",
        ),
        (
            lambda: F.cross_entropy(images(3, 4), images(3, 4), label_smoothing=0.1, reduction="sum"),
            CROSS_ENTROPY + "summed over the images\nt[c] = (1 − 0.1) · target[c] + 0.1 / 4",
            "x_grad[c] = g · (softmax(x)[c] · Σ t[c] − t[c])\ntarget_grad[c] = −g · (1 − 0.1) · log softmax(x)[c]",
            "x = input, t = target",
        ),
        (lambda: F.dropout(images(3, 4), 1.0), "y = 0", "x_grad = 0", "x = input; p = 1"),
        (lambda: images(3, 4) ** 3, "y = a^3", "a_grad = g · 3 · a^2", ""),
    ],
)
def test_options_are_in_the_formula(
    compute: Callable[[], Tensor], forward: str, backward: str, where: str
) -> None:
    name = {"y = a": "Pow", "y = 0": "Dropout"}.get(forward[:5], "CrossEntropy")
    assert of(name, compute) == (forward, backward, where)


def test_only_what_was_computed_is_in_the_formula() -> None:
    layer, x = nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1, bias=False), Tensor(images(1, 3, 5, 5).data)
    forward, backward, where = of("Conv2d", lambda: layer(x))
    assert "b[o]" not in forward
    assert backward == "w_grad[o,c,u,v] = Σ n,i,j  g[o,i,j] · x[c, i·s+u·d−p, j·s+v·d−p]"
    assert where == "x = input, w = weight; s = stride = (2, 1), p = padding = 1, d = dilation = 1"
    assert of("Linear", lambda: F.linear(images(2, 3), Tensor(np.ones((4, 3), np.float32)))) == (
        "y = x · wᵀ", "x_grad = g · w", "x = input, w = weight",
    )  # fmt: skip
    assert of("Div", lambda: images(2, 2) / 40) == ("y = a / b", "a_grad = g / b", "")


def test_batch_norm_in_evaluation_mode_has_no_gradient_through_its_statistics() -> None:
    layer, x = nn.BatchNorm2d(3), images(2, 3, 4, 4)
    forward, backward, where = of("BatchNorm", lambda: layer(x))
    assert "both over the batch" in forward
    assert "mean(g · x̂)" in backward
    assert where.endswith("ε = 1e-05")
    layer.eval()
    forward, backward, _ = of("BatchNorm", lambda: layer(x))
    assert "both as training has left them" in forward
    assert backward.splitlines() == ["x_grad = w / √(variance + ε) · g", "w_grad = Σ g · x̂", "b_grad = Σ g"]


@pytest.mark.parametrize(
    ("learned", "y", "x_grad", "others"),
    [
        ({}, "y = x̂", "1", []),
        ({"weight": 1.0}, "y = w · x̂", "w", ["w_grad = Σ g · x̂"]),
        ({"bias": 0.0}, "y = x̂ + b", "1", ["b_grad = Σ g"]),
    ],
)
def test_batch_norm_without_weight_or_bias_has_none(
    learned: dict[str, float], y: str, x_grad: str, others: list[str]
) -> None:
    arrays: dict[str, Any] = {
        name: Tensor(np.full(3, value, np.float32), requires_grad=True) for name, value in learned.items()
    }
    forward, backward, _ = of(
        "BatchNorm", lambda: F.batch_norm(images(2, 3, 4, 4), None, None, training=True, **arrays)
    )
    assert forward.splitlines()[-1] == y
    first, *rest = backward.splitlines()
    assert first.startswith(f"x_grad = {x_grad} / ")
    assert rest == others


def test_groups_are_told_where_there_are_some() -> None:
    assert not any("group" in part for part in of("Conv2d", lambda: nn.Conv2d(4, 4, 3)(images(1, 4, 5, 5))))
    *_, where = of("Conv2d", lambda: nn.Conv2d(4, 4, 3, groups=2)(images(1, 4, 5, 5)))
    assert where.endswith("; each o meets the channels c of its own group alone, one of 2")


def test_a_fused_relu_comes_last_forward_and_first_backward() -> None:
    forward, backward, _ = of("Conv2d", lambda: nn.Conv2d(3, 4, 3, activation="relu")(images(1, 3, 5, 5)))
    assert forward.endswith("\ny = max(y, 0)")
    assert backward.startswith("g = g where y > 0, else 0\n")


def test_every_operation_of_the_engine_has_a_formula() -> None:
    from minigrad import ops
    from minigrad.explorer.formulas import FORMULAS

    kinds = {name for name, value in vars(ops).items() if isinstance(value, type) and issubclass(value, Function)}
    assert kinds - {"Function"} == set(FORMULAS)
