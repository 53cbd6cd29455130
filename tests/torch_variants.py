"""GoogLeNet with all its options once more, in PyTorch's own layers: what the variants' tests compare with.

Written from the paper (C. Szegedy et al., 2015: table 1, figure 3, section 5) and from the architecture that
torchvision documents, and from nothing in googlenet.py, so that a slip there is not repeated here.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = {
    # in, 1x1, before 3x3, 3x3, before 5x5, 5x5, behind the pool
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}


class Conv(nn.Module):
    """A convolution, batch normalisation if asked for, ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: bool, **options: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=not norm, **options)
        if norm:
            self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
        return torch.relu(x)


class Block(nn.Module):
    def __init__(self, sizes: tuple[int, ...], norm: bool, five: int) -> None:
        super().__init__()
        inputs, one, three_in, three, five_in, five_out, pooled = sizes
        self.branch1 = Conv(inputs, one, norm, kernel_size=1)
        self.branch2 = nn.Sequential(
            Conv(inputs, three_in, norm, kernel_size=1), Conv(three_in, three, norm, kernel_size=3, padding=1)
        )
        self.branch3 = nn.Sequential(
            Conv(inputs, five_in, norm, kernel_size=1),
            Conv(five_in, five_out, norm, kernel_size=five, padding=(five - 1) // 2),
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Conv(inputs, pooled, norm, kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


class Head(nn.Module):
    """An auxiliary classifier without its dropout. places: of the pooled maps."""

    def __init__(self, inputs: int, places: int, classes: int, norm: bool, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.conv = Conv(inputs, 128, norm, kernel_size=1)
        self.fc1 = nn.Linear(128 * places, 1024)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(torch.relu(self.fc1(self.conv(self.pool(x)).flatten(1))))


class TorchVariant(nn.Module):
    """(N, channels, S, S) -> logits (N, classes), in training with aux_places: of all three classifiers. No dropout.

    aux_places: places of an auxiliary classifier's pooled maps, 0 for none. torchvision: its architecture, and its
    input, which is normalised by ImageNet's statistics where it has three channels.
    """

    def __init__(
        self, channels: int, classes: int, aux_places: int = 0, lrn: bool = False, norm: bool = False,
        torchvision: bool = False,
    ) -> None:
        super().__init__()
        self.lrn, self.aux_places, self.transform = lrn, aux_places, torchvision and channels == 3
        norm = norm or torchvision
        self.conv1 = Conv(channels, 64, norm, kernel_size=7, stride=2, padding=3)
        self.conv2 = Conv(64, 64, norm, kernel_size=1)
        self.conv3 = Conv(64, 192, norm, kernel_size=3, padding=1)
        for name, sizes in BLOCKS.items():
            self.add_module(name, Block(sizes, norm, 3 if torchvision else 5))
        if aux_places:
            pool = nn.AdaptiveAvgPool2d((4, 4)) if torchvision else nn.AvgPool2d(5, 3)
            self.aux1 = Head(512, aux_places, classes, norm, pool)
            self.aux2 = Head(528, aux_places, classes, norm, pool)
        self.fc = nn.Linear(1024, classes)
        papers: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}
        theirs: dict[str, Any] = {"kernel_size": 3, "stride": 2, "ceil_mode": True}
        self.pool = theirs if torchvision else papers
        self.last_pool = {"kernel_size": 2, "stride": 2, "ceil_mode": True} if torchvision else papers

    def forward(self, x: Tensor) -> Any:
        if self.transform:  # back to 0 .. 1, and from there to -1 .. 1
            mean = torch.tensor([0.485, 0.456, 0.406], dtype=x.dtype)[:, None, None]
            std = torch.tensor([0.229, 0.224, 0.225], dtype=x.dtype)[:, None, None]
            x = (x * std + mean) * 2 - 1
        x = F.max_pool2d(self.conv1(x), **self.pool)
        x = self.conv3(self.conv2(self.normalise(x)))
        x = F.max_pool2d(self.normalise(x), **self.pool)
        aux = []
        for name in BLOCKS:
            if name == "inception4a":
                x = F.max_pool2d(x, **self.pool)
            elif name == "inception5a":
                x = F.max_pool2d(x, **self.last_pool)
            x = self.get_submodule(name)(x)
            if name in ("inception4a", "inception4d") and self.aux_places and self.training:
                aux.append(self.aux1(x) if name == "inception4a" else self.aux2(x))
        logits = self.fc(x.mean((2, 3)))
        return (logits, *aux) if aux else logits

    def normalise(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, 5, alpha=0.0001, beta=0.75, k=1.0) if self.lrn else x
