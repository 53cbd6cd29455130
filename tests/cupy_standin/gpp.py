"""Kernel texts compiled by g++, with cuda_on_cpu.h before them, and run on the CPU."""

import contextlib
import ctypes
import functools
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs

HEADER = Path(__file__).with_name("cuda_on_cpu.h")
FLAGS = (
    "-std=c++17", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-Wall", "-Wno-unused", "-Wno-sign-compare",
    "-Werror",
)  # fmt: skip
SANITIZERS = {
    "": (),
    "address,undefined": ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-O1", "-g1", "-fsanitize=thread", "-DCUDA_ON_CPU_THREADS"),
}
SANITIZER = "MINIGRAD_SANITIZER"
"""The environment variable that names one of them. The interpreter must have been started with its library loaded."""

ORDERS = ("forward", "reverse", "shuffled")
order = "forward"
"""In which order the threads of a block run, and the blocks: `in_order` sets it."""


class LaunchError(RuntimeError):
    """A launch that CUDA would refuse, or would run with undefined results."""


@contextlib.contextmanager
def in_order(name: str) -> Iterator[None]:
    """Run threads and blocks in this one of ORDERS."""
    global order
    before, order = order, name
    try:
        yield
    finally:
        order = before


def kernel_names(text: str) -> list[str]:
    """The names of the kernels of a text."""
    return re.findall(r'extern "C" __global__ void (\w+)\(', text)


@functools.cache
def library(text: str) -> ctypes.CDLL:
    """The compiled text. It is kept in the cache folder under a name that depends on all that it is made from."""
    flags = (*FLAGS, *SANITIZERS[os.environ.get(SANITIZER, "")])
    whole = "\n".join([HEADER.read_text(), "#line 1", text, *(f"LAUNCHABLE({name})" for name in kernel_names(text))])
    digest = hashlib.sha256("\0".join([whole, *flags]).encode()).hexdigest()
    folder = platformdirs.user_cache_path("minigrad") / "cuda-on-cpu"
    path = folder / f"{digest[:32]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            command = ["g++", *flags, "-x", "c++", "-", "-o", str(made)]
            built = subprocess.run(command, input=whole, capture_output=True, text=True, check=False)
            if built.returncode:
                raise LaunchError(f"g++ refuses the text:\n{built.stderr}")
            os.replace(made, path)  # at once, so that of two that build nobody loads half a file
    return ctypes.CDLL(str(path))


def prepare(texts: Iterable[str]) -> None:
    """Compile these at once, on several cores, and not one after the other when they are needed. ThreadSanitizer sees
    few of them."""
    if os.environ.get(SANITIZER) == "thread":
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(library, texts))


@functools.cache
def signature(text: str, name: str) -> tuple[str, ...]:
    """The parameters of a kernel: "f4", "i8", ... for numbers, "*f4" for pointers, "S48" for structures."""
    if name not in kernel_names(text):
        raise LaunchError(f"{name}: no such kernel; the text has {', '.join(kernel_names(text))}")
    describe = getattr(library(text), f"{name}_signature")
    describe.restype = ctypes.c_char_p
    return tuple(describe().decode().split())


def run(
    text: str, name: str, grid: Sequence[int], block: Sequence[int], values: Sequence[bytes]
) -> None:
    """Run a kernel to its end. `values` are the arguments' bytes. LaunchError if some threads wait for ever."""
    holders = [ctypes.create_string_buffer(value, len(value)) for value in values]
    pointers = (ctypes.c_void_p * len(holders))(*(ctypes.addressof(holder) for holder in holders))
    start = getattr(library(text), f"{name}_launch")
    start.restype = ctypes.c_char_p
    failure = start(pointers, (ctypes.c_uint * 6)(*grid, *block), ORDERS.index(order)).decode()
    if failure:
        raise LaunchError(f"{name}: {failure}")
