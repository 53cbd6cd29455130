#!/usr/bin/env python3
"""Draws docs/pictures/vanishing.svg: gradients' norms along GoogLeNet's depth, for chapter 8.

    .venv/bin/python docs/pictures/vanishing.py
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import minigrad
from googlenet import TABLE_1, GoogLeNet
from minigrad import Tensor, functional as F, nn
from minigrad.training.objective import score

STAGES = ["conv1.conv", "conv3.conv", *TABLE_1]


class Norms(minigrad.Observer):
    """The norm of the gradient that comes to the last operation of each module, by the module's path."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}

    def before_backward(self, function: minigrad.Function, gradient: np.ndarray) -> None:
        self.of.setdefault(function.path, float(np.linalg.norm(gradient)))


def norms(net: nn.Module, heads: bool) -> list[float]:
    """At each of STAGES, for eight images of noise; with the auxiliary classifiers or without."""
    images = np.random.default_rng(0).standard_normal((8, 1, 65, 65)).astype(np.float32)
    outputs, labels = net(Tensor(images)), np.arange(8)
    seen = Norms()
    with minigrad.observe(seen):
        (score(outputs, labels)[0].loss if heads else F.cross_entropy(outputs.main, labels)).backward()
    return [seen.of[stage] for stage in STAGES]


def network(std: float | None) -> GoogLeNet:
    """A fresh GoogLeNet: Kaiming's weights, or normal ones with the same deviation in all layers."""
    minigrad.manual_seed(0)
    net = GoogLeNet(image_size=65, aux=True, dropout=0.0)
    for parameter in net.parameters() if std else ():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=std)
    return net


def main(path: Path) -> None:
    """Measure and draw."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    ways = ((None, "tab:green", "Kaiming's weights"), (0.02, "tab:blue", "deviation 0.02 everywhere"))
    for std, colour, name in ways:
        for heads, line in ((False, "-"), (True, "--")):
            label = name + (", with auxiliary classifiers" if heads else "")
            axes.plot(range(len(STAGES)), norms(network(std), heads), line, color=colour, marker="o", label=label)
    axes.set_yscale("log")
    axes.set_xticks(range(len(STAGES)), [stage.removeprefix("inception").removesuffix(".conv") for stage in STAGES])
    axes.set_ylabel("norm of the gradient")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
