"""What a file may put into an error message."""

import pytest

from minigrad.messages import LONGEST, plain, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "'a'"), (3, "3"), (["a", "b"], "['a', 'b']"), ("\x1b[2J\n", r"'\x1b[2J\n'"), (None, "None")],
)
def test_short_values_are_shown_as_they_are(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("value", ["x" * 10**6, ["x" * 100] * 10**4, {str(i): [[[[i]]]] for i in range(99)}, 10**999])
def test_long_values_are_cut(value: object) -> None:
    text = shown(value)
    assert len(text) <= LONGEST + len(" ... ")
    assert "..." in text


def test_other_libraries_words_stay_on_one_line_and_have_no_commands() -> None:
    assert plain("tensor `\x1b[2J`\nis\twrong") == "tensor ` [2J` is wrong"
    assert len(plain("x" * 10**6)) == LONGEST + len(" ... ")
