"""Errors that no test raises are found: tests/conftest.py asks for them after all tests."""

import pytest

from tests import raised

EXCUSED = {
    place for place, statement in raised.errors().items()
    if any(place[0] == file and part in statement for file, part in raised.OTHERWISE)
}  # fmt: skip


def test_an_error_that_no_test_raises_is_named() -> None:
    errors = raised.errors()
    assert len(errors) > 200
    assert len(EXCUSED) >= len(raised.OTHERWISE)
    all_others = errors.keys() - EXCUSED
    assert raised.complaints(all_others) == []
    place = min(all_others)
    assert raised.complaints(all_others - {place}) == [
        f"{place[0]}:{place[1]}: raised by no test: {errors[place]}"
    ]  # fmt: skip


def test_an_exception_that_is_none_is_named() -> None:
    complaints = raised.complaints(raised.errors().keys())
    assert len(complaints) == len(raised.OTHERWISE)
    assert all(": raised by a test, or gone: " in complaint for complaint in complaints)


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
