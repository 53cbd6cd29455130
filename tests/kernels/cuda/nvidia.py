"""NVIDIA's own tools, which need no card: the compiler NVRTC, and cuobjdump, which takes compiled kernels apart.

They are in the extra `proof`. Where one is missing, whoever asks for it is skipped.
"""

import functools
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from kernels.cuda.text import OPTIONS

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""Turing, Ampere (A100 and GeForce 30), Ada, Hopper, Blackwell (B200 and GeForce 50)."""


class Resources(NamedTuple):
    """What a thread or a block of a kernel takes. stack and local are bytes beside the registers, which are slow."""

    registers: int
    stack: int
    shared: int
    local: int


def compile(text: str, name: str, architecture: int) -> bytes:
    """The text compiled for one architecture. AssertionError with what the compiler says, be it a warning only."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is in the extra `proof`")

    def checked(results: tuple) -> tuple:  # type: ignore[type-arg]
        assert results[0] == nvrtc.nvrtcResult.NVRTC_SUCCESS, results[0]
        return results[1:]

    (program,) = checked(nvrtc.nvrtcCreateProgram(text.encode(), f"{name}.cu".encode(), 0, [], []))
    options = [*(option.encode() for option in OPTIONS), b"-ftz=true", f"-arch=sm_{architecture}".encode()]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    # Filled in place; one byte longer, since Python shares bytes of length 1 with everybody.
    log = b" " * (checked(nvrtc.nvrtcGetProgramLogSize(program))[0] + 1)
    checked(nvrtc.nvrtcGetProgramLog(program, log))
    said = log[:-1].rstrip(b"\0").decode()
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, said
    assert not said.strip(), said
    binary = b" " * checked(nvrtc.nvrtcGetCUBINSize(program))[0]
    checked(nvrtc.nvrtcGetCUBIN(program, binary))
    checked(nvrtc.nvrtcDestroyProgram(program))
    return binary


@functools.lru_cache(maxsize=1)
def tools() -> Path:
    """The folder of cuobjdump and of nvdisasm, which it calls."""
    nvidia = pytest.importorskip("nvidia", reason="cuobjdump is in the extra `proof`")
    for root in nvidia.__path__:
        for path in sorted(Path(root).glob("*/bin/cuobjdump")):
            if path.with_name("nvdisasm").exists():
                return path.parent
    pytest.skip("cuobjdump and nvdisasm are in the extra `proof`")


def _cuobjdump(option: str, binary: Path) -> str:
    environment = {**os.environ, "PATH": f"{tools()}{os.pathsep}{os.environ['PATH']}"}
    command = [str(tools() / "cuobjdump"), option, str(binary)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def resources(binary: Path) -> dict[str, Resources]:
    """What each kernel of a compiled file takes."""
    found = re.findall(
        r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", _cuobjdump("-res-usage", binary)
    )
    return {name: Resources(*map(int, numbers)) for name, *numbers in found}


def instructions(binary: Path) -> dict[str, list[str]]:
    """The instructions of each kernel of a compiled file, such as "LDG.E.128.CONSTANT"."""
    parts = re.split(r"Function : (\w+)", _cuobjdump("-sass", binary))[1:]
    return {
        name: re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+ )?([A-Z][\w.]*)", body, re.MULTILINE)
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
