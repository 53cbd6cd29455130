"""Files, read within bounds, and written so that a reader finds either the old content or the new, never half of it."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path


def require_ordinary(path: Path) -> None:
    """OSError if there is no file, or something else, such as a pipe: who opens that may wait for ever."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, "Is a directory" if stat.S_ISDIR(mode) else "Not an ordinary file", str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """All of a file. OSError if it cannot be read, is no ordinary file, or has more than `most` bytes."""
    require_ordinary(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"More than {most:,} bytes", str(path))
    return content


def require_no_links(folder: Path) -> None:
    """OSError if there is a symbolic link in the folder or below. Who writes through one that a stranger has put there
    writes to a file of the stranger's choice."""
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise OSError(errno.ELOOP, "Is a link, and what is written there would go elsewhere", str(path))


def write_atomically(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Replace the file at `path`, by way of a temporary file beside it. If this fails, the old file stays. OSError.

    A symbolic link stays one, and the file that it leads to is replaced. previous: in the same folder, where the old
    file goes, if it shall be kept.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "There is something else than a file", str(path))
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        file = temporary.open("xb")  # with the rights that the user's files have
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # and not the temporary file's name
    kept = previous if target.exists() else None
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if kept:
            _keep(target, kept)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
            if kept and not target.exists():
                os.replace(kept, target)
        raise
    with contextlib.suppress(OSError):  # where a folder can be flushed, so that the new name survives a power cut
        _flush_folder(target.parent)


def append(path: Path, content: bytes) -> None:
    """Add to the end of a file, all or nothing. OSError if that cannot be done; the file is then as it was."""
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            written = file.write(content)
            if written < len(content):  # a full disk takes a part, and refuses the next
                file.write(content[written:])
        except OSError:
            file.truncate(size)
            raise


def _keep(target: Path, previous: Path) -> None:
    """Make `previous` a second name of the file, in one step, so that the first one is never without a file."""
    second = previous.with_name(f".{previous.name}-{secrets.token_hex(4)}")
    try:
        os.link(target, second)
    except OSError:  # a file system without second names: for a moment there is only `previous`
        os.replace(target, previous)
        return
    try:
        os.replace(second, previous)
    finally:
        second.unlink(missing_ok=True)  # where both were the same file already, nothing was replaced


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
