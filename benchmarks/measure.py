"""One case: first who is right, then, if all are, who is fast."""

import contextvars
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import kernels
from benchmarks import algorithms, machine, work
from benchmarks.arguments import filled
from benchmarks.cases import Case, at_batch, cropped
from benchmarks.timing import Place, medians
from kernels.layout import Array
from minigrad import device

TOLERANCE = 1e-4
"""Largest error allowed, as a share of the largest value: the order of summation alone makes 1e-5 in float32."""

CHANGED = {
    "sgd_step": ("params", "velocities"),
    "adam_step": ("params", "means", "squares"),
    "note_step": ("record", "halted"),
    "conv2d_input_grad": ("into",),
    "pointwise_backward": ("into",),
}
"""Arguments that kernels change in place. Those of kernels that return nothing are the results."""

EXTRAPOLATED = {"naive"}
"""Backends that would take minutes: they get the cropped case, and their time is scaled by the work."""

TORCH_LAYOUTS = {"PyTorch": False, "PyTorch channels_last": True}


class Measurement(NamedTuple):
    """What came out for one case.

    per_step: how often a training step of GoogLeNet calls it.
    faults: who is wrong by how much; then nobody was timed.
    algorithms: those that the last backend could compute it by, the one that it chooses first. It stands in `seconds`
        under the backend's name, and the others as "cpu: name".
    seconds: the median of each competitor.
    multiply_adds, bytes: the work (work.py).
    """

    case: Case
    per_step: int
    faults: list[str]
    algorithms: list[str]
    seconds: dict[str, float]
    multiply_adds: int
    bytes: int


def call(backend: str, kernel: str, arguments: dict[str, Any], algorithm: str | None = None) -> list[Array]:
    """Run a kernel and return its results as a list of NumPy arrays, leaving the arguments unchanged."""
    arguments = _own(backend, kernel, arguments)
    with algorithms.insisting(backend, algorithm):
        results = getattr(kernels.load(backend), kernel)(**arguments)
    if results is None:
        results = [arguments[name] for name in CHANGED[kernel]]
    return [device.host(result) for result in flat(results)]


def flat(results: Any) -> Iterator[Array]:
    """The arrays of lists and tuples, which may hold further ones."""
    if isinstance(results, tuple | list):
        for result in results:
            yield from flat(result)
    else:
        yield results


def _own(backend: str, kernel: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments where the backend computes; those that the kernel will change are copies, for competitors must not
    step on each other's."""
    if backend == kernels.CUDA:
        return {name: _on_card(value) for name, value in arguments.items()}
    return arguments | {name: copy.deepcopy(arguments[name]) for name in CHANGED.get(kernel, ())}


def _on_card(value: Any) -> Any:
    if isinstance(value, list):
        return [_on_card(each) for each in value]
    return device.to(value, "gpu") if isinstance(value, np.ndarray) else value


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


def measure(
    case: Case, per_step: int, backends: Sequence[str], images: int, repeats: int, place: Place
) -> Measurement:
    """Verify the reference, the backends and the last backend's algorithms on one case, then time all beside PyTorch.

    A card's arrays are moved to it before anything is timed.
    """
    kernel, whole, part = case.kernel, at_batch(case, images), cropped(case)
    large, small = filled(whole), filled(part)
    expected, small_expected = call("reference", kernel, large), call("reference", kernel, small)
    multiply_adds, moved = work.multiply_adds(whole), work.moved(large, expected)
    share = multiply_adds / work.multiply_adds(part) if multiply_adds else moved / work.moved(small, small_expected)
    last = backends[-1]
    choice = algorithms.possible(whole, last)
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
    for algorithm in choice[1:]:
        check(f"{last}: {algorithm}", call(last, kernel, large, algorithm), "reference", expected)
        runs[f"{last}: {algorithm}"] = _run(last, kernel, large, algorithm)
    rivals = _rivals(kernel, large, place.name)
    comparable = [(name, rival) for name, rival in rivals.items() if rival.arrays]
    for name, rival in comparable:
        check("reference", expected, name, rival.arrays(rival.run()))
    if not comparable:  # then what stands beside the reference is the definition written out as loops
        check("reference", small_expected, "naive", call("naive", kernel, small))
    if faults:
        return Measurement(whole, per_step, faults, choice, {}, multiply_adds, moved)
    runs |= {name: rival.run for name, rival in rivals.items()}
    seconds = medians(runs, repeats, before=place.flush, after=place.wait)
    seconds |= {name: seconds[name] * share for name in seconds.keys() & EXTRAPOLATED}
    return Measurement(whole, per_step, [], choice, seconds, multiply_adds, moved)


def _run(backend: str, kernel: str, arguments: dict[str, Any], algorithm: str | None = None) -> Callable[[], Any]:
    function, arguments = getattr(kernels.load(backend), kernel), _own(backend, kernel, arguments)
    with algorithms.insisting(backend, algorithm):
        context = contextvars.copy_context()  # so that nobody is timed while he chooses: Numba tries its compiler then
    return lambda: context.run(function, **arguments)


def _rivals(kernel: str, arguments: dict[str, Any], place: str) -> dict[str, Any]:
    """PyTorch, in both layouts where that makes a difference; nobody where it cannot be compared with."""
    if machine.no_torch(place) is not None:
        return {}
    from benchmarks import pytorch

    layouts = TORCH_LAYOUTS if pytorch.knows_layouts(kernel, arguments) else {"PyTorch": False}
    return {name: pytorch.rival(kernel, arguments, channels_last, place) for name, channels_last in layouts.items()}
