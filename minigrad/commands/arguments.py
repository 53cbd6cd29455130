"""What the commands share: where they print, and types of options, with messages that say what was expected."""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from kernels import threads
from minigrad import device
from minigrad.parallel import ALONE, World


def plain_console() -> Console:
    """Where a command prints: words as they are, though they have brackets or colons, and lines as long as they are."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def program(command: str) -> str:
    """How the user called: the script's name and the command."""
    return f"{Path(sys.argv[0]).name} {command}"


def at_least(minimum: int, below: float = math.inf) -> Callable[[str], int]:
    """An option that is an integer of at least `minimum` and below `below`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value < below:
            limit = "" if below == math.inf else f" and below {below}"
            raise argparse.ArgumentTypeError(f"given {text!r}, expected an integer of at least {minimum}{limit}")
        return value

    return parse


def device_name(text: str) -> str:
    """An option that is "auto" or a device's name."""
    if text != "auto" and device.NAMES.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"given {text!r}, expected auto, cpu, gpu, or a certain card such as gpu:1")
    return text


def add_device(p: argparse.ArgumentParser) -> None:
    """The option where a command computes."""
    p.add_argument("--device", type=device_name, default="auto", metavar="NAME",
                   help="auto, cpu, gpu, or a certain card such as gpu:1; default auto, the GPU if there is one")


def chosen_device(name: str, console: Console, world: World = ALONE) -> str:
    """The device that the option `name` means; why it is not the GPU is printed, if there is something to say.

    Each rank on a host has a card of its own; `auto` is the CPU if there are too few for all.
    """
    place, remark = device.choose(name) if world.size == 1 else _card_of_rank(name, world)
    if remark:
        console.print(remark)
    return place


def _card_of_rank(name: str, world: World) -> tuple[str, str | None]:
    """As device.choose, for one of several ranks. DeviceError if a rank lacks its card."""
    if name not in ("auto", "gpu", device.CPU):
        what = f"{world.size} ranks cannot share a card; --device gpu gives each its own"
        raise device.DeviceError(f"--device {name}: {what}")
    if name == device.CPU:
        return device.choose(name)
    missing = device.missing_for_gpu(world.local_rank) or device.missing_between_cards()
    if name != "auto" and missing:
        raise device.DeviceError(f"--device gpu:{world.local_rank}: {missing}; or use --device cpu")
    if name == "auto" and world.maximum(np.array([missing is not None], np.int8))[0]:
        return device.CPU, f"using the CPU: {missing or 'another rank lacks a card'}"
    return device.choose(f"gpu:{world.local_rank}")


def thread_count(text: str) -> int:
    """An option that is a number of threads, at most as many as there are cores."""
    value, most = at_least(1)(text), threads.available()
    if value > most:
        raise argparse.ArgumentTypeError(f"given {text!r}, expected at most {most}, the cores of this machine")
    return value


def rate(text: str) -> float:
    """An option that is a finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"given {text!r}, expected a number above 0")
    return value


def shown_path(text: str) -> Path:
    """An option that is a file or a folder, whose name can be shown as it is: without a terminal's commands."""
    if not text.isprintable():
        raise argparse.ArgumentTypeError(f"given {text!a}, expected a name of characters that can be printed")
    return Path(text)


def output_file(text: str) -> Path:
    """An option that is a file to write, so that what leads to it is not computed in vain."""
    path = shown_path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"given {text!r}, expected the name of a file in a folder that is there")
    return path


def share(text: str) -> float:
    """An option that is a number of at least 0 and at most 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"given {text!r}, expected a number from 0 to 1")
    return value
