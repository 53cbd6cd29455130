"""However one rank ends, all others end too, soon, with its message, and the last checkpoint is good."""

import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from minigrad.training import checkpoint
from tests.minigrad.parallel.launched import LIMIT, NEEDS_MPI, ROOT, alive, children, command, environment, ranks
from tests.minigrad.same_run import assert_same_run, lines

pytestmark = NEEDS_MPI
OPTIONS = ("--device", "cpu", "--image-size", "28", "--batch-size", "30", "--train-limit", "100", "--epochs", "3")
KILLS = 10
PATIENCE = "8"
"""Seconds that ranks wait for one that fails; a user's wait for longer."""


def failed(fault: str, out: Path, status: int, network: str = "small", *more: str) -> str:
    """What a run of two ranks says in which one fails in step 7, after a checkpoint of step 6."""
    began = time.perf_counter()
    result = ranks(
        2, network, *OPTIONS, *more, "--checkpoint-every", "3", "--out", out, status=status, MINIGRAD_TEST_FAULT=fault,
        MINIGRAD_TEST_PATIENCE=PATIENCE,
    )  # fmt: skip
    assert time.perf_counter() - began < LIMIT
    resumed = ranks(0, network, "--resume", out, "--device", "cpu")
    assert resumed.stdout.startswith("going on from epoch 2, after step 6")
    return result.stdout + result.stderr


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_rank_is_told_and_ends_all(rank: int, tmp_path: Path) -> None:
    said = failed(f"error {rank} 7", tmp_path / "run", status=1)
    assert f"rank {rank}: error: a disk on purpose\n" in said
    assert said.count("error: ") == 1


def test_a_fault_of_the_program_ends_all_too(tmp_path: Path) -> None:
    said = failed("raise 1 7", tmp_path / "run", status=1)
    assert "rank 1:\nTraceback" in said
    assert "RuntimeError: a fault on purpose" in said


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    ("network", "layer", "more"), [("small", "conv1", ()), ("normalised", "conv", ("--sync-batch-norm",))]
)
def test_a_loss_that_is_not_finite_is_told_by_the_rank_that_had_it(
    rank: int, network: str, layer: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    """With shared statistics all ranks' losses are not finite, but the images of one."""
    said = failed(f"nan {rank} 7", tmp_path / "run", 1, network, *more)
    assert f"rank {rank}: error: step 7 (epoch 2)" in said
    assert f"the loss is nan; <Conv2d in {layer}>: forward was given" in said
    assert f"the last good checkpoint is {tmp_path / 'run' / checkpoint.NAME}, of step 6" in said
    assert said.count("error: ") == 1


def test_a_rank_that_is_killed_ends_all(tmp_path: Path) -> None:
    failed("kill 1 7", tmp_path / "run", status=9)


def test_a_rank_that_hangs_is_not_waited_for_long(tmp_path: Path) -> None:
    said = failed("stop 1 7", tmp_path / "run", status=1)
    assert re.search(r"rank 0: error: waited (8|9|1\d) s", said)
    assert "one of 2 ranks did not come" in said


def test_a_rank_that_is_long_at_its_files_is_waited_for(tmp_path: Path) -> None:
    """And so is one that alone has something to test."""
    options = ("--epochs", "1", "--test-limit", "100", "--out", tmp_path / "run")
    ranks(2, "small", *OPTIONS, *options, MINIGRAD_TEST_SLOW_FILES="2")


def test_ranks_that_do_not_make_the_same_steps_are_found_out(tmp_path: Path) -> None:
    said = failed("drift 1 7", tmp_path / "run", status=1)
    assert "ranks 0 and 1 have different weights" in said


def test_ten_kills_of_one_rank_cost_nothing(tmp_path: Path) -> None:
    """Each at any moment, from before the first import to after the last step; then the run goes on."""
    options = ("small", *OPTIONS, "--epochs", "30", "--averaging", "0.9")
    ranks(2, *options, "--out", tmp_path / "whole")
    chance = random.Random(5)
    run, died = tmp_path / "run", 0
    for _ in range(KILLS):
        begun = (run / "config.json").exists()
        arguments = ("small", "--resume", run, "--device", "cpu") if begun else (*options, "--out", run)
        launched = subprocess.Popen(
            command(2, *arguments, "--checkpoint-every", "1"), env=environment(MINIGRAD_TEST_PAUSE="0.05"), cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while len(members := children(launched.pid)) < 2:
            assert launched.poll() is None
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.2))
        os.kill(chance.choice(members), signal.SIGKILL)
        launched.wait(LIMIT)
        died += launched.returncode != 0
        assert not any(alive(process) for process in members)
    assert died == KILLS
    ranks(2, "small", "--resume", run, "--device", "cpu")
    assert_same_run(tmp_path / "whole", run)
    assert len(lines(run / "steps.jsonl")) == 120


def test_ctrl_c_is_granted_by_all_at_the_same_step(tmp_path: Path) -> None:
    launched = subprocess.Popen(
        command(2, "small", *OPTIONS, "--epochs", "500", "--out", tmp_path / "run"), env=environment(), cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert launched.stdout is not None
    said = ""
    while "epoch 2" not in said:
        said += launched.stdout.readline()
        assert launched.poll() is None
    launched.send_signal(signal.SIGINT)
    rest = launched.communicate(timeout=LIMIT)[0]
    assert launched.returncode == 130
    again = rest[rest.index(f"saved in {tmp_path / 'run' / checkpoint.NAME}; go on with: ") :]
    assert re.search(r"go on with: \S*mpiexec -n 2 \S+ \S*program.py --resume", again)
    steps = lines(tmp_path / "run" / "steps.jsonl")
    assert f"stopped after step {len(steps)}," in rest
