"""What a kernel is timed on: a case is a kernel's name and its arguments, with arrays described but not yet made."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from kernels.geometry import output_size

BATCH = "N"
"""Stands in a shape for the number of images."""

CROP = 10
"""Longest axis of a cropped case: the naive kernels take milliseconds on it."""


class Spec(NamedTuple):
    """An array to be. order: its axes from the slowest in memory to the fastest; empty means as they stand."""

    shape: tuple[Any, ...]
    dtype: str = "float32"
    order: tuple[int, ...] = ()


class Case(NamedTuple):
    """A kernel and its arguments by name: arrays as Spec, lists of arrays as tuples of Spec, options as they are."""

    kernel: str
    arguments: tuple[tuple[str, Any], ...]


def case(kernel: str, /, **arguments: Any) -> Case:
    """A case, written like the call."""
    return Case(kernel, tuple(arguments.items()))


def specs(value: Any) -> tuple[Spec, ...]:
    """The arrays of one argument."""
    if isinstance(value, Spec):
        return (value,)
    if isinstance(value, tuple) and value and isinstance(value[0], Spec):
        return value
    return ()


def _with_shapes(value: Any, change: Any) -> Any:
    """The argument with `change` applied to the shape of each of its arrays."""
    changed = tuple(spec._replace(shape=tuple(map(change, spec.shape))) for spec in specs(value))
    if not changed:
        return value
    return changed[0] if isinstance(value, Spec) else changed


def at_batch(given: Case, images: int) -> Case:
    """The case for so many images."""
    arguments = (
        (name, _with_shapes(value, lambda length: images if length == BATCH else length))
        for name, value in given.arguments
    )
    return Case(given.kernel, tuple(arguments))


def cropped(given: Case) -> Case:
    """The case cut down to one image of CROP x CROP pixels and CROP channels.

    All lengths are cut at the same limit, so arguments that fitted each other still do. What follows from other
    lengths is worked out again.
    """
    a: dict[str, Any] = {}
    for name, value in at_batch(given, 1).arguments:
        a[name] = _with_shapes(value, lambda length: min(length, CROP))
        if name in ("size", "sizes", "outputs") and isinstance(value, tuple) and not specs(value):
            a[name] = tuple(min(length, CROP) for length in value)
    if "stride" in a and "grad" in a:
        _refit_windows(a)
    if "sizes" in a:
        shape = list(a["array"].shape)
        shape[a["axis"]] = sum(a["sizes"])
        a["array"] = a["array"]._replace(shape=tuple(shape))
    return case(given.kernel, **a)


def _refit_windows(a: dict[str, Any]) -> None:
    """The gradient of a sliding window's output has as many places as the window fits on the cropped input."""
    size = a["size"] if "size" in a else a["x"].shape[1:3]
    kernel = a["kernel"] if "kernel" in a else a["weight"].shape[:2]
    places = output_size(size, kernel, a["stride"], a["padding"], a.get("dilation", (1, 1)))
    for name in {"grad", "output", "winner"} & a.keys():
        if a[name] is None:
            continue
        images, _, _, channels = a[name].shape
        a[name] = a[name]._replace(shape=(images, *places, channels))


def describe(given: Case) -> str:
    """The case in a few words: shapes of the arrays that are more than a vector, and the options that matter."""
    a = dict(given.arguments)
    if given.kernel.startswith(("conv2d", "pointwise")):  # of these it is enough to know that they are there
        rectified = a.pop("output", None) is not None or specs(a.pop("outputs", ())) != ()
        added = a.pop("into", None) is not None
        return " ".join([*_words(a), *["relu"] * rectified, *["added"] * added])
    return " ".join(_words(a))


def _words(a: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in a.items():
        arrays = specs(value)
        if len(arrays) > 8:
            words.append(f"{len(arrays)} {name}")
        elif arrays and len(arrays[0].shape) > 1:
            words.append(" ".join("x".join(map(str, spec.shape)) for spec in arrays))
        elif name in ("kernel", "size", "sizes", "outputs") and isinstance(value, tuple):
            words.append(f"{name} " + "x".join(map(str, value)))
        elif name == "stride" and value != (1, 1):
            words.append("stride " + "x".join(map(str, value)))
        elif name == "activation" and value:
            words.append(value)
    return words
