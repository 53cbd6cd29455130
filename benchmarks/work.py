"""What a kernel has to do: multiply-adds as its definition counts them, and bytes that it must at least move."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.cases import Case, at_batch
from kernels.geometry import output_size
from kernels.layout import Array

FLOP = 2
"""Floating-point operations in a multiply-add."""


def multiply_adds(given: Case) -> int:
    """Those of a convolution or a fully connected layer; 0 for kernels that do not multiply with a weight.

    Every algorithm is credited with what the definition needs: Winograd's does fewer.
    """
    a = dict(given.arguments)
    if given.kernel == "conv2d":
        size, kernel = a["x"].shape[1:3], a["weight"].shape[:2]
        places = math.prod(output_size(size, kernel, a["stride"], a["padding"], a["dilation"]))
        return int(a["x"].shape[0] * places * math.prod(a["weight"].shape))
    if given.kernel == "linear":
        return int(a["x"].shape[0] * math.prod(a["weight"].shape))
    if given.kernel in ("conv2d_input_grad", "linear_input_grad"):
        return math.prod(a["grad"].shape[:-1]) * math.prod(a["weight"].shape)
    if given.kernel == "conv2d_weight_grad":
        return int(math.prod(a["grad"].shape) * math.prod(a["kernel"]) * a["x"].shape[3] // a["groups"])
    if given.kernel == "pointwise_backward":
        return sum(2 * math.prod(grad.shape) for grad in a["grads"]) * int(a["x"].shape[3])
    if given.kernel == "linear_weight_grad":
        return int(math.prod(a["grad"].shape) * a["x"].shape[1])
    return 0


def moved(arguments: Mapping[str, Any], results: Iterable[Array]) -> int:
    """Bytes of all arguments and results, each counted once."""
    arrays = [a for value in arguments.values() for a in (value if isinstance(value, list) else [value])]
    return sum(a.nbytes for a in (*arrays, *results) if hasattr(a, "nbytes"))


def of_a_step(counts: Mapping[Case, int], images: int) -> int:
    """Multiply-adds of a training step, from the cases and how often a step calls each."""
    return sum(calls * multiply_adds(at_batch(case, images)) for case, calls in counts.items())
