"""GoogLeNet again, from torch's layers: the twin beside which minigrad's is timed and tested.

It is built from the same table and names its parameters as googlenet.py does, so that weights move between the two.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from googlenet import TABLE_1, Row
from kernels.layout import Array


class BasicConv2d(nn.Module):
    """A convolution with its ReLU. batch_norm: with normalisation in between."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3) if batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x), inplace=True)


class Inception(nn.Module):
    """Four branches, put one behind the other along the channels."""

    def __init__(self, in_channels: int, row: Row, batch_norm: bool) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, row.ch1x1, 1, batch_norm=batch_norm)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, row.ch3x3red, 1, batch_norm=batch_norm),
            BasicConv2d(row.ch3x3red, row.ch3x3, 3, padding=1, batch_norm=batch_norm),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, row.ch5x5red, 1, batch_norm=batch_norm),
            BasicConv2d(row.ch5x5red, row.ch5x5, 5, padding=2, batch_norm=batch_norm),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            BasicConv2d(in_channels, row.pool_proj, 1, batch_norm=batch_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class TorchGoogLeNet(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes), for images of any size."""

    def __init__(
        self, in_channels: int = 1, num_classes: int = 10, dropout: float = 0.0, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2, padding=3, batch_norm=batch_norm)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = BasicConv2d(64, 64, 1, batch_norm=batch_norm)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1, batch_norm=batch_norm)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 192
        for name, row in TABLE_1.items():
            setattr(self, name, Inception(channels, row, batch_norm))
            channels = row.out_channels
        self.maxpool3 = nn.MaxPool2d(3, stride=2, padding=1)
        self.maxpool4 = nn.MaxPool2d(3, stride=2, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)

    def _inception(self, stage: str, x: Tensor) -> Tensor:
        for name in TABLE_1:
            if name.startswith(f"inception{stage}"):
                x = self.get_submodule(name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self._inception("3", x)
        x = self._inception("4", self.maxpool3(x))
        x = self._inception("5", self.maxpool4(x))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(self.dropout(x))


def tensors(state: Mapping[str, Array]) -> dict[str, Tensor]:
    """minigrad's `state_dict()` as torch's: `twin.load_state_dict(tensors(model.state_dict()))`, which copies."""
    return {name: torch.from_numpy(array) for name, array in state.items()}
