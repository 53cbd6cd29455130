"""Training runs to which something happens, each in a process of its own. What the tests start.

    python -m tests.minigrad.training.interrupted killed FOLDER KILLS      prints, as JSON, how many were killed where
    python -m tests.minigrad.training.interrupted full|read-only|limited FOLDER [for-ever]
"""

import contextlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigrad.commands import run
from minigrad.training import loop, tensorboard
from tests import cut
from tests.minigrad import event_files
from tests.minigrad.same_run import assert_same_run
from tests.small_net import SmallNet

OPTIONS = [
    "--device", "cpu", "--image-size", "28", "--batch-size", "40", "--train-limit", "200", "--test-limit", "40",
    "--epochs", "3", "--checkpoint-every", "2",
]  # fmt: skip
BROKEN, MENDED = 7, 9
"""The steps before which a disk breaks and works again; the last one is 15."""


def start(out: Path, *options: str) -> int:
    """Train in the folder `out`, or go on there if a run is there."""
    begin = ["--device", "cpu", "--resume"] if (out / "config.json").exists() else [*OPTIONS, "--out"]
    return run(SmallNet, [*begin, str(out), *options])


def forked(work: Callable[[], int]) -> int:
    """A new process that does this and says nothing. Its number."""
    if number := os.fork():
        return number
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        os._exit(work())
    finally:
        os._exit(70)


def dying(name: str, left: int) -> None:
    """From now on, the process kills itself in the call of os.<name> after `left` others: inside a save."""
    real = getattr(os, name)

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(os, name, call)


def killed(folder: Path, count: int) -> None:
    """Runs that are killed, one in three inside a save, and then go on to the end."""
    dice = random.Random(0)
    for name in ("first", "whole"):  # the first one loads what is loaded on first use, which the others then inherit
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            assert start(folder / name) == 0
        length = time.perf_counter() - began
    died = in_saves = 0
    for number in range(count):
        out = folder / str(number)
        in_save = number % 3 == 0
        call, left = dice.choice(["fsync", "replace"]), dice.randrange(16)

        def work(out: Path = out, in_save: bool = in_save, call: str = call, left: int = left) -> int:
            if in_save:
                dying(call, left)
            return start(out)

        process = forked(work)
        if not in_save:
            time.sleep(dice.uniform(0, length))
            os.kill(process, signal.SIGKILL)
        was_killed = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        died, in_saves = died + was_killed, in_saves + (was_killed and in_save)
        assert os.waitstatus_to_exitcode(os.waitpid(forked(lambda out=out: start(out)), 0)[1]) == 0, number
        assert_same_run(folder / "whole", out)
    print(json.dumps({"killed": died, "in_saves": in_saves, "same": count}))


def broken(fault: str, folder: Path, for_ever: bool) -> int:
    """A run whose disk breaks before step BROKEN and, unless `for_ever`, works again before step MENDED."""
    filler = folder / "filler"

    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, str(folder)], check=True)

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    faults: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "full": (fill, filler.unlink),
        "read-only": (lambda: mount("-o", "remount,ro"), lambda: mount("-o", "remount,rw")),
        "limited": (lambda: limit(300), lambda: limit(resource.RLIM_INFINITY)),
    }
    happens = dict(zip((BROKEN, MENDED), faults[fault], strict=True))
    if for_ever:
        del happens[MENDED]
    step = loop.Trainer._step

    def stepped(trainer: loop.Trainer, *batch: Any) -> None:
        happens.get(trainer.position.step, lambda: None)()
        step(trainer, *batch)

    if fault != "limited":
        mount("-t", "tmpfs", "-o", "size=400k", "tmpfs")
    loop.Trainer._step = stepped  # type: ignore[method-assign]
    tensorboard.FLUSH_SECONDS = 0.0  # or the whole run would be within one second
    status = start(folder / "run", "--tensorboard")
    if not for_ever:
        loop.Trainer._step = step  # type: ignore[method-assign]
        start(folder / "whole")
        assert_same_run(folder / "whole", folder / "run")
        assert event_files.points(folder / "run")[0] == event_files.in_json(folder / "run")
    return status


if __name__ == "__main__":
    cut.use_without_pictures()
    what, where, *more = sys.argv[1:]
    if what == "killed":
        killed(Path(where), int(more[0]))
    else:
        sys.exit(broken(what, Path(where), bool(more)))
