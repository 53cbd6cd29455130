"""The pictures: the roofline of the kernels, and the bars of whole steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.limits import Limits
from benchmarks.measure import Measurement
from benchmarks.report import faster_layout
from benchmarks.work import FLOP

SMALL_SHARE = 0.02
"""Operations below this share of the time are drawn as one."""


def roofline(path: Path, measurements: Sequence[Measurement], subject: str, limits: Limits) -> None:
    """Arithmetic intensity (FLOP/byte) against speed (GFLOP/s) of the cases that multiply, below the machine's roof.

    A colour for each kernel; filled for the backend `subject`, hollow for PyTorch's faster layout.
    """
    from matplotlib.figure import Figure  # here, so that only who draws loads it
    from matplotlib.lines import Line2D

    drawn = [measured for measured in measurements if measured.multiply_adds and measured.seconds]
    names = list(dict.fromkeys(measured.case.kernel for measured in drawn))
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for measured in drawn:
        flop, colour = FLOP * measured.multiply_adds, f"C{names.index(measured.case.kernel)}"
        for seconds, marker, face in (
            (measured.seconds[subject], "o", colour), (faster_layout(measured), "D", "none"),
        ):
            if seconds is not None:
                axes.plot(
                    flop / measured.bytes, flop / seconds / 1e9, marker, color=colour, markerfacecolor=face, alpha=0.8
                )
    intensities = [FLOP * measured.multiply_adds / measured.bytes for measured in drawn] or [1.0]
    ridge = limits.peak / limits.bandwidth
    x = np.geomspace(min(*intensities, ridge) / 2, max(*intensities, ridge) * 2, 200)
    axes.plot(x, np.minimum(limits.peak, x * limits.bandwidth) / 1e9, color="black")
    axes.axvline(ridge, color="grey", linewidth=0.8, linestyle=":")
    legend = [Line2D([], [], color=f"C{i}", marker="s", linestyle="none", label=name) for i, name in enumerate(names)]
    legend += [
        Line2D([], [], color="grey", marker="o", linestyle="none", label=subject),
        Line2D(
            [], [], color="grey", marker="D", markerfacecolor="none", linestyle="none", label="PyTorch, faster layout"
        ),
        Line2D([], [], color="black", label=f"{limits.bandwidth / 1e9:.0f} GB/s, {limits.peak / 1e9:.0f} GFLOP/s"),
    ]
    axes.set(
        xscale="log", yscale="log", xlabel="arithmetic intensity, FLOP/byte", ylabel="GFLOP/s",
        title="Roofline (Winograd may rise above the roof: it multiplies less than is counted)",
    )
    axes.grid(alpha=0.3, which="both")
    axes.legend(handles=legend, loc="lower right")
    figure.savefig(path, dpi=120)


def steps(
    path: Path, milliseconds: Mapping[str, Mapping[str, float]], shares: Mapping[str, Mapping[str, float]], own: str,
    title: str,
) -> None:
    """Bars of the competitors' times, {"training": {name: ms}, ...}, with the bar called `own` split by operation.

    shares: {"training": {operation: share of minigrad's time}, ...}.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    figure.suptitle(title)
    operations = list(dict.fromkeys(name for parts in shares.values() for name in _large(parts)))
    colours = {name: colormaps["tab20"](number % 20) for number, name in enumerate(operations)}
    for axes, (kind, times) in zip(figure.subplots(len(milliseconds), 1), milliseconds.items(), strict=True):
        for name, time in times.items():
            if name == own:
                left = 0.0
                for operation, share in _large(shares[kind]).items():
                    axes.barh(name, share * time, left=left, color=colours[operation], label=operation)
                    left += share * time
            else:
                axes.barh(name, time, color="lightgrey")
            axes.text(time, name, f" {time:,.0f} ms", va="center")
        axes.set(xlabel="milliseconds", title=kind, xlim=(0, max(times.values()) * 1.15))
        axes.invert_yaxis()
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


def _large(shares: Mapping[str, float]) -> dict[str, float]:
    """Those of at least SMALL_SHARE, and the sum of the others."""
    large = {name: share for name, share in shares.items() if share >= SMALL_SHARE}
    return {**large, "others": 1 - sum(large.values())}
