"""Arrays as a page shows them: their figures, a histogram, and maps small enough to send along."""

import base64
import hashlib
import math
import zlib
from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad import device

BINS = 40
LEVELS = 127
"""Maps are sent as whole numbers from -LEVELS to LEVELS, one byte each."""


def figures(array: Array) -> dict[str, Any]:
    """Shape, dtype, mean, standard deviation, Euclidean norm, extremes, share of zeros and a histogram, for JSON.

    All are of the finite numbers; `not_finite` says how many others there are.
    """
    finite = _finite(array)
    result: dict[str, Any] = {
        "shape": list(array.shape), "dtype": str(array.dtype), "not_finite": array.size - len(finite),
    }  # fmt: skip
    if len(finite) == 0:
        return result
    try:
        counts, edges = np.histogram(finite, BINS)
    except ValueError:  # they differ by less than so many bins can tell apart
        counts, edges = np.array([len(finite)]), np.array([finite.min(), finite.max()])
    return result | {
        "mean": float(finite.mean()), "std": float(finite.std()), "norm": float(np.linalg.norm(finite)),
        "low": float(finite.min()), "high": float(finite.max()), "zeros": float((finite == 0).mean()),
        "histogram": {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1])},
    }  # fmt: skip


def norm(array: Array) -> float | None:
    """The Euclidean norm of the finite numbers, as `figures` has it; None if there are none."""
    finite = _finite(array)
    return float(np.linalg.norm(finite)) if len(finite) else None


def _finite(array: Array) -> Array:
    """The finite numbers, in float64."""
    values: Array = device.host(array).astype(np.float64).ravel()
    return values[np.isfinite(values)]


def shown(array: Array, image: int) -> Array:
    """What is drawn of an array, as maps (C, H, W): of an image batch (N, C, H, W) one image, of others all.

    (N, C) and vectors are one map of N rows; more axes are folded into rows.
    """
    values = device.host(array)
    if values.ndim == 4:
        return values[min(image, len(values) - 1)]
    return values.reshape(1, math.prod(values.shape[:-1]), values.shape[-1] if values.ndim else 1)


class Pool:
    """The arrays that a page carries, each once: a list for JSON, whose places are what refers to them.

    Bytes are those of the array in logical order, deflated, as text.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._places: dict[bytes, int] = {}

    def exact(self, array: Array) -> int:
        """An array in float32, as it is."""
        return self._place("floats", device.host(array).astype("<f4"), {})

    def maps(self, maps: Array) -> int:
        """An array in one byte a number: value = scale * whole number; what is not finite is 0."""
        values = np.where(np.isfinite(maps), maps, 0).astype(np.float64)
        scale = float(np.abs(values).max(initial=0.0)) / LEVELS
        whole = np.rint(values / scale) if scale else values
        return self._place("bytes", whole.astype(np.int8), {"scale": scale})

    def _place(self, kind: str, array: Array, more: dict[str, Any]) -> int:
        data = np.ascontiguousarray(array).tobytes()
        key = hashlib.sha256(repr((kind, array.shape, more)).encode() + data).digest()
        if key not in self._places:
            self._places[key] = len(self.entries)
            packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
            self.entries.append({"shape": list(array.shape), kind: packed, **more})
        return self._places[key]
