"""How the kernels of this folder are compiled: Numba's decorators with the project's settings.

`compiled` is for what runs inside a kernel. `parallel` is for a kernel's outermost loop, `prange(workers)`: each worker
takes one part of the work after the other with `next_part` until none is left. What a part is follows from the shapes
alone, never from the number of workers, and each part is written by whoever takes it: so results are the same bits for
any number of threads, and a worker that is held up is helped by the others. A few short loops over equal parts, such as
packing a weight, are a plain `prange` instead, which deals them out beforehand.

Floating-point rules stay those of IEEE 754, except that a * b + c may be rounded once instead of twice ("contract").
Machine code is kept on disk in a folder named after the contents of kernels/cpu, because Numba itself does not notice
when a function that a kernel calls has changed, and after Numba's version, lest two versions overwrite each other's.
"""

import contextlib
import functools
import getpass
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import platformdirs
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

from kernels import threads

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
UNUSED_DAYS = 30


def _cache_folder() -> Path:
    """A folder for this version of the kernels' machine code, the user's or else a temporary one; old ones go.

    Never one that others can write to: Numba unpickles what it finds there, and would run their code.
    """
    version = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        version.update(source.read_bytes())
    name = f"cpu-{version.hexdigest()[:16]}"
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    temporary = Path(tempfile.gettempdir()) / f"minigrad-{user}"
    for parent in (platformdirs.user_cache_path("minigrad") / "compiled", temporary):
        try:
            (parent / name).mkdir(parents=True, exist_ok=True)
            os.utime(parent / name)
        except OSError:
            continue
        if os.access(parent / name, os.W_OK) and _is_ours(parent) and _is_ours(parent / name):
            for other in parent.glob("cpu-*"):
                with contextlib.suppress(OSError):  # gone already, or a link to nowhere
                    if other.stat().st_mtime < time.time() - UNUSED_DAYS * 86400:
                        shutil.rmtree(other, ignore_errors=True)
            return parent / name
    return Path(tempfile.mkdtemp(prefix="minigrad-"))


def _is_ours(folder: Path) -> bool:
    """Whether a folder, and no link to one, is this user's, and not everybody may write to it; from now on, no group
    may either."""
    status = folder.lstat()
    owned = not hasattr(os, "getuid") or status.st_uid == os.getuid()
    if not owned or not stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IWOTH:
        return False
    if status.st_mode & stat.S_IWGRP:
        folder.chmod(stat.S_IMODE(status.st_mode) & ~stat.S_IWGRP)
    return True


CACHE_FOLDER = _cache_folder()
_one_at_a_time = threading.Lock()


class _Cache(FunctionCache):
    """Numba's disk cache, without which all works, only later: a disk that is full, or a file that a power cut left
    empty, is no error."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever unpickling half a file comes to
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)


def _jit(function: Callable[..., Any], **options: Any) -> Any:
    """Numba's compiler with its disk cache in our folder; the setting is Numba's own, so it is put back."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(CACHE_FOLDER)
    try:
        dispatcher = numba.njit(**OPTIONS, **options)(function)
        dispatcher._cache = _Cache(function)
        return dispatcher
    finally:
        numba.config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call."""
    return _jit(function)


def parallel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel that spreads over threads. Its first parameter is how many; callers leave it out.

    One kernel runs at a time, in whatever thread of the program it is called: two would compete for the same cores,
    and Numba's simplest threading layer ends the process when it is entered twice.
    """
    machine_code = _jit(function, parallel={"comprehension": False, "reduction": False, "inplace_binop": False,
                                            "setitem": False, "numpy": False, "stencil": False, "fusion": False,
                                            "prange": True})

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        with _one_at_a_time:
            own, count = numba.get_num_threads(), workers()
            if count == own:
                return machine_code(count, *arguments)
            numba.set_num_threads(count)
            try:
                return machine_code(count, *arguments)
            finally:
                numba.set_num_threads(own)

    return call


def workers() -> int:
    """How many threads the next parallel kernel will use: Numba's number, which each thread of the program has for
    itself, and no more than `kernels.threads.limit` allows to all of them."""
    own: int = numba.get_num_threads()
    return own if threads.chosen is None else min(own, threads.chosen)


@intrinsic
def next_part(typing_context: Any, counter: Any) -> Any:
    """counter[0], which goes up by one in the same instant: no two workers get the same number. int64 array (1,)."""
    signature = types.int64(counter)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0])
        return builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return signature, generate


class _Announcer(event.Listener):
    """Says on standard error that kernels are being compiled, once a process: the first use on a machine waits."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, started: Any) -> None:
        function = started.data["dispatcher"].py_func
        if not self.said and function.__module__.startswith("kernels.cpu"):
            self.said = True
            print(
                f"minigrad: compiling kernels for this CPU, the first use only (about half a minute); "
                f"kept in {CACHE_FOLDER}", file=sys.stderr, flush=True,
            )

    def on_end(self, ended: Any) -> None:
        pass


event.register("numba:compile", _Announcer())
