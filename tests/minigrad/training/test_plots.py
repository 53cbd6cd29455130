"""What a run's pictures show: the same numbers as its files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad.training import plots


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were drawn, which are not written."""
    drawn: list[Any] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: drawn.append(figure))
    return drawn


def test_curves_have_every_step_and_every_test(figures: list[Any]) -> None:
    steps = [{"step": n, "loss": 1 / n, "accuracy": 1 - 1 / n} for n in range(1, 121)]
    tests = ("test_loss", "test_accuracy", "averaged_test_loss", "averaged_test_accuracy")
    epochs = [{"step": n, **{name: n * (place + 1) for place, name in enumerate(tests)}} for n in (40, 80, 120)]
    plots.curves(Path("unused"), steps, epochs, ["test", "averaged_test"])
    (figure,) = figures
    for axes, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        raw, smooth, test, averaged = axes.lines
        assert raw.get_xydata().tolist() == [[step["step"], step[name]] for step in steps]
        assert smooth.get_xydata()[0].tolist() == pytest.approx([3, np.mean([step[name] for step in steps[:3]])])
        assert test.get_xydata().tolist() == [[epoch["step"], epoch[f"test_{name}"]] for epoch in epochs]
        assert averaged.get_xydata().tolist() == [[epoch["step"], epoch[f"averaged_test_{name}"]] for epoch in epochs]
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels == ["training, mean of 3 steps", "test", "averaged test"]
        assert axes.get_title() == name


def test_a_confusion_matrix_has_its_counts_in_their_places(figures: list[Any]) -> None:
    """Class 0 is taken for class 2 once, class 1 was never there, class 2 is always right."""
    plots.confusion(Path("unused"), np.array([[3, 0, 1], [0, 0, 0], [0, 0, 5]]), ["bag", "coat", "shirt"])
    (axes,) = figures[0].axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written[(2, 0)] == "1"  # column, row
    assert written[(0, 2)] == "0"
    assert axes.images[0].get_array().tolist() == [[0.75, 0, 0.25], [0, 0, 0], [0, 0, 1]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["bag", "coat", "shirt"]


def test_a_gallery_of_few_mistakes_leaves_places_empty(figures: list[Any]) -> None:
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4)
    plots.gallery(Path("unused"), images, np.array([0, 1]), np.eye(3)[[0, 2]], ["bag", "coat", "shirt"])
    (figure,) = figures
    assert figure.get_suptitle() == "1 of 1 mistakes in 2 images, the most confident first"
    first, *rest = figure.axes
    assert first.get_title() == "coat →\nshirt 1.00"
    np.testing.assert_array_equal(first.images[0].get_array(), images[1])
    assert len(rest) == 29
    assert not any(axes.images or axes.get_title() or axes.axison for axes in rest)
