"""The cpu backend's results are the same bits for any number of threads."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import kernels
from kernels.layout import Array

numba = pytest.importorskip("numba")
WINDOW = (3, 3), (2, 2), ((1, 1), (1, 1))


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


X, GRAD, LOGITS = normal(5, 30, 30, 24), normal(5, 15, 15, 24), normal(900, 40)
MEAN, VARIANCE, ROW_GRAD = normal(24), np.abs(normal(24)), normal(900)
TARGET = np.random.default_rng(0).integers(0, 40, 900)
WINNER = np.random.default_rng(0).integers(0, 9, GRAD.shape, np.uint8)
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 3), np.uint8)
VIEWS = np.array([(row, -3, 20 + row, 28, row % 2, 8, 8, 9, 9 * row) for row in range(5)], np.int32)


def stepped(step: str, *settings: Any) -> Callable[[Any], list[Array]]:
    """Parameters and state after one step of an optimiser."""
    def run(k: Any) -> list[Array]:
        state = [normal(300, 200), normal(7)]
        lists = [[array.copy() + place for array in state] for place in range(5)]
        (k.sgd_step(*lists[:3], *settings) if step == "sgd_step" else k.adam_step(*lists[:4], *settings))
        return [array for arrays in lists for array in arrays]

    return run


def noted(k: Any) -> list[Array]:
    """The record of a step, and whether it halted."""
    record, halted = np.zeros(2, np.float32), np.zeros(1, np.int64)
    k.note_step(LOGITS, TARGET, np.float32(np.nan).reshape(1), 5, record, halted)
    return [record, halted]


CASES: dict[str, Callable[[Any], Any]] = {
    "max_pool2d": lambda k: k.max_pool2d(X, *WINDOW, (1, 1), False),
    "max_pool2d_backward": lambda k: k.max_pool2d_backward(GRAD, WINNER, (30, 30), *WINDOW, (1, 1)),
    "avg_pool2d": lambda k: k.avg_pool2d(X, *WINDOW, False, True, None),
    "avg_pool2d_backward": lambda k: k.avg_pool2d_backward(GRAD, (30, 30), *WINDOW, True, None),
    "adaptive_avg_pool2d": lambda k: k.adaptive_avg_pool2d(X, (7, 4)),
    "adaptive_avg_pool2d_backward": lambda k: k.adaptive_avg_pool2d_backward(GRAD, (30, 30)),
    "relu": lambda k: k.relu(X),
    "relu_backward": lambda k: k.relu_backward(X, X),
    "softmax": lambda k: k.softmax(LOGITS, 1),
    "softmax_backward": lambda k: k.softmax_backward(LOGITS, LOGITS, 1),
    "log_softmax": lambda k: k.log_softmax(LOGITS, 1),
    "log_softmax_backward": lambda k: k.log_softmax_backward(LOGITS, LOGITS, 1),
    "batch_statistics": lambda k: k.batch_statistics(X),
    "batch_norm": lambda k: k.batch_norm(X, MEAN, VARIANCE, MEAN, MEAN, 1e-5, "relu"),
    "batch_norm_backward": lambda k: k.batch_norm_backward(X, X, MEAN, VARIANCE, MEAN, MEAN, 1e-5, "relu", True),
    "local_response_norm": lambda k: k.local_response_norm(X, 5, 0.1, 0.75, 1.0),
    "local_response_norm_backward": lambda k: k.local_response_norm_backward(X, X, 5, 0.1, 0.75, 1.0),
    "dropout": lambda k: k.dropout(X, 0.4, 1, 2),
    "cross_entropy": lambda k: k.cross_entropy(LOGITS, TARGET, None, -100, 0.1),
    "cross_entropy_backward": lambda k: k.cross_entropy_backward(ROW_GRAD, LOGITS, TARGET, None, -100, 0.1),
    "cross_entropy_target_grad": lambda k: k.cross_entropy_target_grad(ROW_GRAD, LOGITS, None, 0.1),
    "note_step": lambda k: noted(k),
    "cat": lambda k: k.cat([X, X], 3),
    "split": lambda k: k.split(X, [7, 17], 3),
    "pad": lambda k: k.pad(X, [(0, 0), (1, 2), (-1, 3), (0, 0)], 0.0),
    "resize_bilinear": lambda k: [k.resize_bilinear(PIXELS, (96, 96), 0.1, 1.0, views) for views in (None, VIEWS)],
    "sgd_step": stepped("sgd_step", 0.1, 0.9, 0.01, True, None),
    "adam_step": stepped("adam_step", 3, 0.1, (0.9, 0.99), 1e-8, 0.01, True, None),
}


@pytest.fixture
def threads_restored() -> Iterator[None]:
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


@pytest.mark.parametrize("kernel", CASES)
def test_one_thread_and_two_give_the_same_bits(kernel: str, threads_restored: None) -> None:
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("a single core")
    results = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        result = CASES[kernel](kernels.load("cpu"))
        results.append(list(result) if isinstance(result, (tuple, list)) else [result])
    for one, two in zip(*results, strict=True):
        assert one.tobytes() == two.tobytes()
