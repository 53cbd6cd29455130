"""GoogLeNet trained and run by minigrad and by PyTorch, from the same weights on the same images, on one device."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

import numpy as np

import kernels
from benchmarks import machine
from benchmarks.measure import TORCH_LAYOUTS
from googlenet import GoogLeNet
from kernels.layout import Array, nchw
from minigrad import Tensor, device, functional as F, no_grad, optim

SGD: dict[str, Any] = {"lr": 1e-3, "momentum": 0.9}
CLASSES = 10


class Competitor(Protocol):
    """A network with its optimiser and one batch. A card has done a step when its result is on the host."""

    def set_training(self, training: bool) -> None:
        """Training or evaluation mode."""

    def train(self) -> float:
        """One training step; returns the loss."""

    def infer(self) -> Array:
        """Forward without a graph: logits (N, CLASSES)."""


def _no_part(name: str) -> AbstractContextManager[None]:
    return nullcontext()


class Own:
    """minigrad. images are (N, H, W, 1), labels (N,). part: for a profiler, marks what is not an operation."""

    def __init__(self, model: GoogLeNet, images: Array, labels: Array, place: str) -> None:
        self.model, self.labels = model.to(place), device.to(labels, place)
        self.batch = Tensor(device.to(nchw(images), place))
        self.optimizer = optim.SGD(model.parameters(), **SGD)
        self.part: Callable[[str], AbstractContextManager[None]] = _no_part

    def set_training(self, training: bool) -> None:
        self.model.train(training)

    def train(self) -> float:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.batch), self.labels)
        loss.backward()
        with self.part("optimizer"):
            self.optimizer.step()
        return loss.item()

    def infer(self) -> Array:
        with no_grad():
            return device.host(self.model(self.batch).data)


class Torch:
    """PyTorch, with the model's weights as they are now, in its default layout or channels-last."""

    def __init__(self, model: GoogLeNet, images: Array, labels: Array, channels_last: bool, place: str) -> None:
        import torch

        from benchmarks.torch_googlenet import TorchGoogLeNet, tensors
        from benchmarks.torch_memory import in_format, torch_device

        self._torch = torch
        there, memory_format = torch_device(place), torch.channels_last if channels_last else torch.contiguous_format
        batch_norm = model.conv1.bn is not None
        twin: Any = TorchGoogLeNet(batch_norm=batch_norm)  # torch's type of `to` does not know memory_format
        twin.load_state_dict(tensors(model.state_dict()))
        self.twin = twin.to(there, memory_format=memory_format)
        self.optimizer = torch.optim.SGD(self.twin.parameters(), **SGD)
        self.batch = in_format(torch.from_numpy(nchw(images)).to(there), memory_format)
        self.target = torch.from_numpy(labels).to(there)

    def set_training(self, training: bool) -> None:
        self.twin.train(training)

    def train(self) -> float:
        self.optimizer.zero_grad()
        loss = self._torch.nn.functional.cross_entropy(self.twin(self.batch), self.target)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def infer(self) -> Array:
        with self._torch.inference_mode():
            logits: Array = self.twin(self.batch).cpu().numpy()
            return logits


def own_name(place: str) -> str:
    """What minigrad is called in tables: with the backend that serves on this device."""
    return f"minigrad, {kernels.backend.current() if place == device.CPU else kernels.CUDA}"


def names(place: str) -> list[str]:
    """Who takes part: PyTorch in both layouts, if it can be compared with on this device, and minigrad."""
    return [*(TORCH_LAYOUTS if machine.no_torch(place) is None else ()), own_name(place)]


def build(
    chosen: list[str], images: int, image_size: int, place: str, batch_norm: bool = False
) -> dict[str, Competitor]:
    """These competitors on a device, with equal weights, and random images and labels that are the same each time.

    batch_norm: whether there is batch normalisation after each convolution.
    """
    random = np.random.default_rng(0)
    batch = random.standard_normal((images, image_size, image_size, 1), np.float32)
    labels = random.integers(0, CLASSES, images)
    norm: Literal["batch", "none"] = "batch" if batch_norm else "none"
    model = GoogLeNet(num_classes=CLASSES, image_size=image_size, dropout=0.0, norm=norm)
    built: dict[str, Competitor] = {}
    for name in chosen:
        if name in TORCH_LAYOUTS:
            built[name] = Torch(model, batch, labels, TORCH_LAYOUTS[name], place)
        else:
            built[name] = Own(model, batch, labels, place)
    return built
