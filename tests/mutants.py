"""Mutants: our code with one mistake in it, out of tests/mistakes.py. A test must notice each.

    python -m tests.mutants [NAME]      all of them, or the one called NAME

Each mutant is made in a copy of its package, so that nothing here is ever changed.
"""

import multiprocessing
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.mistakes import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
COPIED = {"tests", "setup.cfg"}
"""What every copy has. Of the rest it has only what the mutant is in: the others are imported from here, where their
machine code is known already."""
NOT_COPIED = shutil.ignore_patterns("corpus")
"""Hundreds of files, to which no mutant's test goes."""
WORKERS = 2
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hypothesis", "numba", "pytest", "torch"])  # so that it is not done for each mutant
PASSED, FAILED, SKIPPED = 0, 1, 100
"""pytest's exit status, and one of our own: each test was skipped. Others mean that they could not be run at all."""


def run_tests(tests: list[str], mutant: Mutant | None = None) -> int:
    """Run the tests in a copy of themselves and of the mutant's package, if any. Returns a status, as above."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED | ({mutant.file.split("/")[0]} if mutant else set()):
            source, target = ROOT / name, copy / name
            if source.is_dir():
                # The compiled files too, which Python renews where it must.
                shutil.copytree(source, target, ignore=NOT_COPIED)
            else:
                shutil.copy(source, target)
        if mutant is not None:
            mutate(copy / mutant.file, mutant)
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join([folder, str(ROOT)]), "MINIGRAD_BACKEND": "",
        }  # fmt: skip
        if mutant and mutant.file.startswith("kernels/cpu/"):
            environment["XDG_CACHE_HOME"] = str(copy / "cache")  # nobody will want its machine code again
        process = PROCESSES.Process(target=_run_pytest, args=(folder, environment, tests))
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode


class _Outcomes:
    """A plugin for pytest: what has become of the tests."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.skipped:
            self.seen.add(report.outcome)


def _run_pytest(folder: str, environment: dict[str, str], tests: list[str]) -> None:
    """What the new process does, silently: it ends with the status."""
    import pytest

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [folder, *sys.path]
    sys.argv = ["pytest", *tests]
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    outcomes = _Outcomes()
    status = pytest.main(["-x", "--assert=plain", "--tb=no", "-p", "no:cacheprovider", *tests], [outcomes])
    sys.exit(SKIPPED if outcomes.seen == {"skipped"} else status)


def mutate(file: Path, mutant: Mutant) -> None:
    """Put the mistake in. ValueError if the code that it changes is no longer there, or there twice."""
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.file} has {mutant.old!r} {text.count(mutant.old)} times, expected 1")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def run_all(mutants: list[Mutant]) -> dict[str, int]:
    """The status for each mutant, by name."""
    with ThreadPoolExecutor(WORKERS) as pool:
        statuses = pool.map(lambda mutant: run_tests([mutant.test], mutant), mutants)
        return dict(zip([mutant.name for mutant in mutants], statuses, strict=True))


def main(names: list[str]) -> int:
    """Print what became of each mutant. Returns how many survived."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    if not chosen:
        print("no mutant of that name; there are:", *(mutant.name for mutant in MUTANTS), sep="\n  ")
        return 1
    statuses = run_all(chosen)
    for mutant in chosen:
        verdict = {FAILED: "noticed", PASSED: "SURVIVED", SKIPPED: "skipped"}.get(statuses[mutant.name], "NOT RUN")
        print(f"{verdict:<8}  {mutant.name:<46}  {mutant.test}")
    return sum(status not in (FAILED, SKIPPED) for status in statuses.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
