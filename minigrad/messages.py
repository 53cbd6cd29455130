"""What stands in a file, as an error message may show it: on one line, cut short, without a terminal's commands."""

import reprlib

LONGEST = 300
"""Characters that one value may take."""

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 3, 12, 6
_short.maxstring = _short.maxother = _short.maxlong = 60


def shown(value: object) -> str:
    """`repr`, with what is long left out in its middle."""
    return _cut(_short.repr(value))


def plain(text: object) -> str:
    """The words of another library's error, which may repeat what stands in the file."""
    return _cut("".join(each if each.isprintable() else " " for each in str(text)))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
