"""Optimisers and schedules against torch.optim: the same trajectories, step by step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels.layout import oihw
from minigrad import Tensor, optim
from minigrad.nn import Parameter
from tests.minigrad.against_torch import DTYPES, assert_close, normal, torch_module

Build = Callable[[Any, Any], Any]

OPTIMISERS: dict[str, Build] = {
    "SGD": lambda optim, p: optim.SGD(p, 0.1),
    "SGD, usual rate": lambda optim, p: optim.SGD(p),
    "SGD, decay": lambda optim, p: optim.SGD(p, 0.1, weight_decay=0.3),
    "SGD, momentum": lambda optim, p: optim.SGD(p, 0.1, momentum=0.9),
    "SGD, momentum and decay": lambda optim, p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.3),
    "SGD, Nesterov": lambda optim, p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "SGD, Nesterov and decay": lambda optim, p: optim.SGD(p, 0.1, momentum=0.5, weight_decay=0.3, nesterov=True),
    "Adam": lambda optim, p: optim.Adam(p),
    "Adam, options": lambda optim, p: optim.Adam(p, 0.1, (0.8, 0.9), 1e-3),
    "Adam, decay": lambda optim, p: optim.Adam(p, 0.1, weight_decay=0.3),
    "AdamW": lambda optim, p: optim.AdamW(p, 0.1),
    "AdamW, decay": lambda optim, p: optim.AdamW(p, 0.1, weight_decay=0.3),
}
SHAPES = [(3, 2, 2, 4), (3,), ()]


def parameters(dtype: type) -> list[Parameter]:
    """A convolution's weight in the kernels' memory order, a vector and a number."""
    weight = oihw(np.ascontiguousarray(normal(*SHAPES[0]).transpose(2, 3, 1, 0)))
    return [Parameter(array.astype(dtype, order="K")) for array in (weight, normal(*SHAPES[1]), normal())]


def gradient(shape: tuple[int, ...], step: int, dtype: type) -> np.ndarray:
    return np.asarray(normal(*shape, seed=100 + step), dtype)


def set_gradients(params: list[Parameter], step: int) -> None:
    for p in params:
        p.grad = gradient(p.shape, step, p.dtype.type)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_trajectories_agree(name: str, dtype: type, backend: str) -> None:
    torch = torch_module()
    ours = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(np.array(p.numpy()))) for p in ours]
    optimiser, other = OPTIMISERS[name](optim, ours), OPTIMISERS[name](torch.optim, theirs)
    start = [p.numpy().copy() for p in ours]
    for step in range(10):
        set_gradients(ours, step)
        for p in theirs:
            p.grad = torch.tensor(gradient(tuple(p.shape), step, dtype))
        optimiser.step()
        other.step()
        if step == 5:
            optimiser.lr = other.param_groups[0]["lr"] = 0.05
        for mine, before, expected in zip(ours, start, theirs, strict=True):
            moved = expected.detach().numpy() - before  # what was learned, not where it began
            assert_close(mine.numpy() - before, moved)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_parameter_whose_gradients_begin_late_agrees(name: str, backend: str) -> None:
    torch = torch_module()
    ours = [Parameter(np.ones(2)), Parameter(np.ones(2))]
    theirs = [torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in ours]
    optimiser, other = OPTIMISERS[name](optim, ours), OPTIMISERS[name](torch.optim, theirs)
    for step in range(5):
        for p, q in list(zip(ours, theirs, strict=True))[: 1 + (step >= 2)]:
            p.grad = gradient((2,), step, np.float64)
            q.grad = torch.tensor(p.grad)
        optimiser.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        assert_close(p.numpy(), q.detach().numpy())


def test_adams_first_step_is_the_rate_whatever_the_gradient(backend: str) -> None:
    p = Parameter(np.zeros(3))
    p.grad = np.array([1e-2, -1.0, 1e2])
    optim.Adam([p], 0.1).step()
    np.testing.assert_allclose(p.numpy(), [-0.1, 0.1, -0.1], rtol=1e-5)


def test_memory_and_layout_stay() -> None:
    params = parameters(np.float32)
    memory = [p.numpy() for p in params]
    optimiser = optim.Adam(params)
    set_gradients(params, 0)
    optimiser.step()
    assert all(p.numpy() is array for p, array in zip(params, memory, strict=True))
    assert optimiser.state["mean"][0].strides == memory[0].strides


@pytest.mark.parametrize("name", OPTIMISERS)
def test_parameters_without_gradient_stay(name: str, backend: str) -> None:
    params = parameters(np.float64)
    optimiser = OPTIMISERS[name](optim, params)
    set_gradients(params, 0)
    params[1].grad = None
    before = [p.numpy().copy() for p in params]
    optimiser.step()
    assert [(p.numpy() != old).any() for p, old in zip(params, before, strict=True)] == [True, False, True]
    optimiser.zero_grad()
    assert all(p.grad is None for p in params)
    optimiser.step()
    assert (params[1].numpy() == before[1]).all()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_once_halted_nothing_moves(name: str, backend: str) -> None:
    params = parameters(np.float64)
    optimiser = OPTIMISERS[name](optim, params)
    arrays = [*(p.numpy() for p in params), *(array for slot in optimiser.state.values() for array in slot)]
    set_gradients(params, 0)
    for halted, moves in ((np.array([3]), False), (np.array([0]), True)):
        before = [array.copy() for array in arrays]
        optimiser.step(halted)
        assert all((array != old).any() == moves for array, old in zip(arrays, before, strict=True))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_run_resumed_from_saved_state_is_the_same_run(name: str) -> None:
    whole, first = parameters(np.float32), parameters(np.float32)
    straight, before = OPTIMISERS[name](optim, whole), OPTIMISERS[name](optim, first)
    for step in range(6):
        set_gradients(whole, step)
        straight.step()
    for step in range(3):
        set_gradients(first, step)
        before.step()
    second = [Parameter(p.numpy().copy(order="K")) for p in first]
    after = OPTIMISERS[name](optim, second)
    state = before.state_dict()
    assert all(array.flags.c_contiguous for array in state.values())
    after.load_state_dict(state)
    for array in state.values():
        array[...] = 99  # a copy: nobody minds
    for step in range(3, 6):
        set_gradients(second, step)
        after.step()
    for mine, expected in zip(second, whole, strict=True):
        np.testing.assert_array_equal(mine.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("mean.1"), KeyError, r"missing \['mean.1'\], unexpected none"),
        (lambda s: s.pop("steps"), KeyError, r"missing \['steps'\]"),
        (lambda s: s.update({"velocity.0": np.zeros(1)}), KeyError, r"unexpected \['velocity.0'\]"),
        (lambda s: s.update({"square.1": np.zeros(4, np.float32)}), ValueError, r"square.1: given float32 \(4,\)"),
        (lambda s: s.update({"square.1": np.zeros(3)}), ValueError, "square.1: given float64"),
        (lambda s: s.update(steps=s["steps"] - 9), ValueError, "steps: given .*, expected numbers of at least 0"),
    ],
)
def test_loading_state_that_does_not_fit_changes_nothing(change: Any, error: type[Exception], message: str) -> None:
    params = parameters(np.float32)
    optimiser = optim.Adam(params)
    set_gradients(params, 0)
    optimiser.step()
    before = optimiser.state_dict()
    state = {name: np.asarray(array + 1, array.dtype) for name, array in before.items()}
    change(state)
    with pytest.raises(error, match=message):
        optimiser.load_state_dict(state)
    for name, array in optimiser.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda p: optim.SGD([]), "params: given none"),
        (lambda p: optim.SGD([*p, p[0]]), f"params: number {len(parameters(np.float32))} is number 0 again"),
        (lambda p: optim.SGD(p, -1.0), "lr: given -1.0, expected at least 0"),
        (lambda p: optim.SGD(p, float("nan")), "lr: given nan"),
        (lambda p: optim.SGD(p, momentum=-0.1), "momentum: given -0.1"),
        (lambda p: optim.SGD(p, weight_decay=-0.1), "weight_decay: given -0.1"),
        (lambda p: optim.SGD(p, nesterov=True), "nesterov: given True with momentum 0"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), r"betas: given \(0.9, 1.0\)"),
        (lambda p: optim.Adam(p, betas=(0.9,)), r"betas: given \(0.9,\), expected two"),
        (lambda p: optim.Adam(p, eps=-1.0), "eps: given -1.0"),
        (lambda p: optim.AdamW(p, weight_decay=-1.0), "weight_decay: given -1.0"),
        (lambda p: optim.StepLR(optim.SGD(p), 0), "step_size: given 0"),
        (lambda p: optim.CosineLR(optim.SGD(p), 0), "total_steps: given 0"),
        (lambda p: optim.OneCycleLR(optim.SGD(p), 1.0, 0), "total_steps: given 0"),
        (lambda p: optim.OneCycleLR(optim.SGD(p), 1.0, 5, pct_start=1.5), "pct_start: given 1.5"),
        (lambda p: optim.WarmUp(optim.Schedule(optim.SGD(p)), 0), "warm_steps: given 0"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(parameters(np.float32))


# --- schedules


def rates(schedule: optim.Schedule, steps: int) -> list[float]:
    """The rates of the first updates, as a training loop meets them."""
    met = []
    for _ in range(steps):
        met.append(schedule.optimizer.lr)
        schedule.step()
    return met


def sgd(lr: float = 0.4) -> optim.SGD:
    return optim.SGD([Parameter(np.zeros(1))], lr)


SCHEDULES: dict[str, tuple[Callable[[optim.Optimizer], optim.Schedule], Callable[[Any, Any], Any], int]] = {
    "StepLR": (lambda o: optim.StepLR(o, 3, 0.5), lambda s, o: s.StepLR(o, 3, 0.5), 12),
    "CosineLR": (lambda o: optim.CosineLR(o, 9, 0.01), lambda s, o: s.CosineAnnealingLR(o, 9, 0.01), 10),
    "OneCycleLR": (lambda o: optim.OneCycleLR(o, 0.5, 20), lambda s, o: s.OneCycleLR(o, 0.5, 20), 20),
    "OneCycleLR, options": (
        lambda o: optim.OneCycleLR(o, 0.5, 7, 0.5, 10.0, 100.0),
        lambda s, o: s.OneCycleLR(o, 0.5, 7, pct_start=0.5, div_factor=10.0, final_div_factor=100.0), 7,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_agree_with_torch(name: str) -> None:
    torch = torch_module()
    ours, theirs, steps = SCHEDULES[name]
    other = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.4)
    schedule = theirs(torch.optim.lr_scheduler, other)
    expected = []
    for step in range(steps):
        expected.append(other.param_groups[0]["lr"])
        other.step()
        if step < steps - 1:  # OneCycleLR refuses to go further
            schedule.step()
    np.testing.assert_allclose(rates(ours(sgd()), steps), expected, rtol=1e-10)


def test_cosine_and_one_cycle_stay_at_their_end() -> None:
    assert rates(optim.CosineLR(sgd(), 3, 0.1), 6)[3:] == pytest.approx([0.1] * 3)
    assert rates(optim.OneCycleLR(sgd(), 1.0, 4), 7)[3:] == pytest.approx([1 / 25 / 1e4] * 4)


def test_warm_up_scales_the_first_rates() -> None:
    schedule = optim.WarmUp(optim.StepLR(sgd(), 3, 0.5), 4)
    assert rates(schedule, 7) == pytest.approx([0.1, 0.2, 0.3, 0.2, 0.2, 0.2, 0.1])


def test_a_schedule_sets_the_first_rate_and_resumes_anywhere() -> None:
    optimiser = sgd()
    schedule = optim.OneCycleLR(optimiser, 1.0, 10)
    assert optimiser.lr == pytest.approx(1 / 25)
    for step in (7, 2):
        schedule.go_to(step)
        assert (schedule.steps, optimiser.lr) == (step, schedule.rate(step))


def test_the_plain_schedule_is_constant() -> None:
    assert rates(optim.Schedule(sgd()), 3) == [0.4] * 3


def test_what_cannot_be_optimised_is_refused() -> None:
    weight = Parameter(np.ones(2))
    with pytest.raises(TypeError, match="params: given one tensor"):
        optim.SGD(weight)
    for wrong in (np.zeros(2), Tensor([1.0]), weight * 2):
        with pytest.raises(TypeError, match=r"params: number 1: given \w+, expected a leaf"):
            optim.SGD([weight, wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["SGD, momentum", "Adam"])
def test_read_only_memory_is_not_written_to(name: str, backend: str) -> None:
    memory = bytes(16)
    params = [Parameter(np.ones(3, np.float32)), Parameter(np.frombuffer(memory, np.float32))]
    for parameter in params:
        parameter.grad = np.ones_like(parameter.data)
    optimiser = OPTIMISERS[name](optim, params)
    with pytest.raises(ValueError, match="params: number 1: given an array that is read-only"):
        optimiser.step()
    assert memory == bytes(16)
    assert params[0].data.tolist() == [1, 1, 1]


def test_what_follows_momentum_is_given_by_name() -> None:
    """PyTorch has a dampening there, which would be taken for the decay of weights."""
    with pytest.raises(TypeError, match="positional arguments"):
        optim.SGD(parameters(np.float32), 0.1, 0.9, 0.0, 5e-4)  # type: ignore[misc]


def test_a_gradient_that_numpy_made_a_scalar_is_an_array_again(backend: str) -> None:
    for change in ("hook", "product", "sent in"):
        parameter = Parameter(np.float32(2))
        if change == "hook":
            parameter.register_hook(lambda grad: grad * 2)
        (parameter * 3.0).backward(np.float32(1) if change == "sent in" else None)  # type: ignore[arg-type]
        if change == "product":
            parameter.grad = parameter.grad * np.float32(2)  # type: ignore[operator]
        optim.SGD([parameter], 0.5).step()
        assert parameter.data == (0.5 if change == "sent in" else -1)
