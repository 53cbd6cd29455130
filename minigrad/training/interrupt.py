"""Ctrl-C, or a polite kill, as a wish that is granted at the next good moment."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


@contextmanager
def interruptible(asked: Callable[[], None]) -> Iterator[None]:
    """Inside the block the first SIGINT or SIGTERM calls `asked`, and the second does what it did before.

    Only the main thread can be told of signals: in others the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, previous[number])
        asked()

    previous: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def say_at_once(text: str) -> None:
    """Write a line to the standard error stream, also where a signal is handled. No `print` may do so: the signal can
    have come while the thread was in another one, and a stream that is being written to cannot be entered again."""
    with suppress(OSError):  # a closed stream must not end a run
        os.write(2, f"{text}\n".encode())
