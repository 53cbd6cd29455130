"""Reading a page of the explorer back from its file."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np


def read_page(path: Path) -> dict[str, Any]:
    """The data of a page: what its scripts draw."""
    page = path.read_text("utf-8")
    (text,) = re.findall(r'<script id="step" type="application/json">(.*?)</script>', page, re.DOTALL)
    contents: dict[str, Any] = json.loads(text)
    return contents


def array_at(page: dict[str, Any], place: int) -> np.ndarray:
    """An array of the page, decoded as its format is documented."""
    entry = page["arrays"][place]
    kind = "floats" if "floats" in entry else "bytes"
    data = zlib.decompress(base64.b64decode(entry[kind]))
    values = np.frombuffer(data, "<f4" if kind == "floats" else "i1").astype(float) * entry.get("scale", 1.0)
    return values.reshape(entry["shape"])


def operation(page: dict[str, Any], path: str, name: str) -> dict[str, Any]:
    """The one operation with that name in the module called `path`."""
    (found,) = (each for each in page["operations"] if (each["path"], each["name"]) == (path, name))
    return found  # type: ignore[no-any-return]
