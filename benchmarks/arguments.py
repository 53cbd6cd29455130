"""A case's arrays, filled with numbers that make sense to the kernel."""

from typing import Any

import numpy as np

import kernels
from benchmarks.cases import Case, Spec, specs
from kernels.layout import Array
from minigrad.data import Augmentation

POSITIVE = {"variance", "squares"}
EDGE = 1e-4


def filled(given: Case) -> dict[str, Any]:
    """The arguments by name, the same numbers each time."""
    random = np.random.default_rng(0)
    described = dict(given.arguments)
    made: dict[str, Any] = {}
    for name, value in described.items():
        arrays = [_array(name, spec, described, random) for spec in specs(value)]
        made[name] = value if not arrays else arrays[0] if isinstance(value, Spec) else arrays
    if given.kernel == "batch_norm_backward" and made["activation"]:
        # Where the output is all but 0, how each one rounds decides what passes: nothing is sent there.
        forward = (made[name] for name in ("x", "mean", "variance", "weight", "bias", "eps"))
        output = kernels.load("reference").batch_norm(*forward, None)
        made["grad"][np.abs(output) < EDGE] = 0
    return made


def _array(name: str, spec: Spec, described: dict[str, Any], random: np.random.Generator) -> Array:
    reference = kernels.load("reference")
    if name == "winner":  # must name taps that lie on the image, so a real pooling has to have chosen them
        x = random.standard_normal((len(_zeros(spec)), *described["size"], spec.shape[3]), np.float32)
        options = (described[option] for option in ("kernel", "stride", "padding", "dilation"))
        winner = reference.max_pool2d(x, *options, False)[1]
        return winner
    if name == "target":
        rows = described["logits"] if "logits" in described else described["log_probabilities"]
        return random.integers(0, rows.shape[1], spec.shape)
    if name == "views":  # as the training of an epoch sees the images
        count, height, width, _ = described["images"].shape
        augmentation = Augmentation(flip=True, crop=0.08, erase=0.5)
        return augmentation.views(count, height, width, described["size"][0], seed=0, epoch=0)
    array = _zeros(spec)
    if name == "halted":
        return array
    if spec.dtype == "uint8":
        array[...] = random.integers(0, 256, spec.shape)
        return array
    array[...] = random.standard_normal(spec.shape, np.float32)
    if name in POSITIVE:
        array[...] = np.abs(array) + 0.1
    if name == "log_probabilities" or (name == "output" and "axis" in described):
        log_probabilities: Array = reference.log_softmax(array, 1)
        return log_probabilities
    if name == "output":  # a ReLU's
        np.maximum(array, 0, out=array)
    return array


def _zeros(spec: Spec) -> Array:
    """An array with the described order in memory."""
    if not spec.order:
        return np.zeros(spec.shape, spec.dtype)
    memory = np.zeros([spec.shape[axis] for axis in spec.order], spec.dtype)
    return memory.transpose(np.argsort(spec.order))
