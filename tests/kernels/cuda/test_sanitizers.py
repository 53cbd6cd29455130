"""The kernels' texts under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer: no access beside an array,
no overflow, no pack at a crooked address, and no race between the threads of a block."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.cuda.text import FOLDER
from tests import on_card
from tests.cupy_standin import gpp

pytestmark = on_card.NEEDS_GPP
ROOT = Path(__file__).parents[3]
WITH_BARRIERS = {
    "channel_sum": ("channel_sum", "conv2d_weight_grad", "pointwise_backward"),
    "softmax": ("softmax", "log_softmax_backward"),
    "batch_norm": ("batch_statistics", "batch_norm_backward"),
    "cross_entropy": ("cross_entropy", "cross_entropy_backward"),
    "note_step": ("note_step",),
    "adaptive_avg_pool": ("adaptive_avg_pool2d",),
}
"""Files in which threads wait for each other, and the kernels of the table that launch what is in them."""
ONE_DTYPE = ("--dtypes", "float32")
"""The texts of both dtypes differ in nothing but `real`, and there is much to compile."""


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
        **os.environ,
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


def test_no_stray_access_and_no_undefined_behaviour() -> None:
    run = run_samples("address,undefined", [library("asan"), library("ubsan")], *ONE_DTYPE)
    assert run.returncode == 0, run.stderr[-4000:]


@pytest.mark.parametrize("file", WITH_BARRIERS)
def test_no_race_inside_a_block(file: str) -> None:
    run = run_samples("thread", [library("tsan")], "--draws", "2", *ONE_DTYPE, "--", *WITH_BARRIERS[file])
    assert run.returncode == 0, run.stderr[-4000:]


def test_all_files_with_barriers_are_among_them() -> None:
    words = ("__syncthreads", "__shfl", "warp_sum(", "warp_max(", "over_lanes(")
    waiting = {path.stem for path in FOLDER.glob("*.cu") if any(word in path.read_text() for word in words)}
    assert waiting == set(WITH_BARRIERS)
