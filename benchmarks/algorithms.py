"""The cpu backend's algorithms for a convolution, so that each can be verified and timed beside the others."""

from contextlib import AbstractContextManager, nullcontext

from benchmarks.cases import Case


def possible(given: Case) -> list[str]:
    """The algorithms that can compute the case, the preferred one first; none if it is no convolution."""
    a = dict(given.arguments)
    if not given.kernel.startswith("conv2d"):
        return []
    from kernels.cpu import conv  # here, because it imports Numba, which other backends do not need

    kernel = a["kernel"] if "kernel" in a else a["weight"].shape[:2]
    return conv.possible(kernel, a["stride"], a["padding"], a["dilation"], a["groups"])


def insisting(algorithm: str | None) -> AbstractContextManager[None]:
    """`with insisting("direct"): ...` has convolutions computed so. None leaves the choice to the backend."""
    if algorithm is None:
        return nullcontext()
    from kernels.cpu import conv

    return conv.algorithm(algorithm)
