"""The cpu backend's algorithms for a convolution, so that each can be verified and timed beside the others."""

from contextlib import AbstractContextManager, nullcontext

from benchmarks.cases import Case
from kernels.geometry import output_size


def possible(given: Case) -> list[str]:
    """The algorithms that can compute the case, the preferred one first; none if it is no convolution."""
    a = dict(given.arguments)
    if given.kernel == "pointwise_backward":
        return ["pointwise"]
    if not given.kernel.startswith("conv2d"):
        return []
    from kernels.cpu import conv  # here, because it imports Numba, which other backends do not need

    kernel = a["kernel"] if "kernel" in a else a["weight"].shape[:2]
    options = (a["stride"], a["padding"], a["dilation"], a["groups"])
    places = a["grad"].shape[1:3] if "grad" in a else output_size(a["x"].shape[1:3], kernel, *options[:3])
    return list(conv.possible(places, kernel, *options))


def insisting(algorithm: str | None) -> AbstractContextManager[None]:
    """`with insisting("direct"): ...` has convolutions computed so. None leaves the choice to the backend."""
    if algorithm is None:
        return nullcontext()
    from kernels.cpu import conv

    return conv.algorithm(algorithm)
