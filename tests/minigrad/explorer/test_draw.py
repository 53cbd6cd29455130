"""draw: the graph as a picture, each operation and leaf in it, none on top of another."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F, nn
from minigrad.explorer.draw import Drawing

pytest.importorskip("igraph")

SVG = "{http://www.w3.org/2000/svg}"


class Residual(nn.Module):
    """A shortcut: an edge that spans several layers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x


@pytest.fixture
def drawing() -> Drawing:
    net = Residual()
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    return minigrad.draw(F.cross_entropy(net(x), np.array([0, 1])))


def boxes(drawing: Drawing) -> dict[str, list[tuple[float, float, float, float]]]:
    """(left, top, right, bottom) of each node, by kind."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for group in ElementTree.fromstring(drawing.svg).iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        found.setdefault(group.attrib["class"], []).append((x, y, x + width, y + height))
    return found


def test_operations_leaves_and_the_tensor_are_there_with_their_names(drawing: Drawing) -> None:
    found = boxes(drawing)
    assert {kind: len(each) for kind, each in found.items()} == {"leaf": 5, "operation": 5, "result": 1}
    texts = [text.text for text in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]
    for name in ("Linear in body.0", "ReLU in body.1", "Linear in body.2", "Add", "CrossEntropy", "(2, 3)", "(3, 3)"):
        assert name in texts
    assert "(2, 3), (3, 3), (3,)" in texts


def test_no_box_lies_on_another_and_all_are_inside(drawing: Drawing) -> None:
    found = [box for each in boxes(drawing).values() for box in each]
    width, height = map(float, ElementTree.fromstring(drawing.svg).attrib["viewBox"].split()[2:])
    for place, (left, top, right, bottom) in enumerate(found):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        for other in found[place + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_an_edge_leads_from_each_input_to_its_operation(drawing: Drawing) -> None:
    drawn = ElementTree.fromstring(drawing.svg).iter(f"{SVG}path")
    paths = [path.attrib["d"] for path in drawn if "marker-end" in path.attrib]
    assert len(paths) == 3 + 1 + 3 + 2 + 1 + 1  # Linear, ReLU, Linear, Add, CrossEntropy, the tensor
    assert sum(path.count("L") > 1 for path in paths) >= 1  # the shortcut goes round
    for path in paths:
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        assert numbers[1::2] == sorted(numbers[1::2])  # downwards


def test_it_is_shown_in_a_notebook_and_saved_as_it_is(drawing: Drawing, tmp_path: Path) -> None:
    assert drawing._repr_svg_() == drawing.svg
    drawing.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text("utf-8") == drawing.svg


def test_drawing_leaves_the_graph_as_it_was() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    minigrad.draw(y)
    y.backward()
    np.testing.assert_array_equal(x.grad, [2, 4])
    with pytest.raises(RuntimeError, match="draw: <Sum> has been through backward"):
        minigrad.draw(y)


def test_a_tensor_without_a_graph_is_a_single_box() -> None:
    assert {kind: len(each) for kind, each in boxes(minigrad.draw(Tensor([1.0]))).items()} == {"result": 1}


def test_without_igraph_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[draw\]'"):
        minigrad.draw(Tensor([1.0]))


def test_only_tensors_are_drawn() -> None:
    with pytest.raises(TypeError, match="tensor: given int, expected a tensor"):
        minigrad.draw(3)
