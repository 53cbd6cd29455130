"""Modules: what is registered and in which order, state, hooks, and how they look."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernels.layout import oihw
from minigrad import Tensor, functional as F, nn
from minigrad.nn.module import modes_kept
from tests.minigrad.against_torch import torch_module


class Net(nn.Module):
    """One of everything that a module may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 3
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.scale = nn.Parameter(np.ones(4, np.float32))
        self.norm = nn.BatchNorm2d(4)
        self.tail = nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.conv(x)) * self.scale.reshape(1, 4, 1, 1)
        return self.tail(h.mean((2, 3)))


PARAMETERS = ["scale", "conv.weight", "conv.bias", "norm.weight", "norm.bias", "tail.2.weight"]
BUFFERS = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]


def images(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


# --- what is registered


def test_parameters_and_buffers_are_named_in_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert [name for name, _ in net.named_buffers()] == BUFFERS
    assert list(net.parameters()) == [parameter for _, parameter in net.named_parameters()]
    assert [name for name, _ in net.named_modules()] == ["", "conv", "norm", "tail", "tail.0", "tail.1", "tail.2"]
    assert list(net.children()) == [net.conv, net.norm, net.tail]


def test_replacing_keeps_the_place() -> None:
    net = Net()
    net.conv = nn.Conv2d(2, 4, 1)
    net.scale = nn.Parameter(np.zeros(4, np.float32))
    net.norm.running_mean = Tensor(np.ones(4, np.float32))
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert [name for name, _ in net.named_buffers()] == BUFFERS
    assert net.state_dict()["norm.running_mean"].tolist() == [1] * 4


def test_an_attribute_may_become_another_kind_of_thing() -> None:
    net = Net()
    net.scale = None
    net.size = nn.Parameter(np.zeros(1, np.float32))
    net.tail = None
    assert net.scale is None
    assert net.tail is None
    assert [name for name, _ in net.named_parameters()] == ["size", *PARAMETERS[1:-1]]
    del net.conv
    assert not hasattr(net, "conv")
    with pytest.raises(AttributeError, match="Net has no attribute 'conv'"):
        _ = net.conv
    del net.size, net.tail
    assert not hasattr(net, "tail")


def test_shared_parameters_count_once() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 1
    layer = nn.Linear(2, 2)
    assert len(list(nn.Sequential(layer, nn.ReLU(), layer).parameters())) == 2


def test_forgetting_to_call_super_is_named() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"Forgetful: call super\(\).__init__\(\) before setting 'layer'"):
        Forgetful()


def test_a_module_without_forward_is_named() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1)


def test_sequential_runs_counts_and_indexes() -> None:
    first, second = nn.Linear(3, 2), nn.ReLU()
    both = nn.Sequential(first, second)
    x = images(4, 3)
    np.testing.assert_array_equal(both(x).numpy(), second(first(x)).numpy())
    assert (len(both), both[0], both[-1], list(both)) == (2, first, second, [first, second])


# --- what all of it does


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    x = images(2, 2, 4, 4)
    np.testing.assert_array_equal(net(x).numpy(), net(x).numpy())
    assert net.norm.num_batches_tracked.item() == 0
    assert all(module.training for module in net.train().modules())


def test_zero_grad_forgets() -> None:
    net = Net()
    net(images(2, 2, 4, 4)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


def test_forward_hooks_see_replace_and_can_be_removed() -> None:
    layer, seen = nn.ReLU(), []
    see = layer.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs, output)))
    double = layer.register_forward_hook(lambda module, inputs, output: output * 2)
    x = Tensor([-1.0, 1.0])
    assert layer(x).numpy().tolist() == [0, 2]
    assert seen[0][0] is layer
    assert seen[0][1] == (x,)
    assert seen[0][2].numpy().tolist() == [0, 1]
    double.remove()
    see.remove()
    assert layer(x).numpy().tolist() == [0, 1]
    assert len(seen) == 1


def test_to_converts_floats_in_place_and_keeps_the_layout() -> None:
    net = Net()
    weight = net.conv.weight
    assert net.to(np.float64) is net
    assert net.conv.weight is weight
    assert {tensor.dtype.name for _, tensor in net.named_parameters()} == {"float64"}
    assert [tensor.dtype.name for _, tensor in net.named_buffers()] == ["float64", "float64", "int64"]
    assert weight.numpy().transpose(2, 3, 1, 0).flags.c_contiguous
    assert net(Tensor(np.ones((2, 2, 4, 4)))).dtype == np.float64


# --- state


def test_state_is_a_contiguous_copy_in_logical_shape() -> None:
    net = Net()
    state = net.state_dict()
    assert list(state) == [*PARAMETERS, *BUFFERS]
    assert state["conv.weight"].shape == (4, 2, 3, 3)
    assert all(array.flags.c_contiguous for array in state.values())
    np.testing.assert_array_equal(state["conv.weight"], net.conv.weight.numpy())
    state["conv.weight"][...] = 7
    state["norm.num_batches_tracked"][...] = 7
    assert not (net.conv.weight.numpy() == 7).any()
    assert net.norm.num_batches_tracked.item() == 0


def test_loading_keeps_memory_and_its_layout() -> None:
    source, target = Net(), Net()
    source(images(2, 2, 4, 4))
    memory = {name: (tensor.numpy(), tensor.numpy().strides) for name, tensor in target.named_parameters()}
    target.load_state_dict(source.state_dict())
    for name, tensor in target.named_parameters():
        array, strides = memory[name]
        assert tensor.numpy() is array
        assert array.strides == strides
    for name, array in source.state_dict().items():
        np.testing.assert_array_equal(target.state_dict()[name], array)
    assert target.norm.num_batches_tracked.item() == 1
    weight = target.conv.weight.numpy()
    assert weight.transpose(2, 3, 1, 0).flags.c_contiguous


def test_loading_accepts_arrays_in_any_layout() -> None:
    source, target = Net(), Net()
    state = source.state_dict()
    state["conv.weight"] = oihw(np.ascontiguousarray(state["conv.weight"].transpose(2, 3, 1, 0)))
    target.load_state_dict(state)
    np.testing.assert_array_equal(target.conv.weight.numpy(), source.conv.weight.numpy())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: state.pop("norm.bias"), KeyError, r"missing \['norm.bias'\], unexpected none"),
        (lambda state: state.update(extra=np.ones(1)), KeyError, r"missing none, unexpected \['extra'\]"),
        (
            lambda state: state.update({"tail.2.weight": np.ones((4, 3), np.float32)}), ValueError,
            r"tail.2.weight: given float32 \(4, 3\), expected float32 \(3, 4\)",
        ),
        (
            lambda state: state.update({"tail.2.weight": np.ones((3, 4))}), ValueError,
            r"tail.2.weight: given float64 \(3, 4\), expected float32",
        ),
    ],
)  # fmt: skip
def test_loading_what_does_not_fit_changes_nothing(change: Any, error: type[Exception], message: str) -> None:
    net = Net()
    before = net.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    state = {name: array.astype(before[name].dtype) for name, array in state.items()}
    change(state)
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


# --- how it looks


def test_repr_shows_the_tree_and_the_options() -> None:
    assert repr(Net()) == "\n".join([
        "Net(",
        "  (conv): Conv2d(2, 4, kernel_size=(3, 3), stride=1, padding=1)",
        "  (norm): BatchNorm2d(4, eps=1e-05, momentum=0.1)",
        "  (tail): Sequential(",
        "    (0): ReLU()",
        "    (1): Dropout(p=0.5)",
        "    (2): Linear(4, 3, bias=False)",
        "  )",
        ")",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(4, 6, (1, 2), 2, "valid", 3, 2, False, activation="relu"),
         "Conv2d(4, 6, kernel_size=(1, 2), stride=2, padding='valid', dilation=3, groups=2, activation='relu', "
         "bias=False)"),
        (nn.MaxPool2d(3, 2), "MaxPool2d(kernel_size=3, stride=2, padding=0, dilation=1, ceil_mode=False)"),
        (nn.AvgPool2d(3), "AvgPool2d(kernel_size=3, stride=3, padding=0)"),
        (nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
        (nn.Softmax(1), "Softmax(dim=1)"),
        (nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.ZeroPad2d(2), "ZeroPad2d(padding=(2, 2, 2, 2), value=0.0)"),
        (nn.LocalResponseNorm(5), "LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=1.0)"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss(reduction='mean', label_smoothing=0.0)"),
    ],
)  # fmt: skip
def test_layers_show_their_options(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


def test_a_shared_module_comes_once_and_is_saved_under_each_name() -> None:
    torch = torch_module()
    layer, theirs = nn.Linear(2, 2), torch.nn.Linear(2, 2)
    net, twin = nn.Sequential(layer, nn.ReLU(), layer), torch.nn.Sequential(theirs, torch.nn.ReLU(), theirs)
    assert len(list(net.modules())) == len(list(twin.modules())) == 3
    assert len(list(net.parameters())) == 2
    assert list(net.state_dict()) == list(twin.state_dict())
    net.load_state_dict(net.state_dict())


def test_what_is_no_module_is_refused_and_named() -> None:
    with pytest.raises(TypeError, match="Sequential: position 1: given relu, expected a Module"):
        nn.Sequential(nn.ReLU(), F.relu)  # type: ignore[arg-type]
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"Linear\.weight: given Tensor, expected a Parameter"):
        layer.weight = Tensor(np.zeros((2, 2), np.float32))
    net = nn.Sequential(layer)
    with pytest.raises(TypeError, match=r"Sequential\.0: given Tensor, expected a Module"):
        setattr(net, "0", Tensor([1.0]))
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    layer.bias = None
    assert list(net.state_dict()) == ["0.weight"]


def test_forward_takes_keywords() -> None:
    x = Tensor(np.ones((1, 2), np.float32))
    layer = nn.Linear(2, 2)
    np.testing.assert_array_equal(layer(input=x).numpy(), layer(x).numpy())


def test_a_buffer_is_a_tensor() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2))
    with pytest.raises(TypeError, match="register_buffer: counts: given ndarray, expected a Tensor"):
        net.register_buffer("counts", np.ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"BatchNorm2d\.running_mean: given ndarray, expected a Tensor or None"):
        net[0].running_mean = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="register_buffer: name: given 'weight', which is an attribute already"):
        net[0].register_buffer("weight", Tensor([1.0]))
    assert [name for name, _ in net.named_buffers()] == ["0.running_mean", "0.running_var", "0.num_batches_tracked"]
    net[0].running_mean = None
    net[0].register_buffer("running_mean", Tensor([1.0, 2.0]))
    assert net[0].running_mean.numpy().tolist() == [1, 2]
    assert "0.running_mean" in net.state_dict()


def test_weights_become_no_integers() -> None:
    layer = nn.Linear(2, 2)
    before = layer.state_dict()
    with pytest.raises(TypeError, match="to: target: given int64, expected float32 or float64, or a device"):
        layer.to(np.int64)
    np.testing.assert_array_equal(layer.weight.numpy(), before["weight"])


def test_modes_are_kept_module_by_module() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    net[1].eval()
    with modes_kept(net):
        net.train()
    assert [module.training for module in net.modules()] == [True, True, False]


def test_a_hook_that_is_there_twice_is_removed_once_by_each_handle() -> None:
    calls: list[int] = []
    layer = nn.Linear(2, 2)

    def hook(*call: Any) -> None:
        calls.append(1)

    handles = [layer.register_forward_hook(hook) for _ in range(2)]
    handles[0].remove()
    handles[0].remove()
    layer(Tensor(np.ones((1, 2), np.float32)))
    assert calls == [1]
    handles[1].remove()
    layer(Tensor(np.ones((1, 2), np.float32)))
    assert calls == [1]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride: given 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="half"), "padding: given 'half'"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=1.5), "dilation: given 1.5"),
        (lambda: nn.Conv2d(1, 1, 3, activation="tanh"), "activation: given 'tanh'"),
        (lambda: nn.MaxPool2d(0), "kernel_size: given 0"),
        (lambda: nn.AvgPool2d(2, padding=2), r"padding: given \(2, 2\), expected at most half"),
        (lambda: nn.AdaptiveAvgPool2d(0), "output_size: given 0"),
    ],
)
def test_options_are_refused_before_there_is_an_image(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        build()
