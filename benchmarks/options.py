"""Options that the commands share."""

import argparse
from pathlib import Path

from minigrad import device
from minigrad.commands.arguments import at_least, thread_count


def add_shapes(parser: argparse.ArgumentParser, batch_size: int) -> None:
    """--batch-size, with this default, and --image-size."""
    parser.add_argument(
        "--batch-size", type=at_least(1), default=batch_size, metavar="N", help=f"images, default {batch_size}"
    )
    parser.add_argument("--image-size", type=at_least(1), default=96, metavar="N", help="pixels, default 96")


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def add_timing(parser: argparse.ArgumentParser) -> None:
    """What both commands that time have."""
    add_shapes(parser, batch_size=128)
    parser.add_argument("--repeats", type=at_least(1), default=5, metavar="N", help="turns of each, default 5")
    parser.add_argument("--threads", type=thread_count, metavar="N", help="cores to use, PyTorch too; default all")
    parser.add_argument(
        "--device", type=_device, default="cpu", metavar="NAME",
        help="cpu, gpu, or a certain card such as gpu:1; default cpu",
    )
    add_json(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the figures there")


def _device(text: str) -> str:
    try:
        device.check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def settings(options: argparse.Namespace) -> dict[str, int | str]:
    """What the figures depend on, for the JSON file."""
    names = ("batch_size", "image_size", "norm", "repeats")
    return {name: getattr(options, name) for name in names if hasattr(options, name)}
