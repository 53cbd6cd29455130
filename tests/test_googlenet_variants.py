"""GoogLeNet's options: auxiliary classifiers, both normalisations and torchvision's variant, beside PyTorch's."""

from typing import Any

import numpy as np
import pytest

import minigrad
from googlenet import TABLE_1, GoogLeNet, Outputs
from kernels import layout
from minigrad import Function, Observer, Tensor, functional as F, nn
from minigrad.commands.settings import help_of, options_of
from tests.minigrad.against_torch import torch_module

STEM = ("conv1", "conv2", "conv3")
BRANCHES = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
AUX_WEIGHT = 0.3


@pytest.fixture(autouse=True)
def _seeded() -> None:
    minigrad.manual_seed(1)


def pictures(count: int, size: int, channels: int = 1) -> np.ndarray:
    """Random images, channels-last in memory: (count, channels, size, size) float64."""
    return layout.nchw(np.random.default_rng(0).standard_normal((count, size, size, channels)))


def lively(model: GoogLeNet, dtype: type) -> GoogLeNet:
    """The model in a dtype, without dropout, as training would leave it: no bias is 0, no scale 1, no statistic
    the one it began with."""
    random = np.random.default_rng(2)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name.endswith(("bias", "running_mean")):
            tensor.data += 0.1 * random.standard_normal(tensor.shape).astype(np.float32)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.data *= random.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
        elif name.startswith(("fc.", "aux1.fc2.", "aux2.fc2.")):
            tensor.data *= 10  # undecided classifiers send back next to nothing
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model.to(dtype)


def twin_of(model: GoogLeNet, **options: Any) -> Any:
    """PyTorch's network with the same weights, buffers, dtype and mode."""
    torch = torch_module()
    from tests.torch_variants import TorchVariant

    twin = TorchVariant(model.in_channels, model.num_classes, **options)
    twin.to(torch.float64 if model.fc.weight.dtype == np.float64 else torch.float32)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    return twin.train(model.training)


def close(got: Any, expected: Any, tolerance: float, what: str) -> None:
    """The largest error is at most `tolerance` of the largest expected value; or there is nothing on either side."""
    if expected is None:
        assert got is None, what
        return
    wanted = expected.detach().numpy()
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), what
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max(), what


def agree(model: GoogLeNet, twin: Any, pixels: np.ndarray, tolerance: float, gradients: float | None = 1e-10) -> None:
    """Logits, gradients of the images and of all weights, and buffers afterwards.

    gradients: their tolerance, None to leave them out.
    """
    torch = torch_module()
    x, theirs = Tensor(pixels, requires_grad=True), torch.tensor(pixels, requires_grad=True)
    y = np.arange(len(pixels)) % model.num_classes
    outputs, expected = model(x), twin(theirs)
    # By name: what the log calls aux1 has to be the one on 4a.
    heads = [outputs.main, outputs.aux1, outputs.aux2] if isinstance(outputs, Outputs) else [outputs]
    wanted = list(expected) if isinstance(expected, tuple) else [expected]
    for number, (head, its_twin) in enumerate(zip(heads, wanted, strict=True)):
        close(head.data, its_twin, tolerance, f"logits {number}")
    losses = [F.cross_entropy(head, y) for head in heads]
    their_losses = [torch.nn.functional.cross_entropy(head, torch.from_numpy(y)) for head in wanted]
    (losses[0] + sum(AUX_WEIGHT * loss for loss in losses[1:])).backward()
    (their_losses[0] + sum(AUX_WEIGHT * loss for loss in their_losses[1:])).backward()
    if gradients:
        close(x.grad, theirs.grad, gradients, "images")
        parameters = dict(model.named_parameters())
        for name, its_twin in twin.named_parameters():
            close(parameters[name].grad, its_twin.grad, gradients, name)
    buffers = dict(model.named_buffers())
    for name, its_twin in twin.named_buffers():
        close(buffers[name].data, its_twin, tolerance, name)


# --- auxiliary classifiers


@pytest.mark.parametrize(("size", "places"), [(96, 1), (113, 4)])
def test_auxiliary_classifiers_agree(size: int, places: int) -> None:
    model = lively(GoogLeNet(image_size=size, aux=True), np.float64)
    agree(model, twin_of(model, aux_places=places), pictures(1, size), 1e-10)


class Paths(Observer):
    """The modules in which operations ran."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def after_forward(self, function: Function, output: np.ndarray) -> None:
        self.seen.add(function.path.split(".")[0])


@pytest.mark.parametrize(("variant", "size"), [("paper", 80), ("torchvision", 32)])
def test_evaluation_never_runs_the_auxiliary_classifiers(variant: Any, size: int) -> None:
    model = GoogLeNet(image_size=size, dropout=0.0, aux=True, variant=variant)
    x = Tensor(pictures(2, size).astype(np.float32))
    heads, logits = Paths(), Paths()
    with minigrad.no_grad(), minigrad.backend("reference"):  # which has nothing to compile when a mutant runs this
        with minigrad.observe(heads):
            outputs = model(x)
        with minigrad.observe(logits):
            output = model.eval()(x)
    assert [type(output), output.shape] == [Tensor, (2, 10)]
    assert [head.shape for head in outputs] == [(2, 10)] * 3
    assert heads.seen - logits.seen == {"aux1", "aux2"}


class Dropouts(Observer):
    """Where dropout ran, and on arrays of which shape, in the order in which it did."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[int, ...]]] = []

    def after_forward(self, function: Function, output: np.ndarray) -> None:
        if function.name == "Dropout":
            self.seen.append((function.path, output.shape))


def test_dropout_comes_before_each_classifiers_last_layer() -> None:
    """And, in an auxiliary one, behind the layer of 1024."""
    model, dropouts = GoogLeNet(aux=True), Dropouts()
    assert None not in (model.aux1, model.aux2)
    with minigrad.no_grad(), minigrad.observe(dropouts):
        model(Tensor(pictures(2, 96).astype(np.float32)))
    assert dropouts.seen == [(path, (2, 1024)) for path in ("dropout", "aux1.dropout", "aux2.dropout")]


@pytest.mark.parametrize(
    ("variant", "size", "inputs"),
    [("paper", 96, 128), ("paper", 224, 2048), ("torchvision", 96, 2048), ("torchvision", 224, 2048)],
)
def test_auxiliary_classifiers_fit_the_image(variant: Any, size: int, inputs: int) -> None:
    model = GoogLeNet(image_size=size, aux=True, variant=variant)
    for head in (model.aux1, model.aux2):
        assert head is not None
        assert head.fc1.weight.shape == (1024, inputs)
        assert head.fc2.weight.shape == (10, 1024)


def test_images_too_small_for_auxiliary_classifiers_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size: given 64, too small for auxiliary classifiers: avg_pool2d"):
        GoogLeNet(image_size=64, aux=True)


# --- normalisation


def test_local_response_normalisation_agrees() -> None:
    model = lively(GoogLeNet(image_size=32, lrn=True), np.float64)
    model.conv1.conv.weight.data *= 30  # so large that the normalisation, k + alpha * ..., changes anything
    agree(model, twin_of(model, lrn=True), pictures(2, 32), 1e-10)
    plain = GoogLeNet(image_size=32, dropout=0.0).to(np.float64)
    plain.load_state_dict(model.state_dict())
    x = Tensor(pictures(2, 32))
    assert np.abs(plain(x).data - model(x).data).max() > 0.1 * np.abs(plain(x).data).max()


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_agrees(training: bool) -> None:
    model = lively(GoogLeNet(image_size=40, norm="batch"), np.float64).train(training)
    agree(model, twin_of(model, norm=True), pictures(3, 40), 1e-10)


# --- torchvision's


@pytest.mark.parametrize(
    ("training", "dtype", "tolerance", "gradients"),
    [
        (True, np.float64, 1e-10, 1e-10),
        (False, np.float64, 1e-10, 1e-10),
        (True, np.float32, 3e-4, None),
        (False, np.float32, 1e-5, 1e-4),
    ],
)
def test_torchvisions_variant_agrees(training: bool, dtype: type, tolerance: float, gradients: float | None) -> None:
    """At a size at which every pool of the stem and between the blocks has a window that is not whole.

    In float32, batches of so few numbers amplify what is rounded off: in training PyTorch's own logits are 6e-5 off
    what float64 gives, and gradients, where a ReLU then changes its mind, 40 %.
    """
    model = lively(GoogLeNet(3, 7, 48, aux=True, variant="torchvision"), dtype).train(training)
    twin = twin_of(model, aux_places=16, torchvision=True)
    agree(model, twin, pictures(3, 48, 3).astype(dtype), tolerance, gradients)


@pytest.mark.parametrize(("aux", "parameters"), [(True, 13_004_888), (False, 6_624_904)])
def test_torchvisions_variant_has_its_parameters(aux: bool, parameters: int) -> None:
    model = GoogLeNet(3, 1000, 224, aux=aux, variant="torchvision")
    assert sum(p.data.size for p in model.parameters()) == parameters


# --- names


def convolutions(aux: bool) -> list[str]:
    """All of them in the order of the network, the auxiliary ones before the last layer."""
    blocks = [f"{block}.{branch}" for block in TABLE_1 for branch in BRANCHES]
    return [*STEM, *blocks, *(["aux1", "aux2"] if aux else [])]


def expected_names(norm: bool, aux: bool) -> tuple[list[str], list[str]]:
    """Names of parameters and of buffers."""
    kinds = ("conv.weight", "bn.weight", "bn.bias") if norm else ("conv.weight", "conv.bias")
    statistics = ("running_mean", "running_var", "num_batches_tracked") if norm else ()
    parameters, buffers = [], []
    for name in convolutions(aux):
        place = f"{name}.conv" if name.startswith("aux") else name
        parameters += [f"{place}.{kind}" for kind in kinds]
        buffers += [f"{place}.bn.{kind}" for kind in statistics]
        if name.startswith("aux"):
            parameters += [f"{name}.{layer}.{kind}" for layer in ("fc1", "fc2") for kind in ("weight", "bias")]
    return [*parameters, "fc.weight", "fc.bias"], buffers


@pytest.mark.parametrize("aux", [True, False])
@pytest.mark.parametrize("options", [{}, {"norm": "batch"}, {"variant": "torchvision"}])
def test_names_are_torchvisions_in_the_order_of_the_network(options: dict[str, Any], aux: bool) -> None:
    model = GoogLeNet(image_size=96, aux=aux, **options)
    parameters, buffers = expected_names(bool(options), aux)
    assert [name for name, _ in model.named_parameters()] == parameters
    assert [name for name, _ in model.named_buffers()] == buffers
    assert list(model.state_dict()) == parameters + buffers


def test_every_option_has_its_help() -> None:
    assert list(help_of(GoogLeNet, names := list(options_of(GoogLeNet)))) == names


# --- what is refused


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("norm", "layer", "None or 'batch' or 'none'"),
        ("init", "normal", "'kaiming' or 'xavier'"),
        ("variant", "v3", "'paper' or 'torchvision'"),
    ],
)
def test_unknown_options_are_refused(name: str, value: str, known: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name}: given {value!r}, expected {known}"):
        GoogLeNet(**options)
