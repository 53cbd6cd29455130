"""Files, read within bounds, and written so that a reader finds either the old content or the new, never half of it."""

import contextlib
import errno
import os
import stat
import tempfile
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


def write_atomically(path: Path, content: bytes, previous: Path | None = None) -> None:
    """Replace the file at `path`, by way of a temporary file beside it. If this fails, the old file stays. OSError.

    A symbolic link stays one, and the file that it leads to is replaced. previous: where the old file goes, if it shall
    be kept. At every moment one of the two is whole.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "There is something else than a file", str(path))
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # and not the temporary file's name
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that nobody else can read
        if previous and target.exists():
            os.replace(target, previous)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
