"""Every text compiles for the users' cards, and what comes out is not slow by accident."""

import functools
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

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


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """Gives the file that a text has been compiled to. AssertionError with what the compiler says against it."""
    folder = tmp_path_factory.mktemp("cubins")

    def build(name: str, architecture: int) -> Path:
        path = folder / f"{name}.sm_{architecture}.cubin"
        path.write_bytes(nvidia.compile(TEXTS[name], name, architecture))
        return path

    @functools.cache
    def builds(name: str) -> dict[int, Future[Path]]:  # all architectures at once, on all cores
        with ThreadPoolExecutor() as pool:
            return {architecture: pool.submit(build, name, architecture) for architecture in nvidia.ARCHITECTURES}

    return lambda name, architecture: builds(name)[architecture].result()


@pytest.mark.parametrize("architecture", nvidia.ARCHITECTURES)
@pytest.mark.parametrize("name", TEXTS)
def test_compiles_without_a_warning(
    compiled: Callable[[str, int], Path], name: str, architecture: int
) -> None:
    assert compiled(name, architecture).stat().st_size > 0


@pytest.mark.parametrize("architecture", LOOKED_INTO)
@pytest.mark.parametrize("name", TEXTS)
def test_nothing_spills_and_budgets_hold(
    compiled: Callable[[str, int], Path], name: str, architecture: int
) -> None:
    binary = compiled(name, architecture)
    found = nvidia.resources(binary)
    assert found, "cuobjdump has found no kernel"
    for kernel, used in found.items():
        registers, shared = BUDGETS[kernel][name.endswith("float64")]
        assert (used.stack, used.local) == (0, 0), f"{kernel} keeps {used.stack + used.local} bytes beside registers"
        assert used.registers <= registers, f"{kernel} takes {used.registers} registers, its budget is {registers}"
        assert used.shared <= shared, f"{kernel} takes {used.shared} bytes of shared memory, its budget is {shared}"


@pytest.mark.parametrize("architecture", LOOKED_INTO)
@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if _packed(kernel_names(text))])
def test_packs_move_128_bits_at_a_time(
    compiled: Callable[[str, int], Path], name: str, architecture: int
) -> None:
    binary = compiled(name, architecture)
    code = nvidia.instructions(binary)
    assert _packed(code), "cuobjdump has found no kernel of packs"
    for kernel in _packed(code):
        moves = [instruction for instruction in code[kernel] if instruction.startswith(("LDG.", "STG."))]
        assert any(move.startswith("LDG.") and ".128" in move for move in moves), f"{kernel}: {moves}"
        if (kernel, architecture) not in SPLIT_STORES:
            assert any(move.startswith("STG.") and ".128" in move for move in moves), f"{kernel}: {moves}"


def test_every_kernel_has_a_budget() -> None:
    assert {kernel for text in TEXTS.values() for kernel in kernel_names(text)} == BUDGETS.keys()
