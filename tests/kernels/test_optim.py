"""Optimiser steps on every backend: whole trajectories against those of torch.optim."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.layout import Array, oihw
from tests.kernels.oracles import DTYPES, assert_close

STEPS = 6


def parameters(dtype: type) -> tuple[list[Array], list[list[Array]]]:
    """Parameters, one of them an OIHW view of (kh, kw, I, O) memory, and their gradients for every step."""
    rng = np.random.default_rng(0)
    params = [rng.standard_normal((3, 2)).astype(dtype), oihw(rng.standard_normal((2, 1, 3, 2)).astype(dtype))]
    return params, [[rng.standard_normal(p.shape).astype(dtype) for p in params] for _ in range(STEPS)]


def follow(optimiser: object, torch_params: list, grads: list[Array], torch: ModuleType) -> None:
    """One step of torch's optimiser."""
    for p, grad in zip(torch_params, grads, strict=True):
        p.grad = torch.tensor(grad)
    optimiser.step()  # type: ignore[attr-defined]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_follows_torch(
    backend: str, torch: ModuleType, dtype: type, weight_decay: float, momentum: float, nesterov: bool
) -> None:
    params, grads_of_steps = parameters(dtype)
    torch_params = [torch.tensor(p.copy(), requires_grad=True) for p in params]
    optimiser = torch.optim.SGD(torch_params, 0.05, momentum, weight_decay=weight_decay, nesterov=nesterov)
    velocities = [np.zeros_like(p) for p in params] if momentum else []
    k = kernels.serving(*params)
    for grads in grads_of_steps:
        before = [grad.copy() for grad in grads]
        k.sgd_step(params, grads, velocities, 0.05, momentum, weight_decay, nesterov, None)
        follow(optimiser, torch_params, before, torch)
        for p, torch_p, grad, grad_before in zip(params, torch_params, grads, before, strict=True):
            assert_close(p, torch_p.detach().numpy())
            np.testing.assert_array_equal(grad, grad_before)
    for v, torch_p in zip(velocities, torch_params if momentum else [], strict=True):
        assert_close(v, optimiser.state[torch_p]["momentum_buffer"].numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_follows_torch(
    backend: str, torch: ModuleType, dtype: type, weight_decay: float, decoupled: bool
) -> None:
    params, grads_of_steps = parameters(dtype)
    torch_params = [torch.tensor(p.copy(), requires_grad=True) for p in params]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    # eps is large, so that it matters where it is added.
    optimiser = kind(torch_params, 0.05, (0.8, 0.95), 0.01, weight_decay)
    means, squares = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    k = kernels.serving(*params)
    for step, grads in enumerate(grads_of_steps, start=1):
        before = [grad.copy() for grad in grads]
        k.adam_step(params, grads, means, squares, step, 0.05, (0.8, 0.95), 0.01, weight_decay, decoupled, None)
        follow(optimiser, torch_params, before, torch)
        for p, torch_p, grad, grad_before in zip(params, torch_params, grads, before, strict=True):
            assert_close(p, torch_p.detach().numpy())
            np.testing.assert_array_equal(grad, grad_before)
    for mean, square, torch_p in zip(means, squares, torch_params, strict=True):
        assert_close(mean, optimiser.state[torch_p]["exp_avg"].numpy())
        assert_close(square, optimiser.state[torch_p]["exp_avg_sq"].numpy())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("momentum", "weight_decay", "nesterov", "decoupled"), [(0.0, 0.0, False, False), (0.9, 0.1, True, True)]
)
def test_the_reference_agrees_with_the_loops(
    dtype: type, momentum: float, weight_decay: float, nesterov: bool, decoupled: bool
) -> None:
    ends = []
    for name in ("naive", "reference"):
        k = kernels.load(name)
        params, grads_of_steps = parameters(dtype)
        states = [[np.zeros_like(p) for p in params] for _ in range(3)]
        for step, grads in enumerate(grads_of_steps, start=1):
            k.sgd_step(params, grads, states[0] if momentum else [], 0.05, momentum, weight_decay, nesterov, None)
            k.adam_step(
                params, grads, states[1], states[2], step, 0.05, (0.9, 0.99), 1e-8, weight_decay, decoupled, None
            )
        ends.append([*params, *(array for state in states for array in state)])
    for expected, got in zip(*ends, strict=True):
        assert_close(got, expected)


def test_parameters_keep_their_memory(backend: str) -> None:
    """The step is taken in place: who holds a view of the parameter sees it."""
    memory = np.ones((1, 1, 2, 3), np.float32)
    weight = oihw(memory)
    kernels.serving(weight).sgd_step([weight], [np.ones_like(weight)], [], 0.25, 0.0, 0.0, False, None)
    np.testing.assert_array_equal(memory, np.full((1, 1, 2, 3), 0.75))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_many_parameters_of_all_sizes_step_at_once(backend: str, dtype: type, momentum: float) -> None:
    """More of them than one launch on a card takes, some more than one of its blocks takes, and gradients in another
    order in memory."""
    rng = np.random.default_rng(0)
    shapes = [(1, 2, 1, 1), (2, 3, 3, 1), (5, 0, 1, 1)] * 85 + [(10, 31, 5, 6), (1, 4096, 1, 1)]
    drawn = [[rng.uniform(0.1, 1, shape).astype(dtype) for shape in shapes] for _ in range(4)]
    grads = [np.ascontiguousarray(oihw(rng.standard_normal(shape).astype(dtype))) for shape in shapes]
    ends = []
    for k in (kernels.load("reference"), kernels.serving(*grads)):
        params, velocities, means, squares = ([oihw(array.copy()) for array in arrays] for arrays in drawn)
        k.sgd_step(params, grads, velocities if momentum else [], 0.1, momentum, 0.1, True, None)
        k.adam_step(params, grads, means, squares, 2, 0.1, (0.9, 0.99), 1e-8, 0.1, True, None)
        ends.append([*params, *velocities, *means, *squares])
    for expected, got in zip(*ends, strict=True):
        assert_close(got, expected)


@pytest.mark.parametrize("which", ["params", "velocities"])
def test_on_a_card_parameters_and_state_lie_in_memory_without_gaps(backend: str, which: str) -> None:
    if not backend.startswith("cuda"):
        pytest.skip("no matter")
    lists = {name: [np.ones((2, 3)), np.ones((2, 3))] for name in ("params", "grads", "velocities")}
    lists[which][1] = np.ones((2, 5))[:, 1:4]
    k = kernels.serving(*lists["params"])
    with pytest.raises(ValueError, match=f"{which}: number 1: .*strides"):
        k.sgd_step(*lists.values(), 0.1, 0.9, 0.0, False, None)
    lists["grads"], lists[which] = lists[which], lists["grads"]
    k.sgd_step(*lists.values(), 0.1, 0.9, 0.0, False, None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_once_halted_nothing_changes(backend: str, dtype: type, momentum: float) -> None:
    params, (grads, *_) = parameters(dtype)
    states = [[np.ones_like(p) for p in params] for _ in range(3)]
    arrays = [*params, *(array for state in states for array in state)]
    k = kernels.serving(*params)
    for halted, moves in ((np.array([7]), False), (np.array([1 << 32]), False), (np.array([0]), True)):
        before = [array.copy() for array in arrays]
        said = halted.copy()
        k.sgd_step(params, grads, states[0] if momentum else [], 0.05, momentum, 0.1, False, halted)
        moved = [not np.array_equal(array, old) for array, old in zip(arrays, before, strict=True)]
        assert moved == [moves] * 2 + [moves and momentum > 0] * 2 + [False] * 4
        before = [array.copy() for array in arrays]
        k.adam_step(params, grads, states[1], states[2], 1, 0.05, (0.9, 0.99), 1e-8, 0.1, True, halted)
        moved = [not np.array_equal(array, old) for array, old in zip(arrays, before, strict=True)]
        assert moved == [moves] * 2 + [False] * 2 + [moves] * 4
        np.testing.assert_array_equal(halted, said)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 70), st.integers(1, 200)), min_size=1, max_size=4),
    seed=st.integers(0, 999), weight_decay=st.sampled_from([0.0, 0.1]), momentum=st.sampled_from([0.0, 0.9]),
    nesterov=st.booleans(), axes=st.permutations(range(3)), gapped=st.booleans(), other_order=st.booleans(),
)
def test_the_cpu_agrees_with_the_reference(
    shapes: list[tuple[int, int, int]], seed: int, weight_decay: float, momentum: float, nesterov: bool,
    axes: list[int], gapped: bool, other_order: bool,
) -> None:
    """Parameters in any order in memory, with gaps or without, and gradients that lie in memory in another order."""
    rng = np.random.default_rng(seed)
    ends = []
    # (a, b, c) -> gaps of one element, or none -> axes in any order
    drawn = [[rng.uniform(0.1, 1, (*shape, 2)).astype(np.float32) for shape in shapes] for _ in range(5)]
    for name in ("cpu", "reference"):
        params, grads, velocities, means, squares = (
            [(array.copy() if gapped else array[..., :1].copy())[..., 0].transpose(axes) for array in arrays]
            for arrays in drawn
        )
        if other_order:
            grads = [np.ascontiguousarray(grad) for grad in grads]
        before = [grad.copy() for grad in grads]
        k = kernels.load(name)
        k.sgd_step(params, grads, velocities if momentum else [], 0.1, momentum, weight_decay, nesterov, None)
        k.adam_step(params, grads, means, squares, 2, 0.1, (0.9, 0.99), 1e-8, weight_decay, nesterov, None)
        np.testing.assert_equal(grads, before)
        ends.append([*params, *velocities, *means, *squares])
    for got, expected in zip(*ends, strict=True):
        assert_close(got, expected)


def test_each_parameter_wants_its_gradient(backend: str) -> None:
    p = np.ones(2, np.float32)
    k = kernels.serving(p)
    with pytest.raises(ValueError, match="zip"):
        k.sgd_step([p, p], [p], [], 0.1, 0.0, 0.0, False, None)
    with pytest.raises(ValueError, match="zip"):
        k.adam_step([p, p], [p], [p, p], [p, p], 1, 0.1, (0.9, 0.99), 1e-8, 0.0, False, None)


@pytest.mark.parametrize("kernel", ["sgd_step", "adam_step"])
@pytest.mark.parametrize("name", ["naive", "reference", "cpu"])
def test_memory_that_is_read_only_stays(name: str, kernel: str) -> None:
    memory = bytes(400)
    p, grad, *states = np.frombuffer(memory, np.float32), *np.ones((3, 100), np.float32)
    options: dict[str, tuple[Any, ...]] = {
        "sgd_step": ([states[0]], 0.1, 0.9, 0.0, False, None),
        "adam_step": ([states[0]], [states[1]], 1, 0.1, (0.9, 0.999), 1e-8, 0.0, False, None),
    }
    with pytest.raises(ValueError, match="read-only"):
        getattr(kernels.load(name), kernel)([p], [grad], *options[kernel])
    assert memory == bytes(400)
