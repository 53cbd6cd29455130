"""Checkpoints: all that a run needs to go on, in one safetensors file.

Arrays are `model.<name>` and `optimizer.<name>`; where the run is and its random state are JSON in the file's header.
Nothing is pickled, so loading a file runs no code.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kernels.layout import Array
from minigrad import optim, random, state
from minigrad.nn import Module
from minigrad.training.files import write_atomically

NAME = "checkpoint.safetensors"
HEADER = "minigrad"


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message names it and what is wrong."""


@dataclass
class Position:
    """Where a run is: `batch` batches of epoch `epoch` (both from 0) are done, and what those summed up to.

    step: optimiser steps since the beginning. loss_sum: of each image's loss. seconds: training time of this epoch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0

    def next_epoch(self) -> None:
        """Begin the next epoch, with empty sums."""
        self.epoch += 1
        self.batch, self.loss_sum, self.correct, self.images, self.seconds = 0, 0.0, 0, 0, 0.0


def save_arrays(path: Path, arrays: Mapping[str, Array], header: Mapping[str, str]) -> None:
    """Write arrays as safetensors, in their logical order. OSError leaves the old file as it was.

    The one place that calls safetensors to write: it takes an array's memory for its logical order, and would
    silently scramble the channels-last views that this project's arrays are.
    """
    import safetensors.numpy  # here, so that `import minigrad` stays light

    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_atomically(path, safetensors.numpy.save(contiguous, dict(header)))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `save_arrays` wrote: arrays and header. CheckpointError if the file is missing or broken."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected a run's checkpoint") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None


def save(path: Path, model: Module, optimizer: optim.Optimizer, position: Position) -> None:
    """Write the checkpoint of a run. FloatingPointError, with nothing written, if a number is not finite."""
    arrays = _named(model=model.state_dict(), optimizer=optimizer.state_dict())
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(f"{name} is not finite")
    run = {"position": dataclasses.asdict(position), "random": random.get_state()}
    save_arrays(path, arrays, {HEADER: json.dumps(run)})


def load_model(path: Path, model: Module) -> None:
    """Load only the model's part. CheckpointError if the file does not fit; then the model stays as it was."""
    arrays, _ = load_arrays(path)
    part = {name: array for name, array in arrays.items() if name.startswith("model.")}
    _load(path, _named(model=model.state_arrays()), part)


def load(path: Path, model: Module, optimizer: optim.Optimizer) -> Position:
    """Load a checkpoint into model, optimiser and random state, and return where the run was.

    CheckpointError if the file does not fit; then all stay as they were.
    """
    arrays, header = load_arrays(path)
    try:
        run = json.loads(header[HEADER])
        position = Position(**run["position"])
        seed, calls = run["random"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not tell where the run was ({error!r})") from None
    _load(path, _named(model=model.state_arrays(), optimizer=optimizer.state_arrays()), arrays)
    random.set_state(seed, calls)
    return position


def _named(**parts: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def _load(path: Path, own: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    try:
        state.load(own, arrays)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit this run: {error.args[0]}") from None
