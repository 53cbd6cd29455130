"""The metrics of a run as TensorBoard reads them: `tensorboard --logdir RUN` draws them while it trains.

Such a file holds one protocol-buffer message after the other, each with its length and checksums. tensorboardX knows
the messages and the checksum. Its writers are left alone: they send everything through a thread that nobody asks how it
fares, and leave a part of a message where the disk is full.
"""

import contextlib
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigrad import files

NAME = "TensorBoard's file"
FLUSH_SECONDS = 1.0
"""How old what is not on the disk yet may become, so that a fast run does not wait for its disk after each step."""


class TensorBoardError(RuntimeError):
    """The library that writes for TensorBoard is missing; the message says what to do."""


@contextmanager
def _without_torch() -> Iterator[None]:
    """Inside the block nobody can import PyTorch, unless somebody has: tensorboardX would, for nothing used here."""
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # type: ignore[assignment]  # this is how Python spells it
    try:
        yield
    finally:
        if absent:
            del sys.modules["torch"]


def check() -> None:
    """TensorBoardError if tensorboardX is not installed."""
    try:
        with _without_torch():
            import tensorboardX  # noqa: F401
    except ModuleNotFoundError as error:
        what = f"--tensorboard: {error.name} is not installed"
        raise TensorBoardError(f"{what}: pip install -e '.[tensorboard]'") from None


class Board:
    """Writes metrics into a file of its own in the run's folder.

    step: steps of the optimiser that are done. What earlier files say of later ones no longer counts, for a run that
    goes on from a checkpoint takes these steps again.
    """

    def __init__(self, run: Path, step: int) -> None:
        check()
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.record_writer import masked_crc32c

        self._event, self._summary, self._checksum = Event, Summary, masked_crc32c
        # TensorBoard takes any file of such a name, and reads them in the order of their names.
        self._path = run / f"events.out.tfevents.{time.time_ns()}"
        self._unwritten: list[bytes] = []
        self._flushed = 0.0
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def add(self, group: str, record: Mapping[str, Any]) -> None:
        """Add one record of metrics, at its "step", as scalars called `group/name`. OSError if they cannot be written;
        they are then tried again with the next."""
        values = [
            self._summary.Value(tag=f"{group}/{name}", simple_value=value)
            for name, value in record.items() if name not in ("epoch", "step")
        ]  # fmt: skip
        self._write(self._event(step=record["step"], summary=self._summary(value=values)))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        for part in (length, data):
            self._unwritten += [part, struct.pack("<I", self._checksum(part))]
        if event.wall_time - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not on the disk yet. OSError if that cannot be done; the file is then as it was."""
        files.append(self._path, b"".join(self._unwritten))
        self._unwritten.clear()
        self._flushed = time.time()

    def close(self) -> None:
        """Write what a run that ends in an error has left, if the disk takes it; the others have flushed it."""
        with contextlib.suppress(OSError):
            self.flush()
