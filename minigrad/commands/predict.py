"""predict: what a trained model takes the clothes in image files for."""

import argparse
import sys
from collections.abc import Sequence

from rich.table import Table

from minigrad import device
from minigrad.commands.arguments import add_device, chosen_device, plain_console, program, shown_path
from minigrad.commands.trained import add_raw, load_trained
from minigrad.data import CLASS_NAMES, prepare
from minigrad.data.image_files import ImageFileError, read_image
from minigrad.function import no_grad
from minigrad.tensor import Tensor
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Builder, ConfigError
from minigrad.training.evaluation import softmax

ERRORS = (CheckpointError, ConfigError, device.DeviceError, OSError)
SHOWN = 5


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, load, print a table for each image. Returns the exit status: 1 if a file is not an image, after all others
    have had their turn."""
    p = argparse.ArgumentParser(
        prog=program("predict"), description="Tell what is in image files: the likeliest classes of Fashion-MNIST.",
        epilog="Images are brought into the form of the data set's pictures: grey, trimmed, 28x28, light on dark.",
    )  # fmt: skip
    p.add_argument("run", type=shown_path, metavar="RUN", help="folder of a training run")
    p.add_argument("images", type=shown_path, nargs="+", metavar="IMAGE", help="PNG or JPEG file")
    add_raw(p)
    add_device(p)
    options = p.parse_args(arguments)
    console = plain_console()
    place = chosen_device(options.device, console)
    config, model, weights = load_trained(builder, options.run, place, options.raw)
    if weights:
        console.print(f"{options.run}: {weights}")
    status = 0
    for path in options.images:
        try:
            picture = read_image(path)
        except ImageFileError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
            continue
        x = prepare(device.to(picture.pixels[None], place), **config.inputs)
        with no_grad():
            logits = model(Tensor(x))
        (probabilities,) = softmax(device.host(logits.data))
        console.print(f"{path}:{' inverted, for its border is light' if picture.inverted else ''}")
        table = Table("class", "probability")
        for index in (-probabilities).argsort(kind="stable")[:SHOWN]:
            table.add_row(CLASS_NAMES[index], f"{probabilities[index]:.4f}")
        console.print(table)
    return status
