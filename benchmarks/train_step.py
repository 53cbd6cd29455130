"""`python -m benchmarks train-step`: whole training steps of GoogLeNet beside PyTorch's, from the same weights."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import kernels
from benchmarks import machine, report
from benchmarks.measure import TORCH_LAYOUTS
from benchmarks.timing import medians
from googlenet import GoogLeNet
from kernels.layout import Array, nchw
from minigrad import Tensor, functional as F, optim
from minigrad.commands.arguments import at_least

Step = Callable[[], float]
SGD: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9}
TOLERANCE = 1e-4
CHECKED_STEPS = 2
"""The first loss verifies forward; the second, after one update, backward and the optimiser."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options to argparse."""
    parser.add_argument("--batch-size", type=at_least(1), default=128, metavar="N", help="images, default 128")
    parser.add_argument("--image-size", type=at_least(1), default=96, metavar="N", help="pixels, default 96")
    parser.add_argument("--repeats", type=at_least(1), default=5, metavar="N", help="steps of each, default 5")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def own_step(model: GoogLeNet, images: Array, labels: Array) -> Step:
    """A training step of minigrad on images (N, H, W, C); calling it returns the loss."""
    optimizer = optim.SGD(model.parameters(), **SGD)
    batch = Tensor(nchw(images))

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_step(model: GoogLeNet, images: Array, labels: Array, channels_last: bool) -> Step:
    """The same step in PyTorch, from the same weights."""
    import torch

    from benchmarks.torch_googlenet import TorchGoogLeNet, tensors

    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    twin: Any = TorchGoogLeNet(dropout=0.0)  # torch's type of `to` does not know memory_format
    twin.load_state_dict(tensors(model.state_dict()))
    twin = twin.to(memory_format=memory_format)
    optimizer = torch.optim.SGD(twin.parameters(), **SGD)
    batch = torch.from_numpy(nchw(images)).contiguous(memory_format=memory_format)
    target = torch.from_numpy(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(batch), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def main(options: argparse.Namespace) -> int:
    """Verify, time, print. Returns the exit status: 1 if the losses disagree."""
    random = np.random.default_rng(0)
    size = options.image_size
    images = random.standard_normal((options.batch_size, size, size, 1), np.float32)
    labels = random.integers(0, 10, options.batch_size)
    model = GoogLeNet(image_size=size, dropout=0.0)
    own = f"minigrad, {kernels.backend.current()}"
    steps: dict[str, Step] = {}
    if machine.find_torch() is not None:
        steps = {name: torch_step(model, images, labels, last) for name, last in TORCH_LAYOUTS.items()}
    steps[own] = own_step(model, images, labels)
    screen = report.console()
    losses = {name: [step() for _ in range(CHECKED_STEPS)] for name, step in steps.items()}
    wrong = {name for name, given in losses.items() if not np.allclose(losses[own], given, rtol=TOLERANCE, atol=0)}
    if wrong:
        screen.print(f"[bold red]WRONG[/]: the losses of the first {CHECKED_STEPS} steps disagree: {losses}")
        return 1
    seconds = medians(steps, options.repeats, before=lambda: None)
    table = Table(title=f"training step of GoogLeNet, batch {options.batch_size}, {size}x{size}")
    table.add_column("by")
    for heading in ("milliseconds", f"{own} / this"):
        table.add_column(heading, justify="right")
    for name, median in seconds.items():
        table.add_row(name, f"{median * 1e3:,.1f}", f"{seconds[own] / median:.2f}")
    screen.print(table)
    if len(steps) == 1:
        screen.print(report.NO_TORCH, markup=False)
    if options.json:
        settings = {"batch_size": options.batch_size, "image_size": size, "repeats": options.repeats}
        figures = {name: median * 1e3 for name, median in seconds.items()}
        report.write(options.json, {"machine": machine.describe(), **settings, "milliseconds": figures})
    return 0
