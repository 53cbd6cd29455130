"""The kernels' texts under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer: no access beside an array,
no overflow, no pack at a crooked address, and no race between the threads of a block."""

import os
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from kernels.cuda.text import FOLDER
from tests import background, on_card
from tests.cupy_standin import gpp

pytestmark = on_card.NEEDS_GPP
ROOT = Path(__file__).parents[3]
WITH_BARRIERS = (
    "channel_sum", "conv2d_weight_grad", "pointwise_backward", "softmax", "log_softmax_backward", "batch_statistics",
    "batch_norm_backward", "cross_entropy", "cross_entropy_backward", "note_step", "adaptive_avg_pool2d",
)  # fmt: skip
"""Kernels of the table whose threads wait for each other."""


def library(name: str) -> str:
    """The run-time library of a sanitizer, which has to be loaded before Python is."""
    command = ["gcc", f"-print-file-name=lib{name}.so"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(path):
        pytest.skip(f"gcc has no lib{name}.so")
    return path


def run_samples(sanitizer: str, libraries: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests.kernels.cuda.samples in a Python that was started under the sanitizer."""
    environment = {
        **background.environment,
        "LD_PRELOAD": " ".join(libraries),
        "PYTHONMALLOC": "malloc",  # Python's own pools would hide what lies beside an array
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": "halt_on_error=1",
        "OPENBLAS_NUM_THREADS": "1",
        gpp.SANITIZER: sanitizer,
    }
    command = [sys.executable, "-m", "tests.kernels.cuda.samples", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def no_stray_access() -> subprocess.CompletedProcess[str]:
    return run_samples("address,undefined", [library("asan"), library("ubsan")], "--dtypes", "float32")


def no_race() -> subprocess.CompletedProcess[str]:
    options = ("--draws", "2", "--dtypes", "float32", "--")
    return run_samples("thread", [library("tsan")], *options, *WITH_BARRIERS)


started: dict[Any, Future[subprocess.CompletedProcess[str]]] = {}


def in_background(items: list[Any]) -> None:
    """There is much to compile. The texts of both dtypes differ in nothing but `real`: one is enough."""
    checks = {
        test_no_stray_access_and_no_undefined_behaviour: no_stray_access,
        test_no_race_inside_a_block: no_race,
    }
    for item in items:
        if check := checks.get(item.function):
            started[check] = background.pool.submit(check)


def test_no_stray_access_and_no_undefined_behaviour() -> None:
    run = started[no_stray_access].result()
    assert run.returncode == 0, run.stderr[-4000:]


def test_no_race_inside_a_block() -> None:
    run = started[no_race].result()
    assert run.returncode == 0, run.stderr[-4000:]


def test_all_kernels_with_barriers_are_among_them() -> None:
    """Every file in which threads wait for each other is launched by one of the kernels that ThreadSanitizer sees."""
    words = ("__syncthreads", "__shfl", "warp_sum(", "warp_max(", "over_lanes(")
    waiting = {path.stem for path in FOLDER.glob("*.cu") if any(word in path.read_text() for word in words)}
    assert waiting == {"channel_sum", "softmax", "batch_norm", "cross_entropy", "note_step", "adaptive_avg_pool"}
