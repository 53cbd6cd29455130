"""A backend's algorithms for a convolution, so that each can be verified and timed beside the others.

On the CPU they differ in what they compute, such as Winograd's; on a card in what im2col and col2im are written in.
"""

from contextlib import AbstractContextManager, nullcontext

import kernels
from benchmarks.cases import Case
from kernels.geometry import output_size


def possible(given: Case, backend: str) -> list[str]:
    """The algorithms by which the backend can compute the case, the preferred one first; none if it has no choice."""
    if given.kernel == "pointwise_backward" and backend == "cpu":
        return ["pointwise"]
    if not given.kernel.startswith("conv2d"):
        return []
    a = dict(given.arguments)
    kernel = a["kernel"] if "kernel" in a else a["weight"].shape[:2]
    options = (a["stride"], a["padding"], a["dilation"], a["groups"])
    if backend == "cpu":
        from kernels.cpu import conv  # here, because it imports Numba, which other backends do not need

        places = a["grad"].shape[1:3] if "grad" in a else output_size(a["x"].shape[1:3], kernel, *options[:3])
        return list(conv.possible(places, kernel, *options))
    if backend == kernels.CUDA:
        from kernels.cuda.conv import is_pointwise

        stride, padding, _, groups = options
        return [] if is_pointwise(kernel, stride, padding, groups) else twins()
    return []


def twins() -> list[str]:
    """What im2col and col2im can be written in on this card; none if there is no choice."""
    from kernels.cuda import columns

    try:
        with columns.twins("numba"):
            return list(columns.TWINS)
    except ImportError:  # Numba lacks a compiler for cards
        return []


def insisting(backend: str, algorithm: str | None) -> AbstractContextManager[None]:
    """`with insisting("cpu", "direct"): ...` has convolutions computed so. None leaves the choice to the backend."""
    if algorithm is None:
        return nullcontext()
    if backend == kernels.CUDA:
        from kernels.cuda import columns

        return columns.twins(algorithm)
    from kernels.cpu import conv

    return conv.algorithm(algorithm)
