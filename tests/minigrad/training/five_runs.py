"""Five short training runs, of five networks and recipes, for the tests to compare with the same made in other ways.

    python -m tests.minigrad.training.five_runs FOLDER      makes all, in folders named after them
"""

import sys
from pathlib import Path
from typing import NamedTuple

from examples.lenet import LeNet
from examples.small_inception import SmallInception
from examples.small_resnet import SmallResNet
from googlenet import GoogLeNet
from minigrad.commands import run
from minigrad.training.config import Builder
from tests import cut
from tests.small_net import SmallNet


class Run(NamedTuple):
    builder: Builder
    options: tuple[str, ...]


SHORT = ("--device", "cpu", "--test-limit", "20", "--checkpoint-every", "2")
TWO_EPOCHS = ("--epochs", "2", "--train-limit", "96", "--batch-size", "32")
RUNS = {
    "GoogLeNet": Run(
        GoogLeNet,
        ("--optimizer", "sgd", "--image-size", "32", "--epochs", "1", "--train-limit", "96", "--batch-size", "16"),
    ),
    "residual network": Run(SmallResNet, ("--recipe", "best", *TWO_EPOCHS)),
    "Inception": Run(SmallInception, ("--recipe", "paper", *TWO_EPOCHS)),
    "LeNet": Run(LeNet, ("--recipe", "d2l", *TWO_EPOCHS)),
    "another seed": Run(SmallNet, ("--recipe", "adam", "--seed", "7", *TWO_EPOCHS)),
}
"""Each of six steps."""


def make(name: str, out: Path, *options: str) -> int:
    """One of the runs, into the folder `out`. The exit status."""
    return run(RUNS[name].builder, [*SHORT, *RUNS[name].options, *options, "--out", str(out)])


if __name__ == "__main__":
    cut.use_without_pictures()
    sys.exit(max(make(name, Path(sys.argv[1]) / name) for name in RUNS))
