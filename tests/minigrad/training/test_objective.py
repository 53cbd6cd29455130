"""The loss that training makes smaller, beside sums by hand, and what the log keeps of it."""

from typing import NamedTuple

import numpy as np
import pytest

from minigrad import Tensor
from minigrad.training.objective import score
from minigrad.training.step_log import StepLog

TARGET = np.array([0, 2, 1, 2])


class Three(NamedTuple):
    main: Tensor
    aux1: Tensor
    aux2: Tensor


def logits(seed: int) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal((4, 3)), requires_grad=True)


def mean_loss(of: Tensor, smoothing: float = 0.0) -> float:
    shares = np.exp(of.data) / np.exp(of.data).sum(axis=1, keepdims=True)
    wanted = np.eye(3)[TARGET] * (1 - smoothing) + smoothing / 3
    return float(-(wanted * np.log(shares)).sum(axis=1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_auxiliary_classifiers_count_three_tenths(smoothing: float) -> None:
    outputs = Three(logits(0), logits(1), logits(2))
    total, heads = score(outputs, TARGET, smoothing)
    main, aux1, aux2 = (mean_loss(each, smoothing) for each in outputs)
    assert total.loss.item() == pytest.approx(main + 0.3 * aux1 + 0.3 * aux2, rel=1e-12)
    assert total.logits is outputs.main
    assert {name: head.loss.item() for name, head in heads.items()} == pytest.approx(
        {"main": main, "aux1": aux1, "aux2": aux2}
    )
    total.loss.backward()
    assert np.abs(outputs.aux1.grad).max() < np.abs(outputs.main.grad).max()


def test_one_classifier_has_one_loss() -> None:
    output = logits(0)
    total, heads = score(output, TARGET)
    assert total.loss.item() == pytest.approx(mean_loss(output), rel=1e-12)
    assert heads == {}


def test_the_log_keeps_all_of_them() -> None:
    log = StepLog(np.zeros(0), capacity=2)
    expected = []
    for step in (1, 2):
        outputs = Three(*(logits(10 * step + n) for n in range(3)))
        log.note(step, 0.5, len(TARGET), TARGET, *score(outputs, TARGET))
        expected.append({name: mean_loss(each) for name, each in outputs._asdict().items()})
    assert log.full
    records = log.read()
    assert [record.head_losses for record in records] == [pytest.approx(losses) for losses in expected]
    assert [record.loss for record in records] == pytest.approx(
        [losses["main"] + 0.3 * (losses["aux1"] + losses["aux2"]) for losses in expected]
    )
    assert len(log) == 0
    assert log.halted[0] == 0


def test_a_head_that_is_not_finite_stops_the_updates() -> None:
    outputs = Three(logits(0), logits(1), logits(2))
    outputs.aux2.data[1, 1] = np.nan
    log = StepLog(np.zeros(0), capacity=1)
    log.note(7, 0.5, len(TARGET), TARGET, *score(outputs, TARGET))
    assert log.halted[0] == 7
