"""evaluate: test a trained model on the test images, class by class."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kernels import threads
from minigrad import device
from minigrad.commands import Builder
from minigrad.commands.arguments import at_least, device_name, program, thread_count
from minigrad.data import CLASS_NAMES, DataError, load
from minigrad.training import Config, evaluate
from minigrad.training.checkpoint import NAME, CheckpointError, load_model
from minigrad.training.config import ConfigError

ERRORS = (DataError, CheckpointError, ConfigError, device.DeviceError, OSError)


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, load, test, print a table. Returns the exit status."""
    p = argparse.ArgumentParser(prog=program("evaluate"), description="Test a trained model.")
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    p.add_argument("--test-limit", type=at_least(1), metavar="N", help="use only the first N test images")
    p.add_argument("--data-dir", type=Path, metavar="DIR", help="folder with the four IDX files")
    p.add_argument("--device", type=device_name, default="auto", metavar="NAME",
                   help="auto, cpu, gpu, or a certain card such as gpu:1; default auto, the GPU if there is one")
    p.add_argument("--threads", type=thread_count, metavar="N", help="cores to use, default all")
    options = p.parse_args(arguments)
    console = Console(highlight=False)
    place, remark = device.choose(options.device)
    if remark:
        console.print(remark)
    config = Config.load(options.run, builder.__name__)
    model = builder(in_channels=config.in_channels, num_classes=config.num_classes, image_size=config.image_size)
    load_model(options.run / NAME, model.to(place))
    data = load(options.data_dir)
    images, labels = (
        device.to(array[: options.test_limit], place) for array in (data.test_images, data.test_labels)
    )
    with device.memory_errors("use --device cpu"), threads.limit(options.threads):
        result = evaluate(model, images, labels, config, console, log_every=10)
    table = Table("class", "images", "right", "most often taken for")
    for index, (name, row) in enumerate(zip(CLASS_NAMES, result.confusion, strict=True)):
        wrong = row.copy()
        wrong[index] = 0
        mistake = f"{CLASS_NAMES[wrong.argmax()]} ({wrong.max()})" if wrong.any() else "-"
        table.add_row(name, str(row.sum()), f"{row[index] / max(1, row.sum()):.3f}", mistake)
    console.print(table)
    console.print(f"loss {result.loss:.4f}, accuracy {result.accuracy:.4f} on {len(images)} images")
    return 0
