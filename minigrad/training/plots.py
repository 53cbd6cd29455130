"""The pictures of a run: its learning curves, its confusion matrix, and its worst mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad.files import write_atomically


def _save(figure: Any, path: Path) -> None:
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())


def curves(
    path: Path, steps: Sequence[dict[str, Any]], epochs: Sequence[dict[str, Any]], tests: Sequence[str]
) -> None:
    """Loss and accuracy over the optimiser's steps, with the results after each epoch of `tests`, such as "test"."""
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
        for test, colour in zip(tests, ("tab:orange", "tab:green"), strict=False):
            values = [record[f"{test}_{name}"] for record in epochs]
            axes.plot(ends, values, "o-", color=colour, label=test.replace("_", " "))
        axes.set(xlabel="step", title=name)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def confusion(path: Path, counts: Array, class_names: Sequence[str]) -> None:
    """Which classes are taken for which, counts (C, C) of images, integers: rows are true classes, columns predictions.
    """
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


def gallery(path: Path, images: Array, labels: Array, probabilities: Array, class_names: Sequence[str]) -> None:
    """The most confident mistakes among images (M, H, W) uint8, each with its true class and what it was taken for.

    labels: (M,). probabilities: (M, C), of the classes for each image.
    """
    from matplotlib.figure import Figure

    rows, columns = 5, 6
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    (wrong,) = np.nonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][: rows * columns]
    figure = Figure(figsize=(12, 11), layout="constrained")
    figure.suptitle(f"{len(worst)} of {len(wrong)} mistakes in {len(labels)} images, the most confident first")
    grid = figure.subplots(rows, columns)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, index in zip(grid.flat, worst, strict=False):
        axes.imshow(images[index], cmap="gray", vmin=0, vmax=255)
        names = f"{class_names[labels[index]]} →\n{class_names[predicted[index]]}"
        axes.set_title(f"{names} {confidence[index]:.2f}", fontsize=9)
    _save(figure, path)
