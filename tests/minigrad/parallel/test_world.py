"""What ranks can do together, and how it is found out whether there are some."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigrad import device
from minigrad.commands.arguments import chosen_device, plain_console
from minigrad.parallel import ALONE, ParallelError, World, launch
from minigrad.training import Config, together
from minigrad.training.config import ConfigError
from tests import cupy_standin
from tests.minigrad.parallel.launched import LIMIT, NEEDS_MPI, command, environment, ranks
from tests.small_net import SmallNet

ROOT = Path(__file__).parents[3]


def test_without_mpiexec_mpi4py_is_not_imported() -> None:
    program = "import sys; from googlenet import main; main(['summary']); print('mpi4py' in sys.modules)"
    variables = {name: value for name, value in environment().items() if name not in launch.LAUNCHED}
    result = subprocess.run([sys.executable, "-c", program], env=variables, cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "False", result.stderr


def test_ranks_without_mpi4py_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "minigrad.parallel.mpi", raising=False)
    launch.join.cache_clear()
    try:
        with pytest.raises(ParallelError, match=r"pip install -e '.\[mpi\]'"):
            launch.join()
    finally:
        launch.join.cache_clear()


@NEEDS_MPI
def test_a_rank_that_does_not_start_is_not_waited_for_long() -> None:
    # Patience enough for a busy machine to load MPI: of a rank that ends before that, the launcher takes no notice.
    program = (
        "import os, time; from minigrad.parallel import launch; launch.START_PATIENCE = 10.0; "
        "time.sleep(60 * int(os.environ['PMI_RANK'])); launch.join()"
    )
    began = time.perf_counter()
    mpiexec, *number, python = command(2)[:4]
    result = subprocess.run(
        [mpiexec, *number, python, "-c", program], env=environment(), cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode  # which one is the launcher's affair: it may tell how it has killed the other
    assert "Timeout" in result.stderr
    assert "in join" in result.stderr
    assert time.perf_counter() - began < LIMIT


@pytest.mark.parametrize(("count", "size"), [(10, 4), (3, 5), (0, 2), (128, 3)])
def test_shares_are_all_and_differ_by_one_at_most(count: int, size: int) -> None:
    shares = []
    for rank in range(size):
        world = World()
        world.rank, world.size = rank, size
        shares.append(list(range(count))[world.share(count)])
    assert list(itertools.chain.from_iterable(shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@NEEDS_MPI
class TestMpi:
    """One rank by itself, in the tests' own process; several are started by the other files."""

    def world(self) -> World:
        from minigrad.parallel.mpi import MpiWorld

        return MpiWorld()

    def test_a_wait_has_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from minigrad.parallel import mpi

        monkeypatch.setattr(mpi, "PATIENCE", 0.02)
        monkeypatch.setattr(mpi, "SLOWNESS", 0.0)
        began = time.perf_counter()
        with pytest.raises(ParallelError, match="for the post, and one of 1 ranks did not come"):
            self.world().wait_for(lambda: False, "the post")
        assert time.perf_counter() - began < 4

    def test_a_broken_connection_is_told(self) -> None:
        from mpi4py import MPI

        def broken() -> bool:
            raise MPI.Exception(MPI.ERR_OTHER)

        with pytest.raises(ParallelError, match="one of the ranks is gone, while this one waited for the post"):
            self.world().wait_for(broken, "the post")

    def test_who_was_long_at_work_waits_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from minigrad.parallel import mpi

        monkeypatch.setattr(mpi, "PATIENCE", 0.0)
        answers = iter([False] * 30 + [True])
        world = self.world()
        world._met -= 1000  # type: ignore[attr-defined]  # at work since then
        world.wait_for(lambda: next(answers), "the post")

    def test_a_launcher_of_another_kind_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each of its processes would train alone."""
        self.world()
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
        monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
        launch.join.cache_clear()
        try:
            with pytest.raises(ParallelError, match="2 processes were started together, and this one's MPI knows of 1"):
                launch.join()
        finally:
            launch.join.cache_clear()

    def test_one_rank_has_all(self) -> None:
        world = self.world()
        numbers = np.arange(6.0).reshape(3, 2)
        np.testing.assert_array_equal(world.gather(numbers), numbers)
        np.testing.assert_array_equal(world.sum(numbers.copy()), numbers)
        np.testing.assert_array_equal(world.maximum(numbers.copy()), numbers)
        np.testing.assert_array_equal(world.hand_out(numbers), numbers)
        assert world.broadcast_bytes(b"words") == b"words"
        with world.first():
            pass
        assert world.threads(None) is None
        assert world.threads(1) == 1


def two() -> World:
    world = World()
    world.size = 2
    return world


def test_a_batch_too_small_for_statistics_on_each_rank_is_an_error() -> None:
    config = Config("SmallNet", batch_size=4)
    together.require_enough(two(), config, 8)
    with pytest.raises(ConfigError, match=r"leaves the last batch 2 of 10 images, .* needs 2 for each of 2 ranks"):
        together.require_enough(two(), config, 10)
    shared = Config("SmallNet", batch_size=4, sync_batch_norm=True)
    together.require_enough(two(), shared, 10)
    with pytest.raises(ConfigError, match="leaves the last batch one of 9 images"):
        together.require_enough(ALONE, config, 9)


def test_ranks_with_other_weights_are_an_error() -> None:
    world = two()
    world.gather = lambda rows: np.concatenate([rows, rows + 1])  # type: ignore[method-assign]
    with pytest.raises(ParallelError, match="step 7: ranks 0 and 1 have different weights"):
        together.require_same_weights(world, SmallNet(1, 10, 28), 7)


def test_ranks_cannot_share_a_card() -> None:
    with pytest.raises(device.DeviceError, match="--device gpu:1: 2 ranks cannot share a card"):
        chosen_device("gpu:1", plain_console(), two())
    assert chosen_device("cpu", plain_console(), two()) == "cpu"


def test_cards_without_nccl_cannot_train_together(monkeypatch: pytest.MonkeyPatch) -> None:
    world = two()
    world.maximum = lambda array: array  # type: ignore[method-assign]
    with cupy_standin.installed():
        assert chosen_device("auto", plain_console(), world) == "gpu:0"
        monkeypatch.setattr("cupy.cuda.nccl.available", False)
        with pytest.raises(device.DeviceError, match="--device gpu:0: CuPy finds no NCCL: pip install nvidia-nccl"):
            chosen_device("gpu", plain_console(), world)
        assert chosen_device("auto", plain_console(), world) == "cpu"


@NEEDS_MPI
def test_help_and_mistakes_are_told_once(tmp_path: Path) -> None:
    assert ranks(3, "small", "--help").stdout.count("usage:") == 1
    for options, status in (
        (("--batch-sise", "3"), 2), (("--precision", "tf32"), 2), (("--resume", tmp_path / "none"), 1),
    ):  # fmt: skip
        result = ranks(3, "small", *options, "--device", "cpu", status=status)
        assert result.stderr.count("error: ") == 1
    assert ranks(3, "small", status=1, MINIGRAD_BACKEND="nonsense").stderr.count("error: ") == 1


@NEEDS_MPI
def test_commands_that_are_not_shared_out_run_once() -> None:
    assert ranks(2, "googlenet", "summary").stdout.count("inception3a") == ranks(
        0, "googlenet", "summary"
    ).stdout.count("inception3a")


@NEEDS_MPI
def test_ranks_share_out_the_cores(tmp_path: Path) -> None:
    said = ranks(2, "small", "--device", "cpu", "--train-limit", "8", "--epochs", "1", "--out", tmp_path / "run").stdout
    cores = len(os.sched_getaffinity(0))
    assert f"2 ranks, {max(1, cores // 2)} threads in each" in said
