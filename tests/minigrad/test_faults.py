"""A fault in the midst of a step, in any operation, leaves parameters and the optimiser's state as they were."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernels
import minigrad
from minigrad import Tensor, functional as F, nn, ops, optim
from minigrad.function import Function
from minigrad.observe import Observer, observe

PLACES = ("before_forward", "after_forward", "before_backward", "after_backward")


class Everything(nn.Module):
    """A loss in which every operation that there is has a part."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.local_response_norm(self.norm(self.conv(x)), 3))  # (N, 4, 6, 6)
        x = F.cat([F.max_pool2d(x, 2), F.avg_pool2d(x, 2)], 1)[:, 2:6]  # (N, 4, 3, 3)
        x = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).permute(0, 3, 1, 2)
        x = F.dropout(F.adaptive_avg_pool2d(x, 1), 0.5).reshape(-1, 4)
        logits = self.fc(x) + (x @ self.fc.weight.transpose(0, 1)) / 2 - x.sum() * 0.1
        extra = (F.softmax(logits, 1) * F.log_softmax(logits, 1)).mean() ** 2 + x.max() + x.max(1).values.sum()
        wide = (logits.exp() + 1).log().to(np.float64).to(np.float32)
        return F.cross_entropy(wide, np.arange(len(logits)) % 3) + extra


class Fault(Observer):
    """Fails at one place of the operations of one kind."""

    def __init__(self, place: str, name: str) -> None:
        def fail(function: Function, *_: Any) -> None:
            if type(function).__name__ == name:
                raise MemoryError(f"{place} of {name}")

        setattr(self, place, fail)


class Seen(Observer):
    """Notes what kinds of operations run."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def before_forward(self, function: Function, inputs: Any) -> None:
        self.names.add(type(function).__name__)


CLASSES = dict(inspect.getmembers(ops, inspect.isclass))
BETWEEN_DEVICES = {"Move"}
"""What a step on one device does not have."""
OPERATIONS = sorted(
    {name for name, kind in CLASSES.items() if issubclass(kind, Function)} - {"Function"} - BETWEEN_DEVICES
)
OPTIMIZERS: dict[str, Callable[[nn.Module], optim.Optimizer]] = {
    "sgd": lambda model: optim.SGD(model.parameters(), 0.1, momentum=0.9),
    "adamw": lambda model: optim.AdamW(model.parameters(), 0.1),
}


def step(model: nn.Module, optimizer: optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(Tensor(np.random.default_rng(0).standard_normal((6, 2, 6, 6)).astype(np.float32))).backward()
    optimizer.step()


def stepped(kind: str) -> tuple[nn.Module, optim.Optimizer]:
    """A model and an optimiser that have state: one step is done."""
    minigrad.manual_seed(0)
    model = Everything()
    optimizer = OPTIMIZERS[kind](model)
    step(model, optimizer)
    return model, optimizer


def bits(model: nn.Module, optimizer: optim.Optimizer) -> dict[str, bytes]:
    """Of all that the optimiser moves."""
    parameters = {name: parameter.data for name, parameter in model.named_parameters()}
    return {name: array.tobytes() for name, array in {**parameters, **optimizer.state_dict()}.items()}


def test_every_operation_has_a_part() -> None:
    with observe(Seen()) as seen:
        stepped("sgd")
    assert isinstance(seen, Seen)
    assert sorted(seen.names) == OPERATIONS


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_in_an_operation_changes_nothing(name: str, place: str) -> None:
    for kind in OPTIMIZERS:
        model, optimizer = stepped(kind)
        before = bits(model, optimizer)
        with pytest.raises(MemoryError, match=f"{place} of {name}"), observe(Fault(place, name)):
            step(model, optimizer)
        assert bits(model, optimizer) == before
        step(model, optimizer)  # and the next step is made as if nothing had been
        assert all(new != before[name] for name, new in bits(model, optimizer).items())


@pytest.mark.parametrize(("kind", "kernel"), [("sgd", "sgd_step"), ("adamw", "adam_step")])
def test_a_fault_in_the_optimisers_kernel_changes_nothing(
    kind: str, kernel: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = stepped(kind)
    before = bits(model, optimizer)

    def fail(*_: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(kernels.serving(next(model.parameters()).data), kernel, fail)
        with pytest.raises(MemoryError):
            step(model, optimizer)
    assert bits(model, optimizer) == before


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("gradient", [np.ones(1, np.float32), np.ones((3, 4)), np.ones((4, 3), np.float32)])
def test_a_gradient_that_does_not_fit_changes_nothing(kind: str, gradient: np.ndarray, backend: str) -> None:
    """In the last of the parameters, when the others would have moved already."""
    model, optimizer = stepped(kind)
    before = bits(model, optimizer)
    number = [parameter.shape for parameter in optimizer.params].index((3, 4))
    optimizer.params[number].grad = gradient
    with pytest.raises(ValueError, match=rf"params: number {number}: given a gradient .*, expected float32 \(3, 4\)"):
        optimizer.step()
    assert bits(model, optimizer) == before
