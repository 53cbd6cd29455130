#!/usr/bin/env python3
"""Times one convolution as loops, in NumPy and in Numba; prints chapter 9's table, draws docs/pictures/ladder.svg.

    .venv/bin/python docs/pictures/ladder.py

The backends are verified against each other first, and take turns; medians.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import kernels
from kernels import threads
from kernels.cpu import conv as cpu

SHAPE, OUTPUTS, KERNEL = (8, 24, 24, 64), 192, 3
"""GoogLeNet's third convolution at 96x96, on eight images."""
WINDOW = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
RUNGS = ("loops", "NumPy, im2col", "Numba, direct", "Numba, Winograd")
TURNS = 15


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
        RUNGS[1]: lambda: reference(x, weight, None, *WINDOW, None),
        RUNGS[2]: lambda: insisted("direct"), RUNGS[3]: lambda: insisted("winograd"),
    }  # fmt: skip
    expected = runs[RUNGS[1]]()
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
        print(f"| {name} | {1e3 * seconds:,.2f} ms | {rate:,.3g} GFLOP/s | {found[RUNGS[0]] / seconds:,.0f} |")
    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(found), [2 * multiply_adds / seconds / 1e9 for seconds in found.values()], color="tab:blue")
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("GFLOP/s, counted as the definition does")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg"))
