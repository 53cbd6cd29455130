"""Ctrl-C, or a polite kill, as a wish that is granted at the next good moment."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
