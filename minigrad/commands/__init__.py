"""The command line that googlenet.py and the examples share: one file a command, each taking a model builder."""

import importlib
import io
import sys
from collections.abc import Sequence

import kernels
from minigrad.training.config import Builder

INTERRUPTED = 130
"""Exit status of a program that Ctrl-C has ended, as shells report it."""

COMMANDS = ("train", "evaluate", "predict", "summary", "explain", "export")


def run(builder: Builder, arguments: Sequence[str]) -> int:
    """Run `[COMMAND] [OPTIONS]`; no command means train. Returns the exit status, after one line about any error."""
    name, rest = ("train", arguments)
    if arguments and arguments[0] in COMMANDS:
        name, rest = arguments[0], arguments[1:]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's letters cannot write is no error
            stream.reconfigure(errors="backslashreplace")
    if (backend := kernels.backend.current()) not in kernels.BACKENDS:
        expected = f"expected one of {', '.join(kernels.BACKENDS)}; --device says where to compute"
        print(f"error: MINIGRAD_BACKEND: given {backend!r}, {expected}", file=sys.stderr)
        return 1
    command = importlib.import_module(f"minigrad.commands.{name}")
    try:
        status: int = command.main(builder, rest)
        return status
    except command.ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"error: memory is full. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
