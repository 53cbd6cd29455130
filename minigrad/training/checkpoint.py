"""Checkpoints: all that a run needs to go on, in one safetensors file with a checksum, and the one before beside it.

Arrays are `model.<name>`, `optimizer.<name>` and, where weights are averaged, `average.<name>`; where the run is and
its random state are JSON in the file's header. Nothing is pickled, so loading a file runs no code.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kernels.layout import Array
from minigrad import optim, random, state, strict_json
from minigrad.array_files import CHECKSUM, ArrayFileError, load_arrays, save_arrays
from minigrad.messages import plain, shown
from minigrad.nn import Module

NAME = "checkpoint.safetensors"
PREVIOUS = "previous.safetensors"
HEADER = "minigrad"


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message names it and what is wrong."""


@dataclass
class Position:
    """Where a run is: `batch` batches of epoch `epoch` (both from 0) are done, and what those summed up to.

    step: optimiser steps since the beginning. loss_sum: of each image's loss; head_sums: that of each classifier by
    name, where the network has several. seconds: training time of this epoch. ValueError if no run can be there.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    seconds: float = 0.0
    head_sums: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.epoch, self.batch, self.step, self.correct, self.images)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError(f"epoch, batch, step, correct, images: given {shown(counts)}, expected counts")
        if self.correct > self.images or bool(self.batch) != bool(self.images) or self.batch > self.step:
            raise ValueError(f"epoch, batch, step, correct, images: given {shown(counts)}, which contradict each other")
        heads = self.head_sums if isinstance(self.head_sums, dict) else {"": None}
        if not all(type(number) in (int, float) for number in (self.loss_sum, self.seconds, *heads.values())):
            raise ValueError("loss_sum, seconds, head_sums: expected numbers, and those of classifiers by name")
        if not all(name.isidentifier() and name.isascii() for name in heads):
            raise ValueError(f"head_sums: given {shown([*heads])}, expected names of classifiers")
        if self.batch and self.seconds <= 0:
            raise ValueError(f"seconds: given {self.seconds} after {self.batch} batches, expected more than 0")

    def next_epoch(self) -> None:
        """Begin the next epoch, with empty sums."""
        self.epoch += 1
        self.batch, self.loss_sum, self.correct, self.images, self.seconds, self.head_sums = 0, 0.0, 0, 0, 0.0, {}


def save(
    path: Path, model: Module, optimizer: optim.Optimizer, position: Position,
    average: optim.WeightAverage | None = None,
) -> None:
    """Write the checkpoint of a run; the one that was there becomes PREVIOUS, beside it. FloatingPointError, with
    nothing written, if a number is not finite. OSError leaves the old ones as they were."""
    arrays = _named(model=model.state_dict(), optimizer=optimizer.state_dict())
    if average:
        arrays |= _named(average=average.state_dict())
    run = {"position": dataclasses.asdict(position), "random": random.get_state()}
    save_arrays(path, arrays, {HEADER: json.dumps(run)}, path.with_name(PREVIOUS))


def save_model(path: Path, model: Module) -> None:
    """Write only the model. FloatingPointError, with nothing written, if a number is not finite."""
    save_arrays(path, _named(model=model.state_dict()), {})


def load_model(path: Path, model: Module) -> None:
    """Load only the model's part. CheckpointError if the file does not fit; then the model stays as it was."""
    arrays, _ = _read(path)
    part = {name: array for name, array in arrays.items() if name.startswith("model.")}
    _load(path, _named(model=model.state_arrays()), part)


def load(
    path: Path, model: Module, optimizer: optim.Optimizer, average: optim.WeightAverage | None = None,
    check: Callable[[Position], None] | None = None,
) -> Position:
    """Load a checkpoint into model, optimiser, average and random state, and return where the run was.

    check: raises ValueError if this run is never there. CheckpointError if the file does not fit; then all stay as they
    were.
    """
    arrays, header = _read(path)
    try:
        run = strict_json.parse(header[HEADER])
        position = Position(**run["position"])
        if check:
            check(position)
        seed, calls = random.checked_state(*run["random"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its header does not tell where the run was ({plain(repr(error))})") from None
    own = _named(model=model.state_arrays(), optimizer=optimizer.state_arrays())
    if average:
        own |= _named(average=average.state_arrays())
    _require_steps(path, arrays.get("optimizer.steps"), 0, position)  # a parameter may have made none
    _require_steps(path, arrays.get("average.steps"), min(1, position.step), position)
    _load(path, own, arrays)
    random.set_state(seed, calls)
    return position


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        arrays, header = load_arrays(path)
    except ArrayFileError as error:
        raise CheckpointError(f"{error}; expected a run's checkpoint") from None
    if CHECKSUM not in header:
        raise CheckpointError(f"{path}: has no checksum: it is damaged, or none of this program's checkpoints")
    return arrays, header


def _require_steps(path: Path, steps: Array | None, least: int, position: Position) -> None:
    if steps is not None and steps.size and not least <= steps.min() <= steps.max() <= position.step:
        found = f"{steps.min()} to {steps.max()}"
        raise CheckpointError(f"{path}: steps: given {found}, expected {least} to {position.step}, as the run has made")


def _named(**parts: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def _load(path: Path, own: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    try:
        state.load(own, arrays)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: does not fit this run: {error.args[0]}") from None
