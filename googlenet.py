#!/usr/bin/env python3
"""GoogLeNet (C. Szegedy et al., "Going deeper with convolutions", 2015), built from minigrad's primitives.

    python googlenet.py --device auto          train on Fashion-MNIST
    python googlenet.py evaluate RUN           test a trained model
    python googlenet.py predict RUN IMAGE...   what is on pictures of yours
    python googlenet.py summary                follow the shapes through the network

Twenty-two layers with weights: three convolutions, nine Inception blocks of two layers each, and a linear one. A block
looks at its input at several scales at once, and 1x1 convolutions keep that affordable.
"""

import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

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

PAPERS_COUNTS = {
    "conv1": (2.7, 34), "conv2, conv3": (112, 360),
    "inception3a": (159, 128), "inception3b": (380, 304), "inception4a": (364, 73), "inception4b": (437, 88),
    "inception4c": (463, 100), "inception4d": (580, 119), "inception4e": (840, 170), "inception5a": (1072, 54),
    "inception5b": (1388, 71), "fc": (1000, 1),
}  # fmt: skip
"""Table 1's weights, in units of 1,024, and multiply-adds, in millions, for 3x224x224 and 1000 classes."""
PAPERS_SLIPS = (
    "conv1: 64 filters of 7x7x3 have 9,408 weights. The paper's figures are near those of a separable convolution, "
    "8 filters of 7x7 for each colour and then 64 of 1x1: 2,712 weights, 34.0 million multiply-adds.",
    "inception4c, 4d, 4e and 5b: the paper's multiply-adds follow from its channel counts, its weights do not.",
    "inception4a and 5a: the paper's two figures fit each other, but not its channel counts.",
    "The rest is rounding: all other weights are within 0.32 %.",
)


class Variant(NamedTuple):
    """Where two published GoogLeNets differ.

    pools: arguments of the four max-pools. wide: kernel size of the branch that has 5x5 in the paper. aux_pool: what an
    auxiliary classifier begins with. rescale: whether the network itself changes what its input is normalised by.
    """

    pools: tuple[dict[str, Any], ...]
    wide: int
    batch_norm: bool
    dropout: float
    aux_pool: Callable[[Tensor], Tensor]
    rescale: bool


PAPERS_POOL = {"kernel_size": 3, "stride": 2, "padding": 1}
TORCHVISIONS_POOL = {"kernel_size": 3, "stride": 2, "ceil_mode": True}
VARIANTS = {
    "paper": Variant(
        pools=(PAPERS_POOL,) * 4, wide=5, batch_norm=False, dropout=0.4,
        aux_pool=lambda x: F.avg_pool2d(x, 5, stride=3), rescale=False,
    ),
    # Its weights come from a network of Google's, with the 3x3 of a slip in it that nobody could take back.
    "torchvision": Variant(
        pools=(TORCHVISIONS_POOL,) * 3 + (TORCHVISIONS_POOL | {"kernel_size": 2},), wide=3, batch_norm=True,
        dropout=0.2, aux_pool=lambda x: F.adaptive_avg_pool2d(x, 4), rescale=True,
    ),
}  # fmt: skip


class BasicConv2d(nn.Module):
    """A convolution with its ReLU: the paper rectifies all of them. batch_norm: with normalisation in between.

    (N, in_channels, H, W) -> (N, out_channels, OH, OW).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"bias": False} if batch_norm else {"activation": "relu"}
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, **options)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3, activation="relu") if batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x if self.bn is None else self.bn(x)


class Inception(nn.Module):
    """Four views of one input, put one after another along the channels (paper, figure 2b).

    (N, in_channels, H, W) -> (N, row.out_channels, H, W). The 1x1 convolutions before 3x3 and 5x5 reduce the channels
    first, which is what makes the large filters cheap enough. wide: kernel size of the third branch.
    """

    def __init__(self, in_channels: int, row: Row, batch_norm: bool = False, wide: int = 5) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(in_channels, row.ch1x1, 1, batch_norm=batch_norm)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, row.ch3x3red, 1, batch_norm=batch_norm),
            BasicConv2d(row.ch3x3red, row.ch3x3, 3, padding=1, batch_norm=batch_norm),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, row.ch5x5red, 1, batch_norm=batch_norm),
            BasicConv2d(row.ch5x5red, row.ch5x5, wide, padding=wide // 2, batch_norm=batch_norm),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            BasicConv2d(in_channels, row.pool_proj, 1, batch_norm=batch_norm),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)


class Auxiliary(nn.Module):
    """A classifier half-way, whose loss brings the lower layers gradients of its own in training (paper, section 5).

    (N, in_channels, side, side) -> logits (N, num_classes). At 224x224 `side` is 14, which the pool makes 4.
    """

    def __init__(self, in_channels: int, num_classes: int, side: int, variant: Variant, batch_norm: bool) -> None:
        super().__init__()
        self.pool = variant.aux_pool
        self.conv = BasicConv2d(in_channels, 128, 1, batch_norm=batch_norm)
        places = self.pool(Tensor(np.zeros((1, 1, side, side), np.float32))).data.size
        self.fc1 = nn.Linear(128 * places, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)
        nn.init.normal_(self.fc2.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = F.flatten(self.conv(self.pool(x)), 1)  # (N, 2048)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))  # (N, num_classes)


class Outputs(NamedTuple):
    """The logits of all three classifiers, (N, num_classes) each."""

    main: Tensor
    aux1: Tensor
    aux2: Tensor


class GoogLeNet(nn.Module):
    """(N, in_channels, image_size, image_size) -> logits (N, num_classes); in training with `aux`: Outputs.

    The shape comments are for 224x224, as in the paper; 96x96 ends in 3x3 before the global average. Parameters have
    torchvision's names.

    dropout: probability before the last layer, by default the variant's. aux: auxiliary classifiers on 4a and 4d. lrn:
    local response normalisation in the stem. norm: "batch" normalises after each convolution (S. Ioffe and C. Szegedy,
    2015), "none" does not; by default the variant's. init: of the weights, "kaiming" or "xavier" (minigrad.nn.init).
    variant: "paper", or "torchvision", which gives the logits of torchvision's GoogLeNet for its weights; three-channel
    images are then normalised by ImageNet's means and deviations, as if for its transform_input=True.

    ValueError if an option is none of those, or if images are too small for the pools or the auxiliary classifiers.
    """

    published = PAPERS_COUNTS, PAPERS_SLIPS

    def __init__(
        self, in_channels: int = 1, num_classes: int = 10, image_size: int = 96, dropout: float | None = None,
        aux: bool = False, lrn: bool = False, norm: Literal["batch", "none"] | None = None,
        init: Literal["kaiming", "xavier"] = "kaiming", variant: Literal["paper", "torchvision"] = "paper",
    ) -> None:
        super().__init__()
        if not isinstance(image_size, int | np.integer) or image_size < 1:
            raise ValueError(f"image_size: given {image_size!r}, expected an integer of at least 1")
        norms, inits = (None, "batch", "none"), ("kaiming", "xavier")
        known = {"norm": (norm, norms), "init": (init, inits), "variant": (variant, VARIANTS)}
        for name, (value, values) in known.items():
            if value not in values:
                raise ValueError(f"{name}: given {value!r}, expected {' or '.join(map(repr, values))}")
        self.in_channels, self.num_classes, self.image_size, self.lrn = in_channels, num_classes, image_size, lrn
        self.variant = VARIANTS[variant]
        batch_norm = self.variant.batch_norm if norm is None else norm == "batch"
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2, padding=3, batch_norm=batch_norm)
        self.maxpool1, self.maxpool2, self.maxpool3, self.maxpool4 = (
            nn.MaxPool2d(**options) for options in self.variant.pools
        )
        self.conv2 = BasicConv2d(64, 64, 1, batch_norm=batch_norm)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1, batch_norm=batch_norm)
        side = self._side_of_4()
        channels = 192
        for name, row in TABLE_1.items():
            setattr(self, name, Inception(channels, row, batch_norm, self.variant.wide))
            channels = row.out_channels
        self.aux1 = self._auxiliary("inception4a", side, batch_norm) if aux else None
        self.aux2 = self._auxiliary("inception4d", side, batch_norm) if aux else None
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(self.variant.dropout if dropout is None else dropout)
        self.fc = nn.Linear(channels, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)  # undecided at first: a loss of log(num_classes)
        if init == "xavier":
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)

    def _side_of_4(self) -> int:
        """How high and wide the maps of blocks 4a to 4e are. ValueError if images are too small for all the pools."""
        maps = Tensor(np.zeros((1, 1, *[(self.image_size + 1) // 2] * 2), np.float32))  # as conv1 leaves them
        try:
            of_4 = self.maxpool3(self.maxpool2(self.maxpool1(maps)))
            self.maxpool4(of_4)
        except ValueError as error:
            raise ValueError(f"image_size: given {self.image_size}, too small: {error}") from None
        return of_4.shape[2]

    def _auxiliary(self, block: str, side: int, batch_norm: bool) -> Auxiliary:
        try:
            return Auxiliary(TABLE_1[block].out_channels, self.num_classes, side, self.variant, batch_norm)
        except ValueError as error:
            what = f"image_size: given {self.image_size}, too small for auxiliary classifiers"
            raise ValueError(f"{what}: {error}") from None

    def _local_response(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, 5) if self.lrn else x  # over 5 channels, as A. Krizhevsky et al., 2012

    def forward(self, x: Tensor) -> Tensor | Outputs:
        expected = (self.in_channels, self.image_size, self.image_size)
        if x.shape[1:] != expected:
            raise ValueError(f"x: given shape {x.shape}, expected (N, {', '.join(map(str, expected))})")
        if self.variant.rescale and self.in_channels == 3:
            x = from_imagenet(x)
        x = self._local_response(self.maxpool1(self.conv1(x)))  # (N, 64, 56, 56)
        x = self.maxpool2(self._local_response(self.conv3(self.conv2(x))))  # (N, 192, 28, 28)
        x = self.inception3b(self.inception3a(x))  # (N, 480, 28, 28)
        x = after_4a = self.inception4a(self.maxpool3(x))  # (N, 512, 14, 14)
        x = after_4d = self.inception4d(self.inception4c(self.inception4b(x)))  # (N, 528, 14, 14)
        x = self.inception4e(x)  # (N, 832, 14, 14)
        x = self.inception5b(self.inception5a(self.maxpool4(x)))  # (N, 1024, 7, 7)
        x = F.flatten(self.avgpool(x), 1)  # (N, 1024)
        logits = self.fc(self.dropout(x))  # (N, num_classes)
        if self.aux1 and self.aux2 and self.training:
            return Outputs(logits, self.aux1(after_4a), self.aux2(after_4d))
        return logits


def from_imagenet(x: Tensor) -> Tensor:
    """Images (N, 3, H, W) normalised by ImageNet's means and deviations -> normalised to -1 .. 1 instead."""
    mean, std = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], x.dtype).reshape(2, 1, 3, 1, 1)
    factor, offset = (Tensor(array).to(x.device) for array in (std / 0.5, (mean - 0.5) / 0.5))
    return x * factor + offset


def main(arguments: list[str] | None = None) -> int:
    """The command line; see `python googlenet.py --help`. Returns the exit status."""
    from minigrad.commands import run  # not needed by who only wants the network

    return run(GoogLeNet, sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
