"""What a run shows while it works: a live bar on a terminal, plain lines elsewhere."""

import datetime
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Reporter:
    """Shows the progress of one phase at a time, a training epoch or a test; a context manager around its steps.

    total: steps of the phase. done: steps finished before, in a resumed run. every: plain lines come each so many
    steps, and after the last.
    """

    def __init__(self, console: Console, title: str, total: int, done: int, every: int) -> None:
        self.console, self.title, self.total, self.every = console, title, total, every
        self.first, self.began = done, time.perf_counter()
        self.bar: Progress | None = None
        if console.is_interactive:
            self.bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), MofNCompleteColumn(),
                TextColumn("{task.fields[text]}", markup=False), TimeRemainingColumn(), console=console,
            )
            self.task = self.bar.add_task(title, total=total, completed=done, text="")

    def __enter__(self) -> "Reporter":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, done: int, text: str) -> None:
        """`done` steps are finished; `text` tells how it goes."""
        if self.bar:
            self.bar.update(self.task, completed=done, text=text)
        elif done % self.every == 0 or done == self.total:
            pace = (time.perf_counter() - self.began) / max(1, done - self.first)
            left = datetime.timedelta(seconds=round(pace * (self.total - done)))
            self.console.print(f"{self.title}  {done}/{self.total}  {text}  left {left}")
