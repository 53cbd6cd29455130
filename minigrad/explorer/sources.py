"""The lines of code behind an operation: its forward, its backward, and its kernels as loops."""

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pygments
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import kernels

ROOT = Path(kernels.__file__).parents[1]


class Source(NamedTuple):
    """title: what it is. place: file and line, the file from the project's folder on. html: the text, in colours."""

    title: str
    place: str
    line: int
    html: str


def sources_of(operation: type, called: dict[str, Any]) -> list[Source]:
    """Forward and backward of an operation, then each kernel that it has called: as it ran, and as loops.

    What has no text, for it was written at a prompt, is left out.
    """
    wanted = [("forward", operation.forward), ("backward", operation.backward)]  # type: ignore[attr-defined]
    naive = kernels.load("naive")
    wanted += [(f"{name}, as loops", getattr(naive, name)) for name in called]
    wanted += [(f"{name}, as it ran", ran) for name, ran in called.items() if ran is not getattr(naive, name)]
    return [source for title, function in wanted if (source := _source(title, inspect.unwrap(function)))]


def styles(dark: bool) -> str:
    """CSS for the colours of the texts."""
    return str(HtmlFormatter(style="github-dark" if dark else "default", nobackground=True).get_style_defs("pre"))


@cache
def _source(title: str, function: Callable[..., Any]) -> Source | None:
    function = getattr(function, "py_func", function)  # what Numba has compiled
    try:
        lines, first = inspect.getsourcelines(function)
        path = Path(inspect.getsourcefile(function) or "")
    except (OSError, TypeError):
        return None
    place = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    text = inspect.cleandoc("\n" + "".join(lines)) + "\n"
    html = pygments.highlight(text, PythonLexer(), HtmlFormatter(nowrap=True))
    return Source(title, place, first, html)
