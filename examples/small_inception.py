#!/usr/bin/env python3
"""A small Inception network, and the two ways of C. Szegedy et al. to take its large filters apart.

    python examples/small_inception.py                       train on Fashion-MNIST
    python examples/small_inception.py --factorised v2       with two 3x3 filters for each 5x5 of its blocks
    python examples/small_inception.py --factorised v3       with 1xn and nx1 filters for each nxn of its blocks

The paper is "Rethinking the Inception architecture for computer vision", 2015. A 5x5 filter sees what two 3x3 filters
see one after the other, which have 18 weights for its 25; an nxn filter sees what 1xn and nx1 see, which have 2n for
n * n. A ReLU lies between the parts, so the network bends once more for less work.
"""

import sys
from typing import Literal

from minigrad import Tensor, functional as F, nn
from minigrad.commands import run

Factorised = Literal["v2", "v3"] | None
FILTERS: dict[Factorised, dict[int, list[tuple[int, int]]]] = {
    None: {},
    "v2": {5: [(3, 3), (3, 3)]},  # section 3.1, figure 5
    "v3": {5: [(1, 5), (5, 1)], 3: [(1, 3), (3, 1)]},  # section 3.2, figure 6
}
"""The (rows, columns) of the filters in place of an nxn one, by the kind of factorisation and n; others stay."""


def convolution(in_channels: int, out_channels: int, n: int, factorised: Factorised = None) -> nn.Sequential:
    """An nxn convolution, or those in its place: (N, in_channels, H, W) -> (N, out_channels, H, W)."""
    *first, last = FILTERS[factorised].get(n, [(n, n)])  # only the last one widens: those before it stay cheap
    layers = [nn.Conv2d(in_channels, in_channels, size, padding="same", activation="relu") for size in first]
    return nn.Sequential(*layers, nn.Conv2d(in_channels, out_channels, last, padding="same", activation="relu"))


class Inception(nn.Module):
    """Four views of one input, put one after another along the channels.

    (N, in_channels, H, W) -> (N, 88, H, W). factorised: None, "v2" or "v3", see FILTERS.
    """

    out_channels = 24 + 16 + 24 + 24

    def __init__(self, in_channels: int, factorised: Factorised = None) -> None:
        super().__init__()
        if factorised not in FILTERS:
            raise ValueError(f"Inception: factorised: given {factorised!r}, expected None, 'v2' or 'v3'")
        self.pool = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), convolution(in_channels, 24, 1))
        self.branch1 = convolution(in_channels, 16, 1)
        self.branch5 = nn.Sequential(convolution(in_channels, 16, 1), convolution(16, 24, 5, factorised))
        self.branch3 = nn.Sequential(
            convolution(in_channels, 16, 1), convolution(16, 24, 3, factorised), convolution(24, 24, 3, factorised)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.pool(x), self.branch1(x), self.branch5(x), self.branch3(x)], dim=1)


class SmallInception(nn.Module):
    """(N, in_channels, image_size, image_size) -> logits (N, num_classes). The shape comments are for 28x28.

    factorised: "v2" has two 3x3 filters for each 5x5 of the blocks, "v3" 1xn and nx1 filters for each nxn.
    """

    def __init__(
        self, in_channels: int = 1, num_classes: int = 10, image_size: int = 28, factorised: Factorised = None
    ) -> None:
        super().__init__()
        if image_size < 16:
            raise ValueError(f"image_size: given {image_size}, expected at least 16, to leave a pixel after both pools")
        self.conv1 = nn.Conv2d(in_channels, 10, 5, activation="relu")
        self.pool1 = nn.MaxPool2d(2)
        self.inception1 = Inception(10, factorised)
        self.conv2 = nn.Conv2d(Inception.out_channels, 20, 5, activation="relu")
        self.pool2 = nn.MaxPool2d(2)
        self.inception2 = Inception(20, factorised)
        side = ((image_size - 4) // 2 - 4) // 2  # a 5x5 filter takes two pixels at each edge, a pool halves
        self.fc = nn.Linear(Inception.out_channels * side * side, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inception1(self.pool1(self.conv1(x)))  # (N, 88, 12, 12)
        x = self.inception2(self.pool2(self.conv2(x)))  # (N, 88, 4, 4)
        return self.fc(F.flatten(x, 1))  # (N, num_classes)


def main(arguments: list[str]) -> int:
    """The command line; see `python examples/small_inception.py --help`. Returns the exit status."""
    return run(SmallInception, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
