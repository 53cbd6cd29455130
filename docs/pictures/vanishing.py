#!/usr/bin/env python3
"""Draws docs/pictures/vanishing.svg: norms of gradients along GoogLeNet's depth, for chapter 8.

    .venv/bin/python docs/pictures/vanishing.py
"""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

import minigrad
from googlenet import TABLE_1, GoogLeNet
from minigrad import Tensor, functional as F, nn
from minigrad.training.objective import score

STAGES = ["conv1.conv", "conv3.conv", *TABLE_1]
WAYS: tuple[tuple[str, str, float | None, Literal["kaiming", "xavier"]], ...] = (
    ("He's weights", "tab:green", None, "kaiming"),
    ("Glorot's weights", "tab:orange", None, "xavier"),
    ("deviation 0.02 everywhere", "tab:blue", 0.02, "kaiming"),
)
"""What they are called, their colour, the deviation of all weights or None, the initialisation if it is None."""


class Norms(minigrad.Observer):
    """The norm of the gradient that comes to the last operation of each module, by the module's path."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}

    def before_backward(self, function: minigrad.Function, gradient: np.ndarray) -> None:
        self.of.setdefault(function.path, float(np.linalg.norm(gradient)))


def norms(net: nn.Module, heads: bool) -> tuple[list[float], list[float]]:
    """At each of STAGES, for eight images of noise, with the auxiliary classifiers or without: the norms of the
    gradients of its output, and of the weight of its first convolution."""
    images = np.random.default_rng(0).standard_normal((8, 1, 65, 65)).astype(np.float32)
    outputs, labels = net(Tensor(images)), np.arange(8)
    seen = Norms()
    with minigrad.observe(seen):
        (score(outputs, labels)[0].loss if heads else F.cross_entropy(outputs.main, labels)).backward()
    weights = [
        next(np.linalg.norm(parameter.grad) for name, parameter in net.named_parameters() if name.startswith(stage))
        for stage in STAGES
    ]
    return [seen.of[stage] for stage in STAGES], [float(norm) for norm in weights]


def network(std: float | None, init: Literal["kaiming", "xavier"]) -> GoogLeNet:
    """A fresh GoogLeNet, with its initialisation or with normal weights of the same deviation in all layers."""
    minigrad.manual_seed(0)
    net = GoogLeNet(image_size=65, aux=True, dropout=0.0, init=init)
    for parameter in net.parameters() if std else ():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=std)
    return net


def main(path: Path) -> None:
    """Measure and draw."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for name, colour, std, init in WAYS:
        for heads, line in ((False, "-"), (True, "--")):
            label = name + (", with auxiliary classifiers" if heads else "")
            for axes, values in zip(panels, norms(network(std, init), heads), strict=True):
                axes.plot(range(len(STAGES)), values, line, color=colour, marker="o", markersize=4, label=label)
    for axes, title in zip(panels, ("of each stage's output", "of each stage's first weights"), strict=True):
        axes.set_title(f"norm of the gradient {title}")
        axes.set_yscale("log")
        axes.set_xticks(range(len(STAGES)), [stage.removeprefix("inception").removesuffix(".conv") for stage in STAGES])
        axes.tick_params(axis="x", labelsize="small")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
