"""One case: first who is right, then, if all are, who is fast."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import kernels
from benchmarks import machine
from benchmarks.arguments import filled
from benchmarks.cases import Case, at_batch, cropped
from benchmarks.timing import Flush, medians
from kernels.layout import Array

TOLERANCE = 1e-4
"""Largest error allowed, as a share of the largest value: the order of summation alone makes 1e-5 in float32."""

IN_PLACE = {"sgd_step": ("params", "velocities"), "adam_step": ("params", "means", "squares")}
"""Kernels whose results are what they did to these arguments."""

EXTRAPOLATED = {"naive"}
"""Backends that would take minutes: they get the cropped case, and their time is scaled by the work."""

TORCH_LAYOUTS = {"PyTorch": False, "PyTorch channels_last": True}


class Measurement(NamedTuple):
    """What came out for one case.

    per_step: how often a training step of GoogLeNet calls it.
    faults: who is wrong by how much; then nobody was timed.
    seconds: the median of each competitor.
    multiply_adds, bytes: the work, of which bytes are those of all arguments and results, each counted once.
    """

    case: Case
    per_step: int
    faults: list[str]
    seconds: dict[str, float]
    multiply_adds: int
    bytes: int


def call(backend: str, kernel: str, arguments: dict[str, Any]) -> list[Array]:
    """Run a kernel and return its results as a list, leaving the arguments unchanged."""
    if kernel in IN_PLACE:
        arguments = copy.deepcopy(arguments)
    results = getattr(kernels.load(backend), kernel)(**arguments)
    if kernel in IN_PLACE:
        return [array for name in IN_PLACE[kernel] for array in arguments[name]]
    return list(results) if isinstance(results, tuple | list) else [results]


def error(given: Sequence[Array], expected: Sequence[Array]) -> float:
    """Largest difference as a share of the largest expected value, over all results. Integers must be equal."""
    if len(given) != len(expected):
        return np.inf
    return max((_error(*pair) for pair in zip(given, expected, strict=True)), default=0.0)


def _error(given: Array, expected: Array) -> float:
    if given.shape != expected.shape:
        return np.inf
    if expected.dtype.kind in "iu":
        return 0.0 if np.array_equal(given, expected) else np.inf
    largest = np.abs(expected).max(initial=0)
    difference = float(np.abs(given - expected).max(initial=0) / (largest or 1))
    return np.inf if np.isnan(difference) else difference


def work(kernel: str, arguments: dict[str, Any], results: list[Array]) -> tuple[int, int]:
    """Multiply-adds (0 for kernels without a weight) and bytes that must at least be moved."""
    arrays = [a for value in arguments.values() for a in (value if isinstance(value, list) else [value])]
    moved = sum(a.nbytes for a in (*arrays, *results) if isinstance(a, np.ndarray))
    if not kernel.startswith(("conv2d", "linear")):
        return 0, moved
    # Each output channel has its share of the weight, and uses all of it at every place.
    outputs, weight = (arguments.get(name, results[0]) for name in ("grad", "weight"))
    return outputs.size * weight.size // outputs.shape[-1], moved


def measure(
    case: Case, per_step: int, backends: Sequence[str], images: int, repeats: int, flush: Flush
) -> Measurement:
    """Verify the reference and the backends on one case, then time the backends beside PyTorch."""
    kernel, large, small = case.kernel, filled(at_batch(case, images)), filled(cropped(case))
    expected, small_expected = call("reference", kernel, large), call("reference", kernel, small)
    multiply_adds, moved = work(kernel, large, expected)
    share = (multiply_adds or moved) / max(work(kernel, small, small_expected))
    faults: list[str] = []

    def check(name: str, given: list[Array], beside: str, wanted: list[Array]) -> None:
        found = error(given, wanted)
        if found > TOLERANCE:
            faults.append(f"{name} differs from {beside} by {found:.1e} of the largest value")

    runs: dict[str, Callable[[], Any]] = {}
    for name in backends:
        given, wanted = (small, small_expected) if name in EXTRAPOLATED else (large, expected)
        if name != "reference":
            check(name, call(name, kernel, given), "reference", wanted)
        runs[name] = _run(name, kernel, given)
    rivals = _rivals(kernel, large)
    comparable = [(name, rival) for name, rival in rivals.items() if rival.arrays]
    for name, rival in comparable:
        check("reference", expected, name, rival.arrays(rival.run()))
    if not comparable:  # then what stands beside the reference is the definition written out as loops
        check("reference", small_expected, "naive", call("naive", kernel, small))
    if faults:
        return Measurement(case, per_step, faults, {}, multiply_adds, moved)
    seconds = medians(runs | {name: rival.run for name, rival in rivals.items()}, repeats, before=flush)
    seconds |= {name: seconds[name] * share for name in seconds.keys() & EXTRAPOLATED}
    return Measurement(case, per_step, [], seconds, multiply_adds, moved)


def _run(backend: str, kernel: str, arguments: dict[str, Any]) -> Callable[[], Any]:
    function = getattr(kernels.load(backend), kernel)
    if kernel in IN_PLACE:
        arguments = copy.deepcopy(arguments)  # the competitors must not step on each other's parameters
    return lambda: function(**arguments)


def _rivals(kernel: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """PyTorch, in both layouts where that makes a difference; nobody where it is not installed."""
    if machine.find_torch() is None:
        return {}
    from benchmarks import pytorch

    layouts = TORCH_LAYOUTS if pytorch.knows_layouts(kernel, arguments) else {"PyTorch": False}
    return {name: pytorch.rival(kernel, arguments, channels_last) for name, channels_last in layouts.items()}
