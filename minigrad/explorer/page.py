"""The page: one file that a browser opens from disk, with everything in it and nothing fetched."""

import json
import math
from importlib import resources
from pathlib import Path
from typing import Any

from minigrad.explorer.sources import styles
from minigrad.files import write_atomically

NAME = "index.html"
SCRIPTS = ("dagre.min.js", "data.js", "tree.js", "pictures.js", "graph.js", "closer.js", "panel.js", "main.js")
"""In the order in which they are loaded. dagre lays the graph out (MIT licence, its text beside it)."""


def write_page(folder: Path, title: str, about: str, contents: dict[str, Any]) -> Path:
    """Write the page into `folder`; returns the page's path.

    title, about: the heading and the line below it. contents: what minigrad.explorer.contents gives.
    """
    dark = f"@media (prefers-color-scheme: dark) {{\n{styles(dark=True)}\n}}"
    style = "\n".join((_static("page.css"), styles(dark=False), dark))
    scripts = "\n".join(f"<script>{_script(name)}</script>" for name in SCRIPTS)
    data = json.dumps(_finite({"about": about, **contents}), separators=(",", ":")).replace("<", "\\u003c")
    page = _static("index.html")
    # The data last: what comes out of a run must not be taken for a placeholder.
    for name, value in {"title": _escaped(title), "style": style, "scripts": scripts, "data": data}.items():
        page = page.replace(f"{{{name}}}", value)
    path = folder / NAME
    write_atomically(path, page.encode("utf-8"))
    return path


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have: infinities and NaN."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _static(name: str) -> str:
    return (resources.files("minigrad.explorer") / "static" / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    lines = _static(name).splitlines()
    return "\n".join(line for line in lines if not line.startswith("//# sourceMappingURL"))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("{", "&#123;")
