#!/usr/bin/env python3
"""Times one convolution as loops, in NumPy and in Numba; prints chapter 9's table, draws docs/pictures/ladder.svg.

    .venv/bin/python docs/pictures/ladder.py

The backends are verified against each other first, and take turns; medians. It also times how long memory takes to
answer.
"""

import statistics
import sys
import time
from pathlib import Path

import numba
import numpy as np
from matplotlib.figure import Figure

import kernels
from kernels import threads
from kernels.cpu import conv as cpu

SHAPE, OUTPUTS, KERNEL = (8, 24, 24, 64), 192, 3
"""GoogLeNet's third convolution at 96x96, on eight images."""
WINDOW = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
RUNGS = ("loops", "loops, compiled", "NumPy, im2col", "Numba, direct", "Numba, Winograd")
TURNS = 15
KIBIBYTES = (16, 512, 8 * 1024, 256 * 1024)
"""How much memory a pointer is chased through: less than the first cache holds, the second, the third, and more."""
LINE = 64  # bytes


@numba.njit
def compiled(x: np.ndarray, weight: np.ndarray, padding: int) -> np.ndarray:
    """kernels/naive/conv.py's loops without its options: (N, H, W, C) and (kh, kw, C, O) -> (N, H, W, O)."""
    y = np.zeros((*x.shape[:3], weight.shape[3]), x.dtype)
    for image, oh, ow, o in np.ndindex(y.shape):
        total = np.float32(0)
        for i in range(weight.shape[0]):
            for j in range(weight.shape[1]):
                row, col = oh - padding + i, ow - padding + j
                if 0 <= row < x.shape[1] and 0 <= col < x.shape[2]:
                    for c in range(weight.shape[2]):
                        total += x[image, row, col, c] * weight[i, j, c, o]
        y[image, oh, ow, o] = total
    return y


@numba.njit
def chase(following: np.ndarray, steps: int) -> int:
    """Where one comes to in so many steps: each has to wait for the one before."""
    place = 0
    for _ in range(steps):
        place = following[place]
    return place


def latency(kibibytes: int) -> float:
    """Median nanoseconds of a step from line to line, in random order, through so much memory."""
    apart = LINE // 8  # numbers of 8 bytes in a line
    lines = np.random.default_rng(0).permutation(kibibytes * 1024 // LINE)
    following = np.zeros(len(lines) * apart, np.int64)
    following[lines * apart] = np.roll(lines, -1) * apart
    steps, seconds = 2_000_000, []
    chase(following, steps)
    for _ in range(TURNS):
        began = time.perf_counter()
        chase(following, steps)
        seconds.append(time.perf_counter() - began)
    return 1e9 * statistics.median(seconds) / steps


def rungs() -> dict[str, float]:
    """Median seconds of each rung, on all cores; the loops for one output row of one image, and multiplied."""
    random = np.random.default_rng(0)
    x = random.standard_normal(SHAPE).astype(np.float32)
    weight = random.standard_normal((KERNEL, KERNEL, SHAPE[3], OUTPUTS)).astype(np.float32)
    naive, reference, fast = (kernels.load(name).conv2d for name in ("naive", "reference", "cpu"))

    def loops() -> np.ndarray:
        return naive(x[:1, :3], weight, None, (1, 1), ((0, 0), (1, 1)), (1, 1), 1, None)

    def insisted(name: str) -> np.ndarray:
        with cpu.algorithm(name):
            return fast(x, weight, None, *WINDOW, None)

    runs = {
        RUNGS[1]: lambda: compiled(x, weight, 1), RUNGS[2]: lambda: reference(x, weight, None, *WINDOW, None),
        RUNGS[3]: lambda: insisted("direct"), RUNGS[4]: lambda: insisted("winograd"),
    }  # fmt: skip
    expected = runs[RUNGS[2]]()
    for run in runs.values():
        np.testing.assert_allclose(run(), expected, atol=1e-3)
    np.testing.assert_allclose(loops()[0, 0], expected[0, 1], atol=1e-3)
    began = time.perf_counter()
    loops()
    seconds: dict[str, list[float]] = {RUNGS[0]: [(time.perf_counter() - began) * SHAPE[0] * SHAPE[1]]}
    for _ in range(TURNS):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            seconds.setdefault(name, []).append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main(path: Path) -> None:
    """Measure, print, draw."""
    multiply_adds = np.prod(SHAPE) * KERNEL * KERNEL * OUTPUTS
    found = rungs()
    print(f"{threads.available()} cores, {multiply_adds / 1e6:.0f} M multiply-adds")
    for name, seconds in found.items():
        rate = 2 * multiply_adds / seconds / 1e9
        print(f"| {name} | {1e3 * seconds:,.3f} ms | {rate:.3g} GFLOP/s | {found[RUNGS[0]] / seconds:,.0f} |")
    for kibibytes in KIBIBYTES:
        print(f"{latency(kibibytes):.1f} ns a step through {kibibytes:,} KiB")
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(found), [2 * multiply_adds / seconds / 1e9 for seconds in found.values()], color="tab:blue")
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_xscale("log")
    axes.set_xlim(right=4000)  # room for the labels
    axes.invert_yaxis()
    axes.set_xlabel("GFLOP/s, counted as the definition does")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
