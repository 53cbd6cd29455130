"""Files that are there whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from minigrad.files import write_atomically


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "file", tmp_path / "link"
    file.write_bytes(b"old")
    link.symlink_to(file)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert [path.name for path in file.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("none/file", FileNotFoundError, "No such file or directory: '{}'"),
        ("", FileExistsError, "There is something else than a file: '{}'"),
        ("/dev/null", FileExistsError, "There is something else than a file: '/dev/null'"),
    ],
)
def test_what_cannot_be_replaced_is_named(tmp_path: Path, place: str, kind: type[OSError], message: str) -> None:
    """By its own name, and not by that of the temporary file."""
    path = tmp_path / place
    with pytest.raises(kind) as error:
        write_atomically(path, b"new")
    assert str(error.value).partition("] ")[2] == message.format(path)


@pytest.mark.parametrize("links", [True, False])
def test_a_failed_replacement_leaves_the_old_file(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step fails, after the old file has got its second name, or where there are no second names its new."""
    path, previous, replace = tmp_path / "file", tmp_path / "previous", os.replace
    path.write_bytes(b"old")

    def refuse(*arguments: Any) -> None:
        raise OSError(1, "Operation not permitted")

    def replaced(source: Path, target: Path) -> None:
        if source.name.startswith(".file-"):
            refuse()
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="not permitted"):
        write_atomically(path, b"new", previous)
    assert path.read_bytes() == b"old"
    assert {each.name for each in tmp_path.iterdir()} <= {"file", "previous"}
