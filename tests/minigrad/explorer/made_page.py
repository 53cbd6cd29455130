"""The page that tests/minigrad/explorer/test_page.py walks through."""

from pathlib import Path

import numpy as np

import minigrad
from googlenet import GoogLeNet
from minigrad import Tensor, functional as F, nn
from minigrad.training.objective import score

LABELS = np.array([3, 1])


def make(folder: Path) -> Path:
    """GoogLeNet at 96x96, with auxiliary classifiers and weights so small that gradients vanish, on two images: a page
    shows but one of a batch."""
    minigrad.manual_seed(0)
    net = GoogLeNet(aux=True)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            nn.init.normal_(parameter, std=0.02)
    images = np.random.default_rng(0).standard_normal((2, 1, 96, 96)).astype(np.float32)

    def loss(all_heads: bool) -> Tensor:
        minigrad.manual_seed(1)
        outputs = net(Tensor(images))
        return score(outputs, LABELS)[0].loss if all_heads else F.cross_entropy(outputs.main, LABELS)

    return minigrad.explore(
        lambda: loss(True), folder, title="A <step> & more", about="about {it}",
        others={"without the auxiliary classifiers": lambda: loss(False)},
    )  # fmt: skip
