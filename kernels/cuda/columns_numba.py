"""im2col and col2im once more, as Numba-CUDA kernels: to be read, and timed, beside im2col.cu and col2im.cu.

The grid is the same, one block a row, and so are the gather and the order of its additions: the twins' results have the
same bits. What differs: Numba computes indices in 64 bits, where those kernels need 32, and a thread takes one number
at a time, never a pack. Nobody imports this file before kernels/cuda/columns.py's `twins` asks for it.

Beside CuPy and a driver, Numba needs NVVM, the CUDA toolkit's compiler, which CuPy does without. `pip install
'numba-cuda[cu13]'` (or cu12, for a driver of CUDA 12) brings it, and takes the place of Numba's built-in CUDA, which
finds NVVM only in a toolkit that is installed apart (in /usr/local/cuda, in CUDA_HOME, or by conda).
"""

import warnings
from typing import Any, NamedTuple

import cupy
import numpy as np
from numba import cuda

from kernels.cuda.launch import THREADS, window
from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array

REMEDY = "pip install 'numba-cuda[cu13]' (or 'numba-cuda[cu12]' for a driver of CUDA 12)"

# Numba warns at every launch of fewer than 128 blocks: small images have no more rows.
warnings.filterwarnings("ignore", "Grid size .* under-utilization")


class Window(NamedTuple):
    """common.cuh's struct Window, whose fields have the same names and order."""

    h: int
    w: int
    oh: int
    ow: int
    kh: int
    kw: int
    sh: int
    sw: int
    top: int
    left: int
    dh: int
    dw: int


@cuda.jit
def _unroll(x: Any, columns: Any, win: Window, first: int, share: int) -> None:
    """im2col.cu: x (N, H, W, channels) -> columns (N*OH, OW*kh*kw*share), a row of outputs each block."""
    n, oh = cuda.blockIdx.x // win.oh, cuda.blockIdx.x % win.oh
    width = win.kh * win.kw * share  # of one window
    for i in range(cuda.threadIdx.x, win.ow * width, cuda.blockDim.x):
        ow, tap, c = i // width, i % width // share, i % share
        h = oh * win.sh - win.top + tap // win.kw * win.dh
        w = ow * win.sw - win.left + tap % win.kw * win.dw
        inside = h >= 0 and h < win.h and w >= 0 and w < win.w
        columns[cuda.blockIdx.x, i] = x[n, h, w, first + c] if inside else x.dtype.type(0)


@cuda.jit(device=True)
def _output_at(place: int, tap: int, before: int, stride: int, dilation: int, outputs: int) -> int:
    """common.cuh: the output whose tap lies on input `place` along one axis, or -1 if there is none."""
    offset = place + before - tap * dilation
    if offset < 0 or offset % stride:
        return -1
    output = offset // stride
    return output if output < outputs else -1


@cuda.jit
def _fold(columns: Any, x: Any, win: Window, first: int, share: int, add: bool) -> None:
    """col2im.cu: columns (N, OH, OW, kh, kw, share) -> x (N, H, W, channels), a row of inputs each block."""
    n, h = cuda.blockIdx.x // win.h, cuda.blockIdx.x % win.h
    for i in range(cuda.threadIdx.x, win.w * share, cuda.blockDim.x):
        w, c = i // share, i % share
        total = x.dtype.type(0)
        for kh in range(win.kh):
            oh = _output_at(h, kh, win.top, win.sh, win.dh, win.oh)
            if oh < 0:
                continue
            for kw in range(win.kw):
                ow = _output_at(w, kw, win.left, win.sw, win.dw, win.ow)
                if ow >= 0:
                    total += columns[n, oh, ow, kh, kw, c]
        x[n, h, w, first + c] = x[n, h, w, first + c] + total if add else total


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, first: int, share: int) -> Array:
    """(N, H, W, C), of which `share` channels from `first` on -> (N, OH, OW, kh, kw, share)."""
    n, h, w, _ = x.shape
    oh, ow = output_size((h, w), kernel, stride, padding, dilation)
    columns = cupy.empty((n, oh, ow, *kernel, share), x.dtype)
    rows = columns.reshape(n * oh, ow * kernel[0] * kernel[1] * share)
    _launch(_unroll, n * oh, x, rows, _window((h, w), kernel, stride, padding, dilation), first, share)
    return columns


def col2im(columns: Array, x: Array, stride: Pair, padding: Padding, dilation: Pair, first: int, add: bool) -> None:
    """The transpose of `im2col`: (N, OH, OW, kh, kw, share) into, or added to, channels of x (N, H, W, C)."""
    _, _, _, kh, kw, share = columns.shape
    n, h, w, _ = x.shape
    _launch(_fold, n * h, columns, x, _window((h, w), (kh, kw), stride, padding, dilation), first, share, add)


def check() -> None:
    """ImportError, with what to install, if Numba cannot compile for the current card.

    Numba looks for NVVM only when it compiles, so this has it compile and run a kernel.
    """
    try:
        im2col(cupy.zeros((1, 1, 1, 1), np.float32), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 0, 1)
    except Exception as error:  # the driver's, the toolkit's and Numba's, which share no class
        reason = " ".join(str(error).split()) or repr(error)
        raise ImportError(f"Numba cannot compile for this card: {REMEDY} ({reason})") from error


def _window(size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Window:
    return Window(*window(size, kernel, stride, padding, dilation)["fields"][0].tolist())


def _launch(kernel: Any, blocks: int, first: Array, second: Array, *numbers: Any) -> None:
    """Start a kernel on CuPy's current stream. Without blocks nothing is started.

    Left to itself Numba would launch on the default stream, and make the program wait for CuPy's stream at every array.
    """
    if blocks:
        stream = cuda.external_stream(cupy.cuda.get_current_stream().ptr)
        arrays = (cuda.as_cuda_array(array, sync=False) for array in (first, second))
        kernel[blocks, THREADS, stream](*arrays, *numbers)
