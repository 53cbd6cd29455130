"""Layers against torch.nn's with the same weights: outputs, gradients, state and its names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, nn
from tests.minigrad.against_torch import DTYPES, assert_close, normal, spaced, torch_module

Build = Callable[[Any], Any]

LAYERS: dict[str, tuple[Build, np.ndarray]] = {
    "Conv2d": (lambda nn: nn.Conv2d(2, 4, 3, 2, 1, 1, 2), normal(2, 2, 5, 5)),
    "Conv2d, no bias": (lambda nn: nn.Conv2d(2, 3, (1, 2), padding="same", bias=False), normal(2, 2, 3, 3)),
    "Linear": (lambda nn: nn.Linear(3, 2), normal(4, 3)),
    "Linear, no bias": (lambda nn: nn.Linear(3, 2, bias=False), normal(2, 4, 3)),
    "MaxPool2d": (lambda nn: nn.MaxPool2d(3, 2, 1, 1, ceil_mode=True), spaced(2, 2, 6, 5)),
    "MaxPool2d, usual stride": (lambda nn: nn.MaxPool2d(2), spaced(2, 2, 6, 5)),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(3, 2, 1, True, False), normal(2, 2, 6, 5)),
    "AvgPool2d, divisor": (lambda nn: nn.AvgPool2d(2, divisor_override=3), normal(2, 2, 6, 5)),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d((2, None)), normal(2, 2, 5, 3)),
    "ReLU": (lambda nn: nn.ReLU(), spaced(2, 3)),
    "Softmax": (lambda nn: nn.Softmax(1), normal(2, 3)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(-1), normal(2, 3)),
    "Flatten": (lambda nn: nn.Flatten(), normal(2, 3, 2, 2)),
    "Flatten, some": (lambda nn: nn.Flatten(0, 1), normal(2, 3, 2, 2)),
    "ConstantPad2d": (lambda nn: nn.ConstantPad2d((1, 0, 2, 1), 3.5), normal(2, 3, 2, 2)),
    "ZeroPad2d": (lambda nn: nn.ZeroPad2d(1), normal(2, 3, 2, 2)),
    "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(3, 0.5, 0.6, 2.0), normal(2, 5, 2, 2)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(3), normal(4, 3)),
    "BatchNorm1d of sequences": (lambda nn: nn.BatchNorm1d(3, eps=0.1, momentum=0.5), normal(2, 3, 4)),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(3), normal(2, 3, 2, 2)),
    "BatchNorm2d, mean over all batches": (lambda nn: nn.BatchNorm2d(3, momentum=None), normal(2, 3, 2, 2)),
    "BatchNorm2d, nothing learned": (lambda nn: nn.BatchNorm2d(3, affine=False), normal(2, 3, 2, 2)),
    "BatchNorm2d, nothing tracked": (
        lambda nn: nn.BatchNorm2d(3, track_running_stats=False), normal(2, 3, 2, 2),
    ),
    "Sequential": (
        lambda nn: nn.Sequential(nn.Conv2d(2, 3, 2, bias=False), nn.BatchNorm2d(3), nn.ReLU()), normal(2, 2, 4, 4),
    ),
    "Dropout of nothing": (lambda nn: nn.Dropout(0.0), normal(2, 3)),
}  # fmt: skip


def twins(build: Build, dtype: type) -> tuple[nn.Module, Any]:
    """The layer on both sides, with equal random weights."""
    torch = torch_module()
    ours = build(nn).to(dtype)
    theirs = build(torch.nn).to(torch.float64 if dtype is np.float64 else torch.float32)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    state = {
        name: (normal(*array.shape, seed=place) if "weight" in name or "bias" in name else array).astype(array.dtype)
        for place, (name, array) in enumerate(ours.state_dict().items())
    }
    ours.load_state_dict(state)
    theirs.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    return ours, theirs


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_agree_with_torch_in_training_and_evaluation(name: str, dtype: type, backend: str) -> None:
    torch = torch_module()
    build, data = LAYERS[name]
    ours, theirs = twins(build, dtype)
    for step, training in enumerate([True, True, True, False]):
        array = (data * (1 + step / 8)).astype(dtype)
        x, y = Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        output, expected = ours.train(training)(x), theirs.train(training)(y)
        assert_close(output.numpy(), expected.detach().numpy(), "output")
        upstream = normal(*output.shape, seed=step + 100).astype(dtype)
        ours.zero_grad()
        theirs.zero_grad()
        output.backward(upstream)
        expected.backward(torch.tensor(upstream))
        assert x.grad is not None
        assert_close(x.grad, y.grad.numpy(), "gradient of the input")
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert parameter.grad is not None
            assert_close(parameter.grad, other.grad.numpy(), "gradient of a parameter")
    for key, array in ours.state_dict().items():
        assert_close(array, theirs.state_dict()[key].numpy(), key)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 0, "reduction": "sum"}])
def test_cross_entropy_loss_agrees(options: dict[str, Any]) -> None:
    torch = torch_module()
    logits, target, weight = normal(4, 3), np.array([0, 2, 1, 0]), np.array([1, 2, 0.5])
    ours = nn.CrossEntropyLoss(Tensor(weight), **options)
    theirs = torch.nn.CrossEntropyLoss(torch.tensor(weight), **options)
    expected = theirs(torch.tensor(logits), torch.tensor(target)).numpy()
    assert_close(ours(Tensor(logits), Tensor(target)).numpy(), expected)
    assert ours.state_dict().keys() == theirs.state_dict().keys() == {"weight"}
    single = ours.to(np.float32)(Tensor(logits.astype(np.float32)), Tensor(target))
    assert_close(single.numpy(), expected.astype(np.float32))


def test_dropout_layer_drops_in_training_only() -> None:
    layer, x = nn.Dropout(0.5), Tensor(np.ones((1, 100), np.float32))
    assert set(layer(x).numpy().reshape(-1).tolist()) == {0, 2}
    assert layer.eval()(x) is x


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 3, 3, activation="relu"), nn.BatchNorm2d(2, activation="relu")])
def test_layers_with_activation_rectify(layer: nn.Module) -> None:
    output = layer(Tensor(normal(2, 2, 4, 4).astype(np.float32))).numpy()
    assert (output >= 0).all()
    assert (output == 0).any()


def test_a_batch_that_is_refused_does_not_count() -> None:
    layer = nn.BatchNorm2d(2, momentum=None)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(Tensor(np.ones((1, 2, 1, 1), np.float32)))
    images = normal(4, 2, 3, 3).astype(np.float32)
    layer(Tensor(images))
    assert layer.num_batches_tracked.item() == 1
    assert_close(layer.running_mean.numpy(), images.mean((0, 2, 3)))
