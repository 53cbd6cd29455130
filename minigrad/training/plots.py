"""The pictures of a run: its learning curves and its confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad.training.files import write_atomically


def _save(figure: Any, path: Path) -> None:
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())


def curves(path: Path, steps: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]]) -> None:
    """Loss and accuracy over the optimiser's steps, with the test results after each epoch."""
    from matplotlib.figure import Figure  # here, so that only runs that draw load it

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    ends = [record["step"] for record in epochs]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        x = np.array([record["step"] for record in steps])
        y = np.array([record[name] for record in steps], float)
        axes.plot(x, y, color="tab:blue", alpha=0.25, linewidth=0.8)
        window = max(1, len(y) // 40)
        if len(y) > window:
            smooth = np.convolve(y, np.ones(window) / window, mode="valid")
            axes.plot(x[window - 1 :], smooth, color="tab:blue", label=f"training, mean of {window} steps")
        axes.plot(ends, [record[f"test_{name}"] for record in epochs], "o-", color="tab:orange", label="test")
        axes.set(xlabel="step", title=name)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def confusion(path: Path, counts: Array, class_names: Sequence[str]) -> None:
    """Which classes are taken for which: rows are true classes, columns predictions, numbers are images."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6.2), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(class_names))
    axes.set(xticks=places, yticks=places, xlabel="predicted", ylabel="true")
    axes.set_xticklabels(class_names, rotation=45, ha="right")
    axes.set_yticklabels(class_names)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    _save(figure, path)
