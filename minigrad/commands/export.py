"""export: write a trained model as an ONNX file, for other programs to run."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minigrad import device
from minigrad.commands.arguments import output_file, program, shown_path
from minigrad.commands.trained import add_raw, load_trained
from minigrad.data import CLASS_NAMES, DataError, FashionMNIST, batches, load, normalization
from minigrad.function import no_grad
from minigrad.interop import ExportError, save_onnx
from minigrad.nn import Module
from minigrad.tensor import Tensor
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Builder, Config, ConfigError
from minigrad.training.evaluation import BATCH_SIZE

ERRORS = (CheckpointError, ConfigError, DataError, ExportError, OSError)
TOLERANCE = 1e-4
"""How far logits may be apart, as a share of the largest, or of 1 if all are smaller."""


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, load, write the file. Returns the exit status."""
    p = argparse.ArgumentParser(prog=program("export"), description="Write a trained model as an ONNX file.")
    p.add_argument("run", type=shown_path, metavar="RUN", help="folder of a training run")
    p.add_argument("file", type=output_file, metavar="FILE", help="the file to write, such as model.onnx")
    add_raw(p)
    p.add_argument("--check", action="store_true", help="run the file in onnxruntime too, on all test images: classes "
                   "must be the same, and logits, as a share of the largest, within 0.0001")
    p.add_argument("--data-dir", type=shown_path, metavar="DIR", help="folder with the four IDX files, for --check")
    options = p.parse_args(arguments)
    config, model, weights = load_trained(builder, options.run, device.CPU, options.raw)
    shape = (config.in_channels, config.image_size, config.image_size)
    size = " x ".join(map(str, shape))
    mean, std = normalization(config.normalized)
    description = (
        f"{config.network}, trained on Fashion-MNIST. images: N x {size}, float32; grey values from 0 to 1, resized "
        f"bilinearly, minus {mean}, divided by {std}. logits: N x {config.num_classes}; the largest tells the class."
    )
    properties = {"mean": str(mean), "std": str(std), "class_names": json.dumps(CLASS_NAMES)}
    save_onnx(model, options.file, shape, description, properties)
    if weights:
        print(f"{options.run}: {weights}")
    print(f"{options.file}: {config.network}, images (N x {size}) -> logits (N x {config.num_classes})")
    return check(options.file, model, config, load(options.data_dir)) if options.check else 0


def check(file: Path, model: Module, config: Config, data: FashionMNIST) -> int:
    """Print how far onnxruntime's logits are from the model's on the test images. Returns the exit status.

    ExportError if a class differs, or a logit by more than TOLERANCE times the largest, or 1 where that is smaller.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ExportError(f"--check: {error.name} is not installed: pip install onnxruntime") from None
    session = onnxruntime.InferenceSession(file)
    farthest, largest, same = 0.0, 1.0, 0
    # NumPy's maximum, which a NaN wins; Python's would drop it.
    with no_grad():
        for x, _ in batches(data.test_images, data.test_labels, BATCH_SIZE, **config.inputs):
            ours = model(Tensor(x)).data
            (theirs,) = session.run(["logits"], {"images": np.ascontiguousarray(x)})
            farthest = float(np.maximum(farthest, np.abs(ours - theirs).max()))
            largest = float(np.maximum(largest, np.abs(ours).max()))
            same += int(np.count_nonzero(ours.argmax(axis=1) == theirs.argmax(axis=1)))
    count = len(data.test_images)
    print(f"onnxruntime: the same class for {same:,} of {count:,} test images, logits at most {farthest:.1e} apart")
    if same != count or not farthest <= TOLERANCE * largest:
        raise ExportError(f"--check: expected the same class for all, and at most {TOLERANCE * largest:.1e}")
    return 0
