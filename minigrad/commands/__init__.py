"""The command line that googlenet.py and the examples share: one file a command, each taking a model builder."""

import importlib
import io
import os
import sys
import time
import traceback
from collections.abc import Sequence

import kernels
from minigrad.parallel import ALONE, ParallelError, World, join
from minigrad.training.config import Builder

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended, as shells report it."""

COMMANDS = ("train", "evaluate", "predict", "summary", "explain", "export")
TOGETHER = ("train", "evaluate")
"""Those that several ranks do together. The others are rank 0's alone."""
COURTESY_SECONDS = 1.0
"""How long another rank waits before it tells an error: it is likely to be rank 0's too, which then ends all."""


def run(builder: Builder, arguments: Sequence[str]) -> int:
    """Run `[COMMAND] [OPTIONS]`; no command means train. Returns the exit status, after one line about any error.

    Where `mpiexec` has started several ranks, an error of one ends all of them.
    """
    try:
        world = join()
    except ParallelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if world.size == 1:
        return _run(builder, arguments)
    if world.rank:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for as long as the process lives)
        if arguments and arguments[0] in COMMANDS and arguments[0] not in TOGETHER:
            return 0
    try:
        return _run(builder, arguments, world)
    except SystemExit as end:
        if end.code:
            world.end(2)
        raise
    except BaseException:  # a fault of this program's: the others must not wait for this rank
        print(f"rank {world.rank}:", file=sys.stderr)
        traceback.print_exc()
        world.end(1)
        raise


def _run(builder: Builder, arguments: Sequence[str], world: World = ALONE) -> int:
    name, rest = ("train", arguments)
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's letters cannot write is no error
            stream.reconfigure(errors="backslashreplace")
    if (backend := kernels.backend.current()) not in kernels.BACKENDS:
        expected = f"expected one of {', '.join(kernels.BACKENDS)}; --device says where to compute"
        return _ended(world, f"error: MINIGRAD_BACKEND: given {backend!r}, {expected}", 1)
    command = importlib.import_module(f"minigrad.commands.{name}")
    try:
        status: int = command.main(builder, rest)
        if name in TOGETHER:
            world.leave()
        return status
    except (*command.ERRORS, ParallelError) as error:
        return _ended(world, f"error: {error}", 1)
    except MemoryError as error:
        return _ended(world, f"error: memory is full. {error}", 1)
    except KeyboardInterrupt:
        return _ended(world, "interrupted", INTERRUPTED)


def _ended(world: World, message: str, status: int) -> int:
    """Tell why this process, or this rank and with it all others, is at its end."""
    if world.rank:
        time.sleep(COURTESY_SECONDS)
    print(message if world.size == 1 else f"rank {world.rank}: {message}", file=sys.stderr)
    world.end(status)
    return status
