"""Ranks that train together do what one process does: same losses, same checkpoints, same tests."""

import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.minigrad.parallel.launched import NEEDS_MPI, ranks
from tests.minigrad.same_run import assert_same_run, lines, weights

pytestmark = NEEDS_MPI
GOOGLENET = (
    "googlenet", "--device", "cpu", "--image-size", "32", "--batch-size", "10", "--train-limit", "96",
    "--test-limit", "9", "--epochs", "1", "--optimizer", "sgd", "--lr", "0.003",
)  # fmt: skip
SMALL = (
    "small", "--device", "cpu", "--image-size", "28", "--batch-size", "30", "--train-limit", "100", "--epochs", "2",
    "--averaging", "0.9", "--flip", "--shift", "2",
)  # fmt: skip
NORMALISED = ("normalised", *SMALL[1:])


def losses(folder: Path) -> list[float]:
    return [record["loss"] for record in map(json.loads, (folder / "steps.jsonl").read_text().splitlines())]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One process's runs."""
    folder = tmp_path_factory.mktemp("alone")
    for name, options in (("googlenet", GOOGLENET), ("small", SMALL), ("normalised", NORMALISED)):
        ranks(0, *options, "--out", folder / name)
    return {name: folder / name for name in ("googlenet", "small", "normalised")}


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_first_ten_losses_are_one_processes(count: int, alone: dict[str, Path], tmp_path: Path) -> None:
    """Dropout and all; 10 images are shared out as 2, 3, 2 and 3, the last 6 as 1, 2, 1 and 2."""
    ranks(count, *GOOGLENET, "--out", tmp_path / "run")
    ours, theirs = losses(tmp_path / "run"), losses(alone["googlenet"])
    assert len(ours) == 10
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    (record,), (expected,) = (lines(folder / "metrics.jsonl") for folder in (tmp_path / "run", alone["googlenet"]))
    assert record["train_accuracy"] == expected["train_accuracy"]
    np.testing.assert_allclose(record["test_loss"], expected["test_loss"], rtol=1e-4)


def test_a_rank_may_have_no_image_of_the_last_batch(tmp_path: Path) -> None:
    """Three ranks and two images."""
    options = ("small", "--device", "cpu", "--image-size", "28", "--batch-size", "3", "--train-limit", "8",
               "--test-limit", "9", "--epochs", "2")  # fmt: skip
    for name, count in (("alone", 0), ("three", 3)):
        ranks(count, *options, "--out", tmp_path / name)
    assert len(losses(tmp_path / "three")) == 6
    np.testing.assert_allclose(losses(tmp_path / "three"), losses(tmp_path / "alone"), rtol=1e-4)


@functools.cache
def exact(count: int, *arguments: str | int) -> Any:
    """What tests.minigrad.parallel.exact prints on so many ranks, 0 for without mpiexec."""
    return json.loads(ranks(count, *arguments, module="tests.minigrad.parallel.exact").stdout)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize(("network", "steps", "size"), [("small", 50, 28), ("googlenet", 10, 16)])
def test_fifty_steps_in_float64_are_one_processes(network: str, steps: int, size: int, count: int) -> None:
    """A batch of three: two ranks have one and two, and of four ranks the first has none. GoogLeNet makes but ten."""
    ours, theirs = (exact(n, network, steps, 3, size)["losses"] for n in (count, 0))
    assert len(ours) == steps
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize(("count", "images"), [(2, 5), (3, 5), (3, 2)])
def test_shared_batch_statistics_are_one_processes(count: int, images: int) -> None:
    """Forward, backward and the running ones; shares of two and three images, of one and two, or of none and one."""
    ours, theirs = (exact(n, "normalised", 20, images, 28) for n in (count, 0))
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-9)
    assert ours["statistics"].keys() == theirs["statistics"].keys() != set()
    for name, numbers in ours["statistics"].items():
        np.testing.assert_allclose(numbers, theirs["statistics"][name], rtol=1e-9)


@pytest.mark.parametrize("options", [SMALL, (*NORMALISED, "--sync-batch-norm"), NORMALISED])
def test_the_same_ranks_give_the_same_bits(options: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("one", "two"):
        ranks(2, *options, "--out", tmp_path / name)
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_ranks_without_shared_statistics_learn_too(alone: dict[str, Path], tmp_path: Path) -> None:
    """Each rank's statistics are of its own images, so the losses are others, but not by much."""
    ranks(2, *NORMALISED, "--out", tmp_path / "run")
    ours, theirs = losses(tmp_path / "run"), losses(alone["normalised"])
    assert np.abs(np.subtract(ours, theirs)).max() > 1e-4
    np.testing.assert_allclose(ours, theirs, rtol=0.3)
    record, expected = (lines(folder / "metrics.jsonl")[-1] for folder in (tmp_path / "run", alone["normalised"]))
    np.testing.assert_allclose(record["averaged_test_loss"], expected["averaged_test_loss"], rtol=0.1)


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 0), (0, 2)])
def test_a_checkpoint_of_some_ranks_resumes_on_others(
    before: int, after: int, alone: dict[str, Path], tmp_path: Path
) -> None:
    """What was done before is kept as it is, and what comes after is what one process would have done."""
    run = tmp_path / "run"
    status = 9 if before else -9  # mpiexec ends with the signal's number, a process by the signal
    ranks(before, *SMALL, "--out", run, "--checkpoint-every", "3", MINIGRAD_TEST_FAULT="kill 0 7", status=status)
    done = lines(run / "steps.jsonl")
    result = ranks(after, "small", "--resume", run, "--device", "cpu")
    assert "going on from epoch 2, after step 6" in result.stdout
    assert lines(run / "steps.jsonl")[: len(done)] == done
    np.testing.assert_allclose(losses(run), losses(alone["small"]), rtol=1e-4)
    ours, theirs = weights(run), weights(alone["small"])
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-2, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("options", [(), ("--tta",)])
def test_evaluation_does_not_depend_on_the_ranks(options: tuple[str, ...], alone: dict[str, Path]) -> None:
    """Of one model and of an ensemble, to the last digit that is shown; 200 images are two batches, so a third rank has
    none."""
    for runs in ((alone["small"],), (alone["small"], alone["small"])):
        said = [ranks(n, "small", "evaluate", *runs, *options, "--device", "cpu").stdout for n in (0, 2, 3)]
        tables = [text[text.index("┏") :] for text in said]
        assert tables[0] == tables[1] == tables[2]
        assert re.search(r"accuracy 0\.\d+ on 200 test images", tables[0])
