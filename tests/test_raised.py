"""Every error that the project raises is raised by a test. This runs after all other tests."""

import pytest

from tests import raised

OTHERWISE: dict[tuple[str, str], str] = {
    ("minigrad/__init__.py", "which is not minigrad"): "tests/minigrad/test_import.py raises it in another program",
    ("minigrad/training/run_files.py", "NotSaved"): "so does tests/minigrad/training/test_run_files.py",
    ("kernels/cuda/columns.py", "twins: given"): "so does tests/kernels/cuda/test_numba_twins.py",
    ("kernels/cuda/columns_numba.py", "cannot compile"): "and this one",
    ("minigrad/commands/train.py", "--kernels"): "and this one",
}
"""By file and a part of the statement: why no test of this program reaches it."""


@pytest.mark.skipif(not raised.ALL_TESTS, reason="not all tests are run")
def test_every_error_is_raised_by_a_test() -> None:
    errors = raised.errors()
    assert len(errors) > 200
    unreached = [f"{file}:{line}: {errors[file, line]}" for file, line in sorted(errors.keys() - raised.reached)]
    excused = [
        each for each in unreached if any(each.startswith(file) and part in each for file, part in OTHERWISE)
    ]
    assert not set(unreached) - set(excused), "\n".join(sorted(set(unreached) - set(excused)))
    for file, part in OTHERWISE:
        assert any(each.startswith(file) and part in each for each in excused), f"{part} is reached, or gone"


def test_a_note_is_made_where_an_error_is_raised() -> None:
    source = "def f():\n    if True:\n        raise ValueError('x')\n"
    code = compile(raised._WithNotes("made.py").visit(raised.ast.parse(source)), "made.py", "exec")
    names: dict[str, object] = {}
    exec(code, names)
    with pytest.raises(ValueError, match="x") as error:
        names["f"]()
    assert error.traceback[-1].lineno == 2
    assert ("made.py", 3) in raised.reached
    raised.reached.discard(("made.py", 3))
