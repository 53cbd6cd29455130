"""What each rank runs in the tests of several: a network's command line on the few images in tests/data.

    mpiexec -n 2 python -m tests.minigrad.parallel.program NETWORK [COMMAND] [OPTIONS]

NETWORK is a name in NETWORKS. Variables: MINIGRAD_TEST_FAULT, "KIND RANK STEP", makes a rank fail in a step;
MINIGRAD_TEST_PAUSE is how many seconds each step takes longer, MINIGRAD_TEST_PATIENCE how many ranks wait for each
other; MINIGRAD_TEST_SLOW_FILES is how many seconds rank 0 takes longer for files, pictures and tests, twice as many
as ranks wait in a step; with MINIGRAD_TEST_CARD there are two stand-ins for cards.
"""

import importlib
import os
import signal
import sys
import time
from contextlib import nullcontext
from typing import Any

import numpy as np

from googlenet import GoogLeNet
from kernels.layout import Array
from minigrad import Tensor, functional as F, nn
from minigrad.commands import run
from minigrad.parallel import join
from minigrad.training import Trainer, evaluation
from minigrad.training.run_files import RunFiles
from tests import cupy_standin, cut
from tests.small_net import SmallNet


class Normalised(nn.Module):
    """A convolution and a linear layer with batch normalisations: (N, in_channels, S, S) -> (N, num_classes)."""

    def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 8, 5, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(8, activation="relu")
        self.fc = nn.Linear(8, num_classes)
        self.bn2 = nn.BatchNorm1d(num_classes, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.fc(F.flatten(F.adaptive_avg_pool2d(self.bn1(self.conv(x)), 1), 1)))


NETWORKS: dict[str, Any] = {"googlenet": GoogLeNet, "small": SmallNet, "normalised": Normalised}


def fail(kind: str, step: int) -> None:
    """Make this rank fail in the step of that number: raise, be killed, stop, or have a loss that is not finite."""
    usual = Trainer._step

    def _step(self: Trainer, x: Array, y: Array, images: int) -> None:
        if self.position.step + 1 == step:
            if kind == "raise":
                raise RuntimeError("a fault on purpose")
            if kind == "error":
                raise OSError("a disk on purpose")
            if kind == "nan":
                x[...] = np.nan
            if kind == "drift":
                next(self.model.parameters()).data[...] *= 1.5
            if kind in ("kill", "stop"):
                os.kill(os.getpid(), signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
        usual(self, x, y, images)

    Trainer._step = _step  # type: ignore[method-assign]


def delay(owner: Any, name: str, seconds: float) -> None:
    """Make what is called so take longer on rank 0."""
    usual = getattr(owner, name)

    def late(*arguments: Any) -> Any:
        time.sleep(0 if join().rank else seconds)
        return usual(*arguments)

    setattr(owner, name, late)


if __name__ == "__main__":
    cut.use_without_pictures()
    if join().rank:
        os.environ["MINIGRAD_DATA"] = os.devnull  # on another host there are no images
    if patience := os.environ.get("MINIGRAD_TEST_PATIENCE"):
        mpi = importlib.import_module("minigrad.parallel.mpi")
        mpi.PATIENCE = mpi.LONG_PATIENCE = float(patience)  # type: ignore[attr-defined]
    name, *arguments = sys.argv[1:]
    if planned := os.environ.get("MINIGRAD_TEST_FAULT"):
        kind, rank, step = planned.split()
        if join().rank == int(rank):
            fail(kind, int(step))
    if pause := float(os.environ.get("MINIGRAD_TEST_PAUSE", 0)):
        usual = Trainer._step
        Trainer._step = lambda *a: (time.sleep(pause), usual(*a))[1]  # type: ignore[assignment, method-assign]
    if slow := float(os.environ.get("MINIGRAD_TEST_SLOW_FILES", 0)):
        mpi = importlib.import_module("minigrad.parallel.mpi")
        mpi.PATIENCE = slow / 2  # type: ignore[attr-defined]
        later = [(RunFiles, "save"), (RunFiles, "save_averaged"), (Trainer, "_draw_both"), (evaluation, "softmax")]
        for owner, method in later:
            delay(owner, method, slow)
    with cupy_standin.installed() if os.environ.get("MINIGRAD_TEST_CARD") else nullcontext():
        status = run(NETWORKS[name], arguments)
    sys.exit(status)
