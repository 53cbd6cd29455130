"""Compiling: where machine code is kept, what is said about it, and what is left as it was."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import kernels
from kernels.cpu import jit

ROOT = Path(kernels.__file__).parents[1]
USE = """
import numpy as np, kernels
print(kernels.load("cpu").relu(np.array([-1, 2], np.float32)))
"""


def run(code: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh interpreter whose user has this cache folder."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "HOME": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


needs_xdg = pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is chosen by XDG_CACHE_HOME on Linux")


@needs_xdg
def test_the_first_use_says_that_it_compiles_and_the_second_has_nothing_to_say(tmp_path: Path) -> None:
    first, second = run(USE, tmp_path), run(USE, tmp_path)
    assert first.stdout == second.stdout == "[0. 2.]\n"
    assert first.stderr.startswith("minigrad: compiling kernels for this CPU")
    assert str(tmp_path) in first.stderr
    assert len(first.stderr.splitlines()) == 1
    assert second.stderr == ""


@needs_xdg
def test_old_versions_machine_code_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "minigrad" / "compiled"
    old, recent, foreign = (folder / name for name in ("cpu-old", "cpu-recent", "notes"))
    for made in (old, recent, foreign):
        made.mkdir(parents=True)
        (made / "x").touch()
    long_ago = (folder.stat().st_mtime - (jit.UNUSED_DAYS + 1) * 86400,) * 2
    os.utime(old, long_ago)
    os.utime(foreign, long_ago)
    assert run("import kernels.cpu.jit", tmp_path).returncode == 0
    assert (old.exists(), recent.exists(), foreign.exists()) == (False, True, True)


@needs_xdg
def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    in_the_way = tmp_path / "minigrad"
    in_the_way.write_text("a file where the folder would be")
    result = run(USE, tmp_path)
    assert result.stdout == "[0. 2.]\n"
    assert str(in_the_way) not in result.stderr


@needs_xdg
@pytest.mark.parametrize("whose", ["everybody's", "a link", "another user's"])
def test_machine_code_is_not_taken_from_folders_of_others(tmp_path: Path, whose: str) -> None:
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    folders = cache / "minigrad" / "compiled", temporary / f"minigrad-{os.getuid()}"
    for folder in folders:
        folder.parent.mkdir(parents=True)
        if whose == "a link":
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            folder.symlink_to(tmp_path / "elsewhere")
            continue
        folder.mkdir()
        if whose == "everybody's":
            folder.chmod(0o777)
        elif os.getuid() == 0:
            os.chown(folder, 12345, -1)
        else:
            pytest.skip("only root can give a folder away")
    moved = f"import tempfile; tempfile.tempdir = {str(temporary)!r}"
    code = f"{moved}; from kernels.cpu import jit; print(jit.CACHE_FOLDER)"
    chosen = Path(run(code, cache).stdout.strip())
    assert chosen.parent == temporary
    assert chosen.name.startswith("minigrad-")
    assert chosen not in folders
    assert chosen.stat().st_mode & 0o777 == 0o700


@needs_xdg
def test_machine_code_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    """As a power cut leaves it, and worse."""
    run(USE, tmp_path)
    files = sorted(tmp_path.rglob("*.nb?"))
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for number, file in enumerate(files):
        content = file.read_bytes()
        file.write_bytes([b"", content[: len(content) // 2], b"no pickle"][number % 3])
    again, third = run(USE, tmp_path), run(USE, tmp_path)
    assert again.stdout == third.stdout == "[0. 2.]\n", again.stderr
    assert "compiling" in again.stderr
    assert third.stderr == ""


@needs_xdg
def test_a_disk_without_room_for_machine_code_is_done_without(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))\n"
    result = run(limit + USE, tmp_path)
    assert result.stdout == "[0. 2.]\n", result.stderr


def test_numbas_own_cache_setting_is_left_alone() -> None:
    assert str(numba.config.CACHE_DIR) != str(jit.CACHE_FOLDER)


def test_no_two_workers_get_the_same_part() -> None:
    """Two threads note every part that they take; a part taken twice would be noted twice."""
    taken = np.zeros(100_000, np.int64)
    jit.parallel(_note_parts)(taken)
    np.testing.assert_array_equal(taken, 1)


def _note_parts(workers: int, taken: np.ndarray) -> None:
    counter = np.zeros(1, np.int64)
    for _ in numba.prange(workers):
        part = jit.next_part(counter)
        while part < taken.size:
            taken[part] += 1
            part = jit.next_part(counter)
