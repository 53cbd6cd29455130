"""Every text compiles for the users' cards, and what comes out is not slow by accident."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cupy_standin.gpp import kernel_names
from tests.kernels.cuda import nvidia
from tests.kernels.cuda.budgets import BUDGETS
from tests.on_card import TEXTS

LOOKED_INTO = (75, 90, 120)
"""Architectures whose code is taken apart: the rest lie between them."""
PACKS = ("_packs", "_16")
"""How the names of kernels end whose threads take 16 bytes at once."""
SPLIT_STORES = {("pad_16", 120)}
"""Kernels whose stores the compiler takes apart, however their source is written. Their loads it leaves whole."""


def _packed(kernels: Iterable[str]) -> list[str]:
    return [kernel for kernel in kernels if kernel.endswith(PACKS)]


class Binary(NamedTuple):
    """What a text was compiled to: its size in bytes, and of each kernel the resources and the instructions."""

    size: int
    resources: dict[str, nvidia.Resources]
    instructions: dict[str, list[str]]


@functools.cache
def binary(name: str, architecture: int) -> Binary:
    """A text compiled for an architecture. AssertionError with what the compiler says against it."""
    compiled = nvidia.compile(TEXTS[name], name, architecture)
    if architecture not in LOOKED_INTO:
        return Binary(len(compiled), {}, {})
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled)
        file.flush()
        packed = _packed(kernel_names(TEXTS[name]))
        path = Path(file.name)
        return Binary(len(compiled), nvidia.resources(path), nvidia.instructions(path) if packed else {})


@pytest.mark.parametrize("architecture", nvidia.ARCHITECTURES)
@pytest.mark.parametrize("name", TEXTS)
def test_compiles_without_a_warning(name: str, architecture: int) -> None:
    assert binary(name, architecture).size > 0


@pytest.mark.parametrize("architecture", LOOKED_INTO)
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_spills_and_budgets_hold(name: str, architecture: int) -> None:
    found = binary(name, architecture).resources
    assert found, "cuobjdump has found no kernel"
    for kernel, used in found.items():
        registers, shared = BUDGETS[kernel][name.endswith("float64")]
        assert (used.stack, used.local) == (0, 0), f"{kernel} keeps {used.stack + used.local} bytes beside registers"
        assert used.registers <= registers, f"{kernel} takes {used.registers} registers, its budget is {registers}"
        assert used.shared <= shared, f"{kernel} takes {used.shared} bytes of shared memory, its budget is {shared}"


@pytest.mark.parametrize("architecture", LOOKED_INTO)
@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if _packed(kernel_names(text))])
def test_packs_move_128_bits_at_a_time(name: str, architecture: int) -> None:
    code = binary(name, architecture).instructions
    assert _packed(code), "cuobjdump has found no kernel of packs"
    for kernel in _packed(code):
        moves = [instruction for instruction in code[kernel] if instruction.startswith(("LDG.", "STG."))]
        assert any(move.startswith("LDG.") and ".128" in move for move in moves), f"{kernel}: {moves}"
        if (kernel, architecture) not in SPLIT_STORES:
            assert any(move.startswith("STG.") and ".128" in move for move in moves), f"{kernel}: {moves}"


def test_every_kernel_has_a_budget() -> None:
    assert {kernel for text in TEXTS.values() for kernel in kernel_names(text)} == BUDGETS.keys()
