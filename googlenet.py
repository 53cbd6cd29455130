#!/usr/bin/env python3
"""GoogLeNet (C. Szegedy et al., "Going deeper with convolutions", 2015), built from minigrad's primitives.

    python googlenet.py --device auto          train on Fashion-MNIST
    python googlenet.py evaluate RUN           test a trained model
    python googlenet.py summary                follow the shapes through the network

Twenty-two layers with weights, of which twenty lie in nine Inception blocks and a stem of three convolutions. A block
looks at its input at several scales at once, and 1x1 convolutions keep that affordable.
"""

import sys
from typing import NamedTuple

from minigrad import Tensor, functional as F, nn


class Row(NamedTuple):
    """A block's output channels by branch, under the column names of the paper's Table 1."""

    ch1x1: int
    ch3x3red: int
    ch3x3: int
    ch5x5red: int
    ch5x5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        return self.ch1x1 + self.ch3x3 + self.ch5x5 + self.pool_proj


TABLE_1 = {
    "inception3a": Row(64, 96, 128, 16, 32, 32),
    "inception3b": Row(128, 128, 192, 32, 96, 64),
    "inception4a": Row(192, 96, 208, 16, 48, 64),
    "inception4b": Row(160, 112, 224, 24, 64, 64),
    "inception4c": Row(128, 128, 256, 24, 64, 64),
    "inception4d": Row(112, 144, 288, 32, 64, 64),
    "inception4e": Row(256, 160, 320, 32, 128, 128),
    "inception5a": Row(256, 160, 320, 32, 128, 128),
    "inception5b": Row(384, 192, 384, 48, 128, 128),
}


class BasicConv2d(nn.Module):
    """A convolution with its ReLU: the paper rectifies all of them."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Inception(nn.Module):
    """Four views of one input, put one behind the other along the channels (paper, figure 2b).

    (N, in_channels, H, W) -> (N, row.out_channels, H, W). The 1x1 convolutions before 3x3 and 5x5 reduce the channels
    first, which is what makes the large filters cheap enough.
    """

    def __init__(self, in_channels: int, row: Row) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, row.ch1x1, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, row.ch3x3red, 1),
            BasicConv2d(row.ch3x3red, row.ch3x3, 3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, row.ch5x5red, 1),
            BasicConv2d(row.ch5x5red, row.ch5x5, 5, padding=2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            BasicConv2d(in_channels, row.pool_proj, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class GoogLeNet(nn.Module):
    """(N, in_channels, image_size, image_size) -> logits (N, num_classes).

    The shape comments are for 224x224, as in the paper; 96x96 ends in 3x3 before the global average. Parameters have
    torchvision's names. The auxiliary classifiers would hang on 4a and 4d.
    """

    def __init__(
        self, in_channels: int = 1, num_classes: int = 10, image_size: int = 96, dropout: float = 0.4
    ) -> None:
        super().__init__()
        if image_size < 1:
            raise ValueError(f"image_size: given {image_size}, expected at least 1 pixel")
        self.in_channels, self.num_classes, self.image_size = in_channels, num_classes, image_size
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 192
        for name, row in TABLE_1.items():
            setattr(self, name, Inception(channels, row))
            channels = row.out_channels
        self.maxpool3 = nn.MaxPool2d(3, stride=2, padding=1)
        self.maxpool4 = nn.MaxPool2d(3, stride=2, padding=1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)  # undecided at first: a loss of log(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        expected = (self.in_channels, self.image_size, self.image_size)
        if x.shape[1:] != expected:
            raise ValueError(f"x: given shape {x.shape}, expected (N, {', '.join(map(str, expected))})")
        x = self.maxpool1(self.conv1(x))  # (N, 64, 56, 56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, 28, 28)
        x = self.inception3b(self.inception3a(x))  # (N, 480, 28, 28)
        x = self.inception4a(self.maxpool3(x))  # (N, 512, 14, 14)
        x = self.inception4d(self.inception4c(self.inception4b(x)))  # (N, 528, 14, 14)
        x = self.inception4e(x)  # (N, 832, 14, 14)
        x = self.inception5b(self.inception5a(self.maxpool4(x)))  # (N, 1024, 7, 7)
        x = F.flatten(self.avgpool(x), 1)  # (N, 1024)
        return self.fc(self.dropout(x))  # (N, num_classes)


def main(arguments: list[str] | None = None) -> int:
    """The command line; see `python googlenet.py --help`. Returns the exit status."""
    from minigrad.commands import run  # not needed by who only wants the network

    return run(GoogLeNet, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
