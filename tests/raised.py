"""Which of the project's errors the tests have raised: a run of all tests fails if it has left one out.

Importing this, before the packages that it watches, puts a note before each of their `raise` statements, as pytest
itself rewrites assertions; lines keep their numbers. A run of some tests is not watched, for it need not raise all
errors, and tests that start pytest again would wait for modules to be compiled anew.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
WATCHED = ("minigrad", "kernels", "googlenet")
ALL_TESTS = not [argument for argument in sys.argv[1:] if not argument.startswith("-")]
NOTE = "__tests_note_raised__"

reached: set[tuple[str, int]] = set()
"""File, relative to the project, and line."""


asked_for = False
"""Whether tests/test_raised.py is among the tests."""
OTHERWISE: dict[tuple[str, str], str] = {
    ("minigrad/__init__.py", "which is not minigrad"): "tests/minigrad/test_import.py raises it in another program",
    ("minigrad/training/run_files.py", "NotSaved"): "so does tests/minigrad/training/test_run_files.py",
    ("kernels/cuda/columns.py", "twins: given"): "so does tests/kernels/cuda/test_numba_twins.py",
    ("kernels/cuda/columns_numba.py", "cannot compile"): "and this one",
    ("minigrad/commands/train.py", "--kernels"): "and this one",
}
"""By file and a part of the statement: why no test of this program reaches it."""


def complaints(reached: Set[tuple[str, int]]) -> list[str]:
    """What is wrong with the tests that have raised these: errors that none has, and exceptions that are none."""
    found = []
    excused = set()
    for (file, line), statement in sorted(errors().items()):
        if (file, line) not in reached:
            reasons = {(name, part) for name, part in OTHERWISE if name == file and part in statement}
            excused |= reasons
            if not reasons:
                found.append(f"{file}:{line}: raised by no test: {statement}")
    return found + [f"{file}: raised by a test, or gone: {part}" for file, part in sorted(OTHERWISE.keys() - excused)]


def errors() -> dict[tuple[str, int], str]:
    """Every error that the project raises, and how, out of its source. Not what only hands on another error, and not
    what an abstract method says."""
    found = {}
    files = (file for name in WATCHED for file in [ROOT / f"{name}.py", *(ROOT / name).rglob("*.py")] if file.exists())
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found[str(file.relative_to(ROOT)), node.lineno] = ast.unparse(node.exc)
    return found


class _WithNotes(ast.NodeTransformer):
    def __init__(self, file: str) -> None:
        self._file = file

    def visit_Raise(self, node: ast.Raise) -> list[ast.stmt]:
        note = ast.parse(f"__import__({__name__!r}, fromlist=['reached']).reached.add(({self._file!r}, {node.lineno}))")
        return [ast.fix_missing_locations(ast.copy_location(each, node)) for each in note.body] + [node]


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compiled each time: bytecode on disk would be taken for that of the unchanged source."""
        tree = ast.parse(self.get_data(self.path))
        noted = _WithNotes(str(Path(self.path).relative_to(ROOT))).visit(tree)
        return compile(ast.fix_missing_locations(noted), self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] not in WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec and spec.origin and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(fullname, spec.origin)
        return spec


if ALL_TESTS:
    sys.meta_path.insert(0, _Finder())
