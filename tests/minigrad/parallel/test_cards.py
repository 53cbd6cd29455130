"""Two ranks with a card each: NCCL's control flow, on the stand-in for CuPy, and the results of one process."""

from pathlib import Path

import numpy as np
import pytest

from tests import on_card
from tests.minigrad.parallel.launched import NEEDS_MPI, ranks
from tests.minigrad.parallel.test_same_run import losses
from tests.minigrad.same_run import lines

pytestmark = [NEEDS_MPI, on_card.NEEDS_GPP]
OPTIONS = (
    "--image-size", "28", "--batch-size", "9", "--train-limit", "40", "--test-limit", "30", "--epochs", "1",
    "--averaging", "0.9", "--log-every", "2", "--optimizer", "sgd", "--lr", "0.01",
)  # fmt: skip


@pytest.mark.parametrize(("network", "more"), [("small", ()), ("normalised", ("--sync-batch-norm",))])
def test_two_cards_learn_what_one_process_learns(network: str, more: tuple[str, ...], tmp_path: Path) -> None:
    gpp_ready()
    ranks(0, network, *OPTIONS, "--device", "cpu", "--out", tmp_path / "cpu")
    ranks(2, network, *OPTIONS, *more, "--device", "gpu", "--out", tmp_path / "gpu", MINIGRAD_TEST_CARD="1")
    np.testing.assert_allclose(losses(tmp_path / "gpu"), losses(tmp_path / "cpu"), rtol=1e-4)
    (ours,), (theirs,) = (lines(tmp_path / name / "metrics.jsonl") for name in ("gpu", "cpu"))
    for name in ("test_loss", "averaged_test_loss"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3)


def test_a_loss_that_is_not_finite_stops_both(tmp_path: Path) -> None:
    gpp_ready()
    result = ranks(
        2, "small", *OPTIONS, "--device", "gpu", "--out", tmp_path / "run", status=1, MINIGRAD_TEST_CARD="1",
        MINIGRAD_TEST_FAULT="nan 1 3",
    )
    assert "rank 1: error: step 3 (epoch 1)" in result.stderr
    assert result.stderr.count("error: ") == 1


def test_a_rank_without_a_card_is_an_error() -> None:
    result = ranks(3, "small", *OPTIONS, "--device", "gpu", status=1, MINIGRAD_TEST_CARD="1")
    assert "rank 2: error: --device gpu:2: there are 2 cards, gpu:0 to gpu:1" in result.stderr


def test_sums_go_beside_backward_and_are_waited_for() -> None:
    said = ranks(2, module="tests.minigrad.parallel.streams").stdout
    assert said.replace("\n", "") == "right" * 2


def gpp_ready() -> None:
    """The kernels compiled, once and not by both ranks."""
    from tests.cupy_standin import gpp

    gpp.prepare(on_card.TEXTS.values())
