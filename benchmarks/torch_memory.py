"""How the kernels' arrays become PyTorch's tensors in either memory format, and back. Importing this imports torch."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.layout import Array
from minigrad import device


def torch_device(place: str) -> torch.device:
    """PyTorch's device for one of minigrad's. On a card it is told to multiply in float32, as the kernels do."""
    if place == device.CPU:
        return torch.device("cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device(place.replace("gpu", "cuda"))


def in_format(tensor: Tensor, memory_format: torch.memory_format) -> Tensor:
    """A copy in that format. Not `contiguous`: of one channel or one pixel it takes either format for the other, and
    leaves the strides, by which the layers that come after choose theirs."""
    return tensor.clone(memory_format=memory_format)


class Rival(NamedTuple):
    """run: what is timed. arrays: what it returned as the kernel returns it; None if the numbers must differ."""

    run: Callable[[], Any]
    arrays: Callable[[Any], list[Array]] | None


class Memory:
    """Where tensors lie, and how: channels_last or PyTorch's default. Public shapes are NCHW in both."""

    def __init__(self, channels_last: bool, place: str) -> None:
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.device = torch_device(place)

    def tensor(self, array: Array) -> Tensor:
        """A NumPy array as it is."""
        return torch.from_numpy(array).to(self.device)

    def images(self, array: Array) -> Tensor:
        """(N, H, W, C) -> (N, C, H, W) in this format; other arrays as they are."""
        tensor = self.tensor(array)
        return in_format(tensor.permute(0, 3, 1, 2), self.format) if array.ndim == 4 else tensor

    def weight(self, array: Array) -> Tensor:
        """(kh, kw, I, O) -> (O, I, kh, kw) in this format."""
        return in_format(self.tensor(array).permute(3, 2, 0, 1), self.format)

    def empty(self, *shape: int) -> Tensor:
        """A stand-in for an argument of which only the shape and the format count."""
        return torch.empty(shape, device=self.device).contiguous(memory_format=self.format)


def arrays(results: Any) -> list[Array]:
    """NumPy's arrays of tensors, images as (N, H, W, C)."""
    tensors = [results] if isinstance(results, Tensor) else results
    return host(t.permute(0, 2, 3, 1) if t.ndim == 4 else t for t in tensors)


def host(tensors: Iterable[Tensor]) -> list[Array]:
    """NumPy's arrays of tensors, with their axes as they are."""
    return [tensor.detach().cpu().numpy() for tensor in tensors]
