#!/usr/bin/env python3
"""A small residual network (K. He et al., "Deep residual learning for image recognition", 2015).

    python examples/small_resnet.py                train on Fashion-MNIST
    python examples/small_resnet.py evaluate RUN   test a trained model
    python examples/small_resnet.py summary        follow the shapes through the network

Its form is that of section 4.2, for small images, with n = 2: a convolution, three stages of n blocks, a global
average, a linear layer; 6n + 2 = 14 layers with weights. A block learns what to add to its input, and through the
sums gradients reach every layer undiminished. Where a block changes the shape, a 1x1 convolution brings the input to
the new one (option B of section 3.3); for such small images the paper adds channels of zeros instead (option A).
"""

import sys

from minigrad import Tensor, functional as F, nn
from minigrad.commands import run

BLOCKS = 2
"""The paper's n: how many blocks a stage has."""


class Block(nn.Module):
    """Two 3x3 convolutions, whose result is added to what came in (paper, figure 2).

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), rounded up. The convolutions have no bias, for
    batch normalisation would subtract it again.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels, activation="relu")
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential()  # with nothing in it: the identity
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        return F.relu(residual + self.shortcut(x))


def stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """BLOCKS blocks, of which the first changes the shape: (N, in_channels, H, W) as in Block."""
    rest = [Block(out_channels, out_channels, stride=1) for _ in range(BLOCKS - 1)]
    return nn.Sequential(Block(in_channels, out_channels, stride), *rest)


class SmallResNet(nn.Module):
    """(N, in_channels, image_size, image_size) -> logits (N, num_classes). The shape comments are for 28x28."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, image_size: int = 28) -> None:
        super().__init__()
        if image_size < 5:
            raise ValueError(f"image_size: given {image_size}, expected at least 5, to leave values to normalise")
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16, activation="relu")
        self.stage1 = stage(16, 16, stride=1)
        self.stage2 = stage(16, 32, stride=2)
        self.stage3 = stage(32, 64, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x))  # (N, 16, 28, 28)
        x = self.stage1(x)  # (N, 16, 28, 28)
        x = self.stage2(x)  # (N, 32, 14, 14)
        x = self.stage3(x)  # (N, 64, 7, 7)
        x = F.flatten(self.avgpool(x), 1)  # (N, 64)
        return self.fc(x)  # (N, num_classes)


def main(arguments: list[str]) -> int:
    """The command line; see `python examples/small_resnet.py --help`. Returns the exit status."""
    return run(SmallResNet, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
