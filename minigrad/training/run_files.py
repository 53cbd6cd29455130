"""A run's folder: metrics, pictures and checkpoints, as far as the disk takes them.

A file that cannot be written does not end a run: the user is told, lines of metrics are kept, and all is tried again
with the next.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from minigrad.nn import Module
from minigrad.optim import Optimizer, WeightAverage
from minigrad.training import averaged, checkpoint, metrics
from minigrad.training.checkpoint import Position
from minigrad.training.config import ConfigError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside the block no other run works in the folder, or else ConfigError. A run that is killed leaves no lock.

    The lock is on the folder itself, so that no file is kept open. Where there are none such, nobody is kept out.
    """
    handle = _lock(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(folder: Path) -> int | None:
    try:
        import fcntl  # Unix only

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(f"{folder}: another run is at work in this folder") from None
    except OSError:  # a file system without locks
        pass
    return handle


class NotSaved(OSError):  # noqa: N818  (what happened, not what went wrong in the code)
    """A run has ended, and not all of its files could be written."""


class RunFiles:
    """The files of the run in `folder`. failures: what could not be written the last time, by the name of the file.

    writing: False for a rank that leaves all writing to another.
    """

    def __init__(self, folder: Path, console: Console, writing: bool = True) -> None:
        self.folder, self._console, self._writing = folder, console, writing
        self.failures: dict[str, OSError] = {}
        self._lines: dict[str, list[dict[str, Any]]] = {metrics.EPOCHS: [], metrics.STEPS: []}  # still to be written
        self.saved_step: int | None = None  # of the last good checkpoint

    @property
    def checkpoint(self) -> Path:
        return self.folder / checkpoint.NAME

    def load(
        self, model: Module, optimizer: Optimizer, average: WeightAverage | None, check: Callable[[Position], None]
    ) -> Position | None:
        """Load the last checkpoint that is whole; None if there never was one. A damaged one is set aside, or it would
        become the previous one. CheckpointError if there are some and none can be used. check: see checkpoint.load."""
        previous = self.folder / checkpoint.PREVIOUS
        paths = [path for path in (self.checkpoint, previous) if path.exists()]
        damaged: list[checkpoint.CheckpointError] = []
        for path in paths:
            try:
                position = checkpoint.load(path, model, optimizer, average, check)
            except checkpoint.CheckpointError as error:
                damaged.append(error)
                continue
            if damaged:
                aside = self.checkpoint.rename(self.checkpoint.with_suffix(".damaged"))
                self._console.print(f"{damaged[0]}; it is set aside as {aside}, and the checkpoint before it is used")
            self.saved_step = position.step
            return position
        if damaged:
            raise checkpoint.CheckpointError("; ".join(map(str, damaged))) from damaged[0]
        return None

    def keep(self, name: str, numbers: Sequence[str], key: str, most: int) -> None:
        """Drop the lines of a file of metrics whose `key` is above `most`: what a run did after the checkpoint that it
        goes on from. A file that cannot be read, or lacks some of `numbers`, is set aside: a run need not end for its
        curves."""
        path = self.folder / name
        try:
            records = metrics.read(path, key, *numbers)
        except (metrics.MetricsError, OSError) as error:
            aside = path.rename(path.with_suffix(".damaged"))
            self._console.print(f"{error}; it is set aside as {aside}")
            return
        if path.exists():
            metrics.write(path, [record for record in records if record[key] <= most])

    def save(self, model: Module, optimizer: Optimizer, position: Position, average: WeightAverage | None) -> None:
        """Write the checkpoint. FloatingPointError if a number is not finite."""
        if self.write(checkpoint.NAME, checkpoint.save, self.checkpoint, model, optimizer, position, average):
            self.saved_step = position.step

    def save_averaged(self, model: Module) -> None:
        """Write the averaged model. FloatingPointError if a number is not finite."""
        self.write(averaged.NAME, checkpoint.save_model, self.folder / averaged.NAME, model)

    def append(self, name: str, record: dict[str, Any]) -> None:
        """Add a line to a file of metrics, behind those that could not be written before."""
        if self._writing:
            self._lines[name].append(record)
        self.write(name, self._append_all, name)

    def _append_all(self, name: str) -> None:
        lines = self._lines[name]
        while lines:
            metrics.append(self.folder / name, lines[0])
            del lines[0]

    def write(self, name: str, write: Callable[..., None], *arguments: Any) -> bool:
        """Call `write`, which writes the file called `name`; whether that could be done."""
        if not self._writing:
            return False
        try:
            write(*arguments)
        except OSError as error:
            if str(error) != str(self.failures.get(name)):
                self._console.print(f"{name} is not written: {error}; {self.last_good()}. The run goes on")
            self.failures[name] = error
            return False
        self.failures.pop(name, None)
        return True

    def last_good(self) -> str:
        """Where the last good checkpoint is, in words."""
        if self.saved_step is None:
            return "nothing was saved yet"
        return f"the last good checkpoint is {self.checkpoint}, of step {self.saved_step}"

    def require_written(self, what: str) -> None:
        """NotSaved, beginning with `what`, if some file lacks what should be in it."""
        if self.failures:
            reasons = "; ".join(f"{name}: {error}" for name, error in self.failures.items())
            raise NotSaved(f"{what}, but not all is written: {reasons}; {self.last_good()}")
