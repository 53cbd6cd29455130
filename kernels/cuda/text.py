"""The CUDA C++ texts, whole: what is compiled by NVRTC on a user's machine, and by others in the tests."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
REALS = {"float32": "float", "float64": "double"}
OPTIONS = ("--std=c++17",)
"""Of the compiler. Its default joins a product and a sum into one instruction, with one rounding; and CuPy adds
-ftz=true, by which floats below 1.2e-38 are taken for 0."""


def sources() -> Iterator[tuple[str, str]]:
    """Every text that is compiled, by name, such as ("im2col.float32", "typedef float real; ...")."""
    for path in sorted(FOLDER.glob("*.cu")):
        for dtype in REALS:
            yield f"{path.stem}.{dtype}", text(path.stem, dtype)


def text(file: str, dtype: str) -> str:
    """The full text of one .cu file for one dtype."""
    parts = (FOLDER / name for name in ("common.cuh", f"{file}.cu"))
    return f"typedef {REALS[dtype]} real;\n" + "\n".join(part.read_text(encoding="utf-8") for part in parts)
