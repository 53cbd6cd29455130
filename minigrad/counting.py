"""Multiply-adds: what an operation costs, counted as its definition does and not as an algorithm may need fewer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.function import Function
from minigrad.ops import Conv2d, Linear, MatMul


def multiply_adds(function: Function, inputs: Sequence[Any], output: Any) -> int:
    """How many products of an input with a weight, or of two matrices' elements, an operation's forward adds up; 0 for
    one that does nothing of the kind.

    inputs, output: arrays, as forward had them.
    """
    if isinstance(function, MatMul) and output is not None:
        return int(output.size * inputs[0].shape[-1])  # (..., M, K) @ (..., K, N)
    weight = inputs[1] if isinstance(function, Conv2d | Linear) else None
    if weight is None or output is None or output.size == 0:
        return 0
    # Each output channel has its share of the weight, and uses all of it at every place.
    return int(np.size(weight) // len(weight) * output.size)
