"""How the kernels' arrays become PyTorch's tensors in either memory format, and back. Importing this imports torch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.layout import Array


class Rival(NamedTuple):
    """run: what is timed. arrays: what it returned as the kernel returns it; None if the numbers must differ."""

    run: Callable[[], Any]
    arrays: Callable[[Any], list[Array]] | None


class Memory:
    """How tensors lie in memory: channels_last or PyTorch's default. Public shapes are NCHW in both."""

    def __init__(self, channels_last: bool) -> None:
        self.format = torch.channels_last if channels_last else torch.contiguous_format

    def images(self, array: Array) -> Tensor:
        """(N, H, W, C) -> (N, C, H, W) in this format; other arrays as they are."""
        tensor = torch.from_numpy(array)
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=self.format) if array.ndim == 4 else tensor

    def weight(self, array: Array) -> Tensor:
        """(kh, kw, I, O) -> (O, I, kh, kw) in this format."""
        return torch.from_numpy(array).permute(3, 2, 0, 1).contiguous(memory_format=self.format)

    def empty(self, *shape: int) -> Tensor:
        """A stand-in for an argument of which only the shape and the format count."""
        return torch.empty(shape).contiguous(memory_format=self.format)


def arrays(results: Any) -> list[Array]:
    """Tensors, images as (N, H, W, C)."""
    tensors = [results] if isinstance(results, Tensor) else results
    return [(t.permute(0, 2, 3, 1) if t.ndim == 4 else t).detach().numpy() for t in tensors]
