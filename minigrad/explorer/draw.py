"""The graph behind a tensor as a static picture, for a notebook or a file."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from minigrad.backward import tape_behind
from minigrad.files import write_atomically
from minigrad.function import Function
from minigrad.tensor import Tensor

CHARACTER = 6.7
"""Width of a letter in pixels, in the picture's font."""
LINE = 15
HEIGHT = 40
GAP = 24

STYLE = """
text { font: 11px ui-monospace, monospace; text-anchor: middle; fill: #1b1f24; }
.small { fill: #5b6570; }
rect { fill: #dbe9ff; stroke: #5b6570; }
.leaf rect { fill: #e6f4e1; }
.result rect { fill: #ffe9d1; }
path { fill: none; stroke: #5b6570; }
marker path { fill: #5b6570; stroke: none; }
"""


class Drawing:
    """A picture of a graph. svg: its text. A notebook shows it as it is."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Write the picture into an SVG file. OSError if that cannot be done; the old file then stays."""
        write_atomically(Path(path), self.svg.encode("utf-8"))


def draw(tensor: Tensor) -> Drawing:
    """The operations that `tensor` came from, in the order in which they ran from the top down, with its leaves.

    Operations are blue, with the shapes of their inputs and the module that they ran in; leaves are green, the tensor
    itself is orange. The layout is igraph's (K. Sugiyama, S. Tagawa, M. Toda, 1981). ImportError, with the command that
    installs it, if there is no igraph; RuntimeError if the graph has been walked back through, which frees it.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor: given {type(tensor).__name__}, expected a tensor")
    try:
        import igraph
    except ImportError as error:
        raise ImportError("draw: igraph is missing; install it with `pip install -e '.[draw]'`") from error
    tape = tape_behind(tensor.grad_fn) if tensor.grad_fn else []
    for function in tape:
        if function.freed:
            raise RuntimeError(f"draw: {function} has been through backward, and its part of the graph is freed")
    leaves = list(dict.fromkeys(node for function in tape for node in function.inputs if isinstance(node, Tensor)))
    nodes: list[Function | Tensor] = [*leaves, *tape, tensor]
    places = {node: place for place, node in enumerate(nodes[:-1])}
    edges = [(places[node], places[function]) for function in tape for node in function.inputs if node is not None]
    if tape:
        edges.append((places[tape[-1]], len(nodes) - 1))
    labels = [_label(node) for node in nodes]
    widths = [CHARACTER * max(map(len, label)) + 16 for label in labels]
    layout = igraph.Graph(len(nodes), edges, directed=True).layout_sugiyama(
        hgap=max(widths) + GAP, vgap=HEIGHT + 2 * GAP, maxiter=200
    )
    kinds = ["leaf"] * len(leaves) + ["operation"] * len(tape) + ["result"]
    return Drawing(_svg(layout.coords, layout.edge_routing, edges, labels, widths, kinds))


def _label(node: "Function | Tensor") -> list[str]:
    if isinstance(node, Tensor):
        return [f"{node.dtype}", str(node.shape) if node.data.size != 1 else f"{node.item():.4g}"]
    shapes = ", ".join(str(shape) for shape, dtype in node._input_types if dtype is not None and np.prod(shape) != 1)
    return [node.name + (f" in {node.path}" if node.path else ""), shapes or "numbers"]


def _svg(
    coords: list[list[float]], routes: list[list[list[float]]], edges: list[tuple[int, int]],
    labels: list[list[str]], widths: list[float], kinds: list[str],
) -> str:  # fmt: skip
    points = [*coords, *(point for route in routes for point in route)]
    left, right = (f(x for x, _ in points) for f in (min, max))
    bottom = max(y for _, y in points)
    margin = max(widths) / 2 + GAP
    size = {"width": right - left + 2 * margin, "height": bottom + HEIGHT + 2 * GAP}
    svg = ElementTree.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {size['width']:.0f} {size['height']:.0f}",
        **{side: f"{length:.0f}" for side, length in size.items()},
    })  # fmt: skip
    ElementTree.SubElement(svg, "style").text = STYLE
    size_of_tip = {"refX": 7, "refY": 4, "markerWidth": 7, "markerHeight": 7}
    marker = _add(svg, "marker", id="tip", viewBox="0 0 8 8", orient="auto", **size_of_tip)
    _add(marker, "path", d="M0 0 L8 4 L0 8 z")
    _add(svg, "rect", width="100%", height="100%", style="fill: white; stroke: none")

    def moved(point: list[float]) -> tuple[float, float]:
        return point[0] - left + margin, point[1] + GAP + HEIGHT / 2

    for (begin, end), route in zip(edges, routes, strict=True):
        first, *middle, last = [moved(point) for point in (coords[begin], *route, coords[end])]
        path = [(first[0], first[1] + HEIGHT / 2), *middle, (last[0], last[1] - HEIGHT / 2)]
        _add(svg, "path", d="M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in path), **{"marker-end": "url(#tip)"})
    for point, label, width, kind in zip(coords, labels, widths, kinds, strict=True):
        x, y = moved(point)
        group = _add(svg, "g", **{"class": kind})
        _add(group, "rect", x=x - width / 2, y=y - HEIGHT / 2, width=width, height=HEIGHT, rx=5)
        for line, text in enumerate(label):
            small = {"class": "small"} if line else {}
            _add(group, "text", x=x, y=y - 4 + LINE * line, **small).text = text
    return ElementTree.tostring(svg, encoding="unicode")


def _add(parent: ElementTree.Element, tag: str, **attributes: Any) -> ElementTree.Element:
    texts = {name: f"{value:.1f}" if isinstance(value, float) else str(value) for name, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, texts)
