"""1x1 convolutions of one input, backward together: every backend against PyTorch."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

import kernels
from kernels.layout import Array
from tests.kernels.oracles import DTYPES, assert_close, channels_last, image, layouts, leaf, normal, seeds, thorough

branches = st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=3)
"""Filters of each convolution, and whether it has a ReLU."""


def agrees_with_torch(
    torch: ModuleType, shape: tuple[int, ...], branches: Sequence[tuple[int, bool]], dtype: type, layout: str,
    seed: int, adding: bool,
) -> None:
    """The gradients of an input (N, H, W, C), which several convolutions see, and of their weights and biases."""
    rng = np.random.default_rng(seed)
    x = normal(rng, shape, dtype, layout)
    weights = [normal(rng, (1, 1, shape[-1], filters), dtype) for filters, _ in branches]
    grads = [normal(rng, (*shape[:-1], filters), dtype, layout) for filters, _ in branches]

    torch_x, torch_weights = image(torch, x), [leaf(torch, weight.transpose(3, 2, 0, 1)) for weight in weights]
    biases = [leaf(torch, rng.standard_normal(filters).astype(dtype)) for filters, _ in branches]
    outputs: list[Array | None] = []
    total = torch.zeros((), dtype=torch_x.dtype)
    for weight, bias, (_, relu), grad in zip(torch_weights, biases, branches, grads, strict=True):
        y = torch.nn.functional.conv2d(torch_x, weight, bias)
        y = torch.relu(y) if relu else y
        outputs.append(channels_last(y) if relu else None)
        total = total + (y * torch.tensor(grad.copy()).permute(0, 3, 1, 2)).sum()
    expected = torch.autograd.grad(total, [torch_x, *torch_weights, *biases])

    k = kernels.serving(x)
    before = normal(rng, shape, dtype)
    into = before.copy() if adding else None
    x_grad, pairs = k.pointwise_backward(grads, outputs, weights, x, into)
    assert into is None or x_grad is into
    assert_close(x_grad, channels_last(expected[0]) + (before if adding else 0))
    assert len(pairs) == len(branches)
    for number, (weight_grad, bias_grad) in enumerate(pairs, start=1):
        assert_close(weight_grad, expected[number].numpy().transpose(2, 3, 1, 0))  # (O, I, 1, 1) -> (1, 1, I, O)
        assert_close(bias_grad, expected[number + len(branches)].numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(
    shape=st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)), branches=branches,
    layout=layouts, seed=seeds, adding=st.booleans(),
)
@example((2, 3, 2, 3), [(1, True), (4, False), (2, True)], "contiguous", 0, True)
@example((0, 3, 2, 3), [(1, True), (4, False)], "contiguous", 0, True)
def test_gradients_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, shape: tuple[int, ...], branches: list[tuple[int, bool]], layout: str,
    seed: int, adding: bool,
) -> None:
    agrees_with_torch(torch, shape, branches, dtype, layout, seed, adding)


@thorough
@given(
    images=st.integers(1, 12), size=st.integers(5, 13), channels=st.integers(1, 300), seed=seeds, adding=st.booleans(),
    branches=st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=4),
)
@example(40, 6, 512, 0, True, [(112, True), (144, True), (32, True)])  # several sections, blocks and panels
@example(1, 3, 832, 0, False, [(384, True), (48, True)])  # hardly any rows: the columns are shared out
def test_the_cpus_blocks_agree_with_torch(
    torch: ModuleType, images: int, size: int, channels: int, seed: int, adding: bool, branches: list[tuple[int, bool]],
) -> None:
    with kernels.backend("cpu"):
        agrees_with_torch(
            torch, (images, size, size, channels), branches, np.float32, "contiguous", seed, adding
        )
