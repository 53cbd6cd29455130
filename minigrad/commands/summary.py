"""summary: follow the shapes through a network, stage by stage, with parameters and multiply-adds."""

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from kernels.layout import Array, nchw
from minigrad import device
from minigrad.commands.arguments import at_least, plain_console, program
from minigrad.commands.settings import add_options_of, given_of
from minigrad.counting import multiply_adds
from minigrad.function import Function, no_grad
from minigrad.nn import Module
from minigrad.nn.module import modes_kept
from minigrad.observe import Observer, observe
from minigrad.tensor import Tensor
from minigrad.training.config import Builder, Config, ConfigError
from minigrad.training.recipes import own_image_size

ERRORS = (ConfigError, device.DeviceError, OSError)


class Stage(NamedTuple):
    """One line of the summary. shape: of the output for one image."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


class Published(NamedTuple):
    """What a paper's table says of a stage, beside what was counted: weights in units of 1,024, multiply-adds in
    millions."""

    name: str
    weights: tuple[float, float]
    multiply_adds: tuple[float, float]


class MultiplyAdds(Observer):
    """Counts the multiply-adds of every operation, by the first name of the module's path."""

    def __init__(self) -> None:
        self.by_stage: Counter[str] = Counter()
        self._inputs: tuple[Array | float | None, ...] = ()

    def before_forward(self, function: Function, inputs: tuple[Array | float | None, ...]) -> None:
        self._inputs = inputs

    def after_forward(self, function: Function, output: Array) -> None:
        self.by_stage[function.path.split(".")[0]] += multiply_adds(function, self._inputs, output)


def stages(model: Module, in_channels: int, image_size: int) -> list[Stage]:
    """What each module right below `model` gives for one image, in the order in which they first run, with the work of
    all its runs; then those that do not run in evaluation, without a shape; at the end the model itself, if it has
    parameters or work of its own."""
    shapes: dict[Module, tuple[int, ...]] = {}
    names = {module: name for name, module in model.named_modules()}

    def note(module: Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        shapes.setdefault(module, output.shape[1:])

    hooks = [module.register_forward_hook(note) for module in model.children()]
    image = Tensor(nchw(np.zeros((1, image_size, image_size, in_channels), np.float32)))
    counter = MultiplyAdds()
    try:
        with modes_kept(model), no_grad(), observe(counter):
            shape_of_all = model.eval()(image).shape[1:]
    finally:
        for hook in hooks:
            hook.remove()
    for module in model.children():
        shapes.setdefault(module, ())
    rows = [
        Stage(names[module], shape, sum(p.data.size for p in module.parameters()), counter.by_stage[names[module]])
        for module, shape in shapes.items()
    ]
    own = sum(parameter.data.size for name, parameter in model.named_parameters() if "." not in name)
    if own or counter.by_stage[""]:
        rows.append(Stage(f"{type(model).__name__} itself", shape_of_all, own, counter.by_stage[""]))
    return rows


def beside_the_paper(builder: Builder) -> tuple[list[Published], Sequence[str]]:
    """The paper's figures beside those of the network for 3x224x224 and 1000 classes, which are counted.

    The figures are the network's attribute `published`: weights and multiply-adds by stage, or several stages with
    commas between, and remarks on where they differ, which are returned too. Networks without it have neither.
    """
    counts, remarks = getattr(builder, "published", ({}, ()))
    if not counts:
        return [], remarks
    model = builder(in_channels=3, num_classes=1000, image_size=224)
    of_stage = {stage.name: stage for stage in stages(model, 3, 224)}
    weights = {
        name: sum(p.data.size for p in module.parameters() if p.ndim > 1)
        for name, module in model.named_modules() if name in of_stage
    }  # fmt: skip
    lines = []
    for name, papers in counts.items():
        parts = name.split(", ")
        counted = sum(weights[part] for part in parts) / 1024, sum(of_stage[part].multiply_adds for part in parts) / 1e6
        first, second = zip(papers, counted, strict=True)
        lines.append(Published(name, first, second))
    return lines, remarks


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, run one image of zeros through the network, print a table. Returns the exit status."""
    p = argparse.ArgumentParser(prog=program("summary"), description="Follow the shapes through the network.")
    size = own_image_size(builder)
    p.add_argument("--image-size", type=at_least(1), default=size, metavar="N", help=f"pixels, default {size}")
    p.add_argument("--in-channels", type=at_least(1), default=1, metavar="N", help="default 1")
    p.add_argument("--num-classes", type=at_least(1), default=10, metavar="N", help="default 10")
    add_options_of(builder, p)
    options = p.parse_args(arguments)
    shapes = {name: getattr(options, name) for name in ("in_channels", "num_classes", "image_size")}
    model = Config(builder.__name__, model=given_of(builder, options), **shapes).build_model(builder)
    table = Table("stage", "output")
    for column in ("parameters", "multiply-adds"):
        table.add_column(column, justify="right")
    with device.memory_errors("a smaller --image-size needs less"):
        rows = stages(model, options.in_channels, options.image_size)
    for stage in rows:
        shape = " x ".join(map(str, stage.shape)) or "not in evaluation"
        work = f"{stage.multiply_adds:,}" if stage.shape else "-"
        table.add_row(stage.name, shape, f"{stage.parameters:,}", work)
    table.add_section()
    totals = (sum(p.data.size for p in model.parameters()), sum(stage.multiply_adds for stage in rows))
    table.add_row("total", "", *(f"{total:,}" for total in totals))
    console = plain_console()
    console.print(table)
    lines, remarks = beside_the_paper(builder)
    if lines:
        _print_beside_the_paper(console, lines)
    for remark in remarks:
        console.print(remark)
    return 0


def _print_beside_the_paper(console: Console, lines: list[Published]) -> None:
    table = Table("stage", title="The paper's Table 1, for 3 x 224 x 224 and 1000 classes")
    for column in ("K weights", "counted", "", "M mult-adds", "counted", ""):
        table.add_column(column, justify="right")
    for line in lines:
        cells = []
        for papers, counted in (line.weights, line.multiply_adds):
            cells += [f"{papers:,g}", f"{counted:,.1f}", f"{papers / counted - 1:+.1%}"]
        table.add_row(line.name, *cells)
    console.print(table)
