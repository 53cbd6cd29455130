#!/usr/bin/env python3
"""LeNet-5 (Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998), in its usual modern form.

    python examples/lenet.py                train on Fashion-MNIST
    python examples/lenet.py evaluate RUN   test a trained model
    python examples/lenet.py summary        follow the shapes through the network

Two convolutions that are each followed by a pool, then three linear layers: what all later networks vary. The layers
and their sizes are the paper's (section II.B, figure 2). What stands inside them is not:

- ReLU, where the paper has a scaled tanh;
- max-pools, where it averages, and learns a factor and an offset for each channel;
- a second convolution in which each output sees all six inputs, where the paper's Table I leaves out some;
- a last linear layer for softmax and cross-entropy, where it measures distances to drawn bitmaps of the digits;
- two pixels of padding, which make a 28x28 image the 32x32 of the paper.
"""

import sys

from minigrad import Tensor, functional as F, nn
from minigrad.commands import run


class LeNet(nn.Module):
    """(N, in_channels, image_size, image_size) -> logits (N, num_classes). The shape comments are for 28x28."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, image_size: int = 28) -> None:
        super().__init__()
        if image_size < 12:
            raise ValueError(f"image_size: given {image_size}, expected at least 12, to leave a pixel after both pools")
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2, activation="relu")
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5, activation="relu")
        self.pool2 = nn.MaxPool2d(2)
        side = (image_size // 2 - 4) // 2  # a pool halves, a 5x5 filter without padding takes two pixels at each edge
        self.fc1 = nn.Linear(16 * side * side, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.conv1(x))  # (N, 6, 14, 14)
        x = self.pool2(self.conv2(x))  # (N, 16, 5, 5)
        x = F.flatten(x, 1)  # (N, 400)
        x = F.relu(self.fc1(x))  # (N, 120)
        x = F.relu(self.fc2(x))  # (N, 84)
        return self.fc3(x)  # (N, num_classes)


def main(arguments: list[str]) -> int:
    """The command line; see `python examples/lenet.py --help`. Returns the exit status."""
    return run(LeNet, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
