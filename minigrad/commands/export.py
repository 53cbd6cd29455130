"""export: write a trained model as an ONNX file, for other programs to run."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from minigrad import device
from minigrad.commands.arguments import program
from minigrad.commands.trained import load_trained
from minigrad.data import CLASS_NAMES, MEAN, STD
from minigrad.interop import ExportError, save_onnx
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Builder, ConfigError

ERRORS = (CheckpointError, ConfigError, ExportError, OSError)


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, load, write the file. Returns the exit status."""
    p = argparse.ArgumentParser(prog=program("export"), description="Write a trained model as an ONNX file.")
    p.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    p.add_argument("file", type=Path, metavar="FILE", help="the file to write, such as model.onnx")
    options = p.parse_args(arguments)
    config, model, is_average = load_trained(builder, options.run, device.CPU)
    shape = (config.in_channels, config.image_size, config.image_size)
    size = " x ".join(map(str, shape))
    description = (
        f"{config.network}, trained on Fashion-MNIST. images: N x {size}, float32; grey values from 0 to 1, resized "
        f"bilinearly, minus {MEAN}, divided by {STD}. logits: N x {config.num_classes}; the largest tells the class."
    )
    properties = {"mean": str(MEAN), "std": str(STD), "class_names": json.dumps(CLASS_NAMES)}
    save_onnx(model, options.file, shape, description, properties)
    kind = ", averaged weights" if is_average else ""
    print(f"{options.file}: {config.network}{kind}, images (N x {size}) -> logits (N x {config.num_classes})")
    return 0
