"""Files that are there whole or not at all."""

from pathlib import Path

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
