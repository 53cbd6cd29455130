"""im2col and col2im, from which kernels/cuda/conv.py makes convolutions: the launchers of im2col.cu and col2im.cu.

`twins("numba")` puts the Numba-CUDA kernels of columns_numba.py in their place, for study and for the benchmarks.
"""

import importlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import ModuleType

import cupy
import numpy as np

from kernels.cuda.launch import THREADS, launch, pack_size, window
from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array

TWINS = ("cuda", "numba")
_others: ContextVar[ModuleType | None] = ContextVar("minigrad_cuda_twins", default=None)


def twins(name: str) -> AbstractContextManager[None]:
    """`with twins("numba"): ...`: im2col and col2im of this thread are Numba's; with "cuda" they are CUDA C++, as they
    are where nobody has chosen.

    ValueError if there are none of that name. ImportError, with what to install, if Numba cannot compile for this card.
    """
    if name not in TWINS:
        raise ValueError(f"twins: given {name!r}, expected one of {', '.join(TWINS)}")
    if name == "cuda":
        return _chosen(None)
    others = importlib.import_module("kernels.cuda.columns_numba")  # only here, for few have what it needs
    others.check()
    return _chosen(others)


@contextmanager
def _chosen(others: ModuleType | None) -> Iterator[None]:
    token = _others.set(others)
    try:
        yield
    finally:
        _others.reset(token)


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, first: int, share: int) -> Array:
    """(N, H, W, C), of which `share` channels from `first` on -> (N, OH, OW, kh, kw, share)."""
    if others := _others.get():
        return others.im2col(x, kernel, stride, padding, dilation, first, share)
    n, h, w, c = x.shape
    oh, ow = output_size((h, w), kernel, stride, padding, dilation)
    columns = cupy.empty((n, oh, ow, *kernel, share), x.dtype)
    pack = pack_size(x.dtype, (c, first, share), x, columns)
    sizes = [np.int32(length // pack) for length in (c, first, share)]
    win = window((h, w), kernel, stride, padding, dilation)
    launch("im2col", "im2col_packs" if pack > 1 else "im2col", x.dtype, (n * oh,), (THREADS,), x, columns, win, *sizes)
    return columns


def col2im(columns: Array, x: Array, stride: Pair, padding: Padding, dilation: Pair, first: int, add: bool) -> None:
    """The transpose of `im2col`: (N, OH, OW, kh, kw, share) into, or added to, channels of x (N, H, W, C)."""
    if others := _others.get():
        return others.col2im(columns, x, stride, padding, dilation, first, add)
    kh, kw, share = columns.shape[3:]
    n, h, w, c = x.shape
    pack = pack_size(x.dtype, (c, first, share), x, columns)
    sizes = [np.int32(length // pack) for length in (c, first, share)]
    win = window((h, w), (kh, kw), stride, padding, dilation)
    name = "col2im_packs" if pack > 1 else "col2im"
    launch("col2im", name, x.dtype, (n * h,), (THREADS,), columns, x, win, *sizes, np.int32(add))
