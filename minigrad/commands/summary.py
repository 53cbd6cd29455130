"""summary: follow the shapes through a network, stage by stage, with parameters and multiply-adds."""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from kernels.layout import Array, nchw
from minigrad.commands import Builder
from minigrad.commands.arguments import at_least, program
from minigrad.function import Function, no_grad
from minigrad.nn import Module
from minigrad.observe import Observer, observe
from minigrad.tensor import Tensor

ERRORS = ()


class Stage(NamedTuple):
    """One line of the summary. shape: of the output for one image."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


class MultiplyAdds(Observer):
    """Counts the multiplications of every operation with a weight, by the first name of the module's path."""

    def __init__(self) -> None:
        self.by_stage: Counter[str] = Counter()
        self._weight_size = 0

    def before_forward(self, function: Function, inputs: tuple[Array | float | None, ...]) -> None:
        weight = inputs[1] if len(inputs) > 1 and function.name in ("Conv2d", "Linear") else None
        self._weight_size = np.size(weight) if weight is not None else 0

    def after_forward(self, function: Function, output: Array) -> None:
        # Each output channel has its share of the weight, and uses all of it at every place.
        places = output.size // output.shape[1] if output.ndim > 1 and output.size else 0
        self.by_stage[function.path.split(".")[0]] += places * self._weight_size


def stages(model: Module, in_channels: int, image_size: int) -> list[Stage]:
    """What each module right below `model` gives for one image, in the order in which they run."""
    ran: list[tuple[str, Module, tuple[int, ...]]] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        ran.append((names[module], module, output.shape[1:]))

    hooks = [module.register_forward_hook(note) for module in model.children()]
    image = Tensor(nchw(np.zeros((1, image_size, image_size, in_channels), np.float32)))
    counter = MultiplyAdds()
    was_training = model.training
    with no_grad(), observe(counter):
        model.eval()(image)
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return [
        Stage(name, shape, sum(p.data.size for p in module.parameters()), counter.by_stage[name])
        for name, module, shape in ran
    ]


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, run one image of zeros through the network, print a table. Returns the exit status."""
    p = argparse.ArgumentParser(prog=program("summary"), description="Follow the shapes through the network.")
    p.add_argument("--image-size", type=at_least(1), default=96, metavar="N", help="pixels, default 96")
    p.add_argument("--in-channels", type=at_least(1), default=1, metavar="N", help="default 1")
    p.add_argument("--num-classes", type=at_least(1), default=10, metavar="N", help="default 10")
    options = p.parse_args(arguments)
    model = builder(
        in_channels=options.in_channels, num_classes=options.num_classes, image_size=options.image_size
    )
    table = Table("stage", "output")
    for column in ("parameters", "multiply-adds"):
        table.add_column(column, justify="right")
    rows = stages(model, options.in_channels, options.image_size)
    for stage in rows:
        shape = " x ".join(map(str, stage.shape))
        table.add_row(stage.name, shape, f"{stage.parameters:,}", f"{stage.multiply_adds:,}")
    table.add_section()
    totals = (sum(stage.parameters for stage in rows), sum(stage.multiply_adds for stage in rows))
    table.add_row("total", "", *(f"{total:,}" for total in totals))
    Console().print(table)
    return 0
