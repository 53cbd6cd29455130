"""GoogLeNet: its shapes and names, and its numbers beside PyTorch's."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

import minigrad
from googlenet import TABLE_1, GoogLeNet, Inception
from kernels import layout
from minigrad import Function, Observer, Tensor, functional as F
from minigrad.commands.summary import stages
from minigrad.data import FashionMNIST, batches, prepare
from minigrad.nn import Module
from tests.minigrad.against_torch import torch_module

SIDES = [112, 56, 28, 14, 7]
"""How wide the maps are after the stem's first convolution and after each max-pool, at 224x224, as in the paper."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    minigrad.manual_seed(1)


def pictures(count: int, size: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Random images, channels-last in memory: (count, channels, size, size) float64."""
    return layout.nchw(np.random.default_rng(seed).standard_normal((count, size, size, channels)))


@pytest.fixture
def clothes(cut_data: FashionMNIST) -> np.ndarray:
    """Sixteen real images, prepared as for training: (16, 1, 96, 96) float32."""
    return prepare(cut_data.train_images[:16], 96)


def twin_of(model: GoogLeNet) -> Any:
    """PyTorch's GoogLeNet with the same weights, in the same dtype, without dropout."""
    torch_module()  # skips the test where there is none
    from benchmarks.torch_googlenet import TorchGoogLeNet, tensors

    twin = TorchGoogLeNet(model.in_channels, model.num_classes, dropout=0.0)
    twin = twin.double() if model.fc.weight.dtype == np.float64 else twin
    twin.load_state_dict(tensors(model.state_dict()))
    return twin


# --- what it is


@pytest.mark.parametrize(
    ("in_channels", "num_classes", "parameters"), [(1, 10, 5_977_530), (3, 1000, 6_998_552)]
)
def test_it_has_the_papers_parameters(in_channels: int, num_classes: int, parameters: int) -> None:
    model = GoogLeNet(in_channels, num_classes)
    assert sum(p.data.size for p in model.parameters()) == parameters


def test_parameters_have_torchvisions_names_in_the_order_of_the_network() -> None:
    block = [
        f"{branch}.conv.{kind}"
        for branch in ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
        for kind in ("weight", "bias")
    ]
    stem = [f"conv{i}.conv.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")]
    expected = stem + [f"{name}.{p}" for name in TABLE_1 for p in block] + ["fc.weight", "fc.bias"]
    assert [name for name, _ in GoogLeNet().named_parameters()] == expected
    assert list(TABLE_1) == [f"inception{n}" for n in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]


@pytest.mark.parametrize(
    ("channels", "size", "sides"), [(1, 96, [48, 24, 12, 6, 3]), (1, 224, SIDES), (3, 224, SIDES)]
)
def test_summary_follows_the_shapes(channels: int, size: int, sides: list[int]) -> None:
    rows = {stage.name: stage for stage in stages(GoogLeNet(channels, 10, size), channels, size)}
    assert [rows[name].shape[1] for name in ("conv1", "maxpool1", "maxpool2", "maxpool3", "maxpool4")] == sides
    assert [rows[name].shape[0] for name in TABLE_1] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert rows["avgpool"].shape == (1024, 1, 1)
    assert rows["fc"].shape == (10,)
    # 4a by hand: for each place of its map, every tap of every filter, on 480 channels or on the reduced ones.
    assert rows["inception4a"].multiply_adds == sides[3] ** 2 * (
        480 * (192 + 96 + 16 + 64) + 9 * 96 * 208 + 25 * 16 * 48
    )


@pytest.mark.parametrize(("size", "millions"), [(96, 276), (224, 1500)])
def test_summary_counts_multiply_adds(size: int, millions: int) -> None:
    total = sum(stage.multiply_adds for stage in stages(GoogLeNet(image_size=size), 1, size))
    assert total / 1e6 == pytest.approx(millions, rel=0.005)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x: given shape \(2, 1, 64, 64\), expected \(N, 1, 96, 96\)"):
        GoogLeNet()(Tensor(pictures(2, 64).astype(np.float32)))
    for size in (0, 32.5):
        with pytest.raises(ValueError, match=f"image_size: given {size}, expected an integer of at least 1"):
            GoogLeNet(image_size=size)  # type: ignore[arg-type]
    assert GoogLeNet(image_size=np.int64(32)).image_size == 32  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image_size: given 14, too small"):
        GoogLeNet(image_size=14, variant="torchvision")
    GoogLeNet(image_size=15, variant="torchvision").eval()(Tensor(pictures(1, 15).astype(np.float32)))


def test_the_same_seed_gives_the_same_weights() -> None:
    first = GoogLeNet().state_dict()
    minigrad.manual_seed(1)
    again = GoogLeNet().state_dict()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    minigrad.manual_seed(2)
    assert not np.array_equal(first["fc.weight"], GoogLeNet().state_dict()["fc.weight"])


def stage_sizes(model: GoogLeNet, x: np.ndarray) -> dict[str, float]:
    """Root mean square of what each stage puts out."""
    sizes: dict[str, float] = {}
    names = {module: name for name, module in model.named_modules()}
    for module in model.children():
        module.register_forward_hook(
            lambda m, _, out: sizes.update({names[m]: float(np.sqrt(np.square(out.data).mean()))})
        )
    model.eval()(Tensor(x))
    return sizes


def test_activations_keep_their_size_on_the_way_down(clothes: np.ndarray) -> None:
    model = GoogLeNet()
    sizes = stage_sizes(model, clothes)
    assert set(TABLE_1) < sizes.keys()
    assert all(0.4 < size < 4 for size in sizes.values()), sizes


def test_with_pytorchs_default_initialisation_they_would_die(clothes: np.ndarray) -> None:
    """Which is why the network does not use it: it would sit at a loss of 2.30 for a long time."""
    model = GoogLeNet()
    for name, parameter in model.named_parameters():
        if name.endswith("conv.weight"):
            minigrad.nn.init.kaiming_uniform_(parameter, nonlinearity="linear").data /= np.sqrt(3)
    assert stage_sizes(model, clothes)["inception5b"] < 0.01


def test_a_training_step_copies_nothing_between_layouts() -> None:
    model = GoogLeNet(image_size=32)
    before = layout.copies
    F.cross_entropy(model(Tensor(pictures(4, 32).astype(np.float32))), np.arange(4)).backward()
    assert layout.copies == before
    for parameter in model.parameters():
        assert parameter.grad is not None
        if parameter.ndim == 4:
            layout.hwio(parameter.grad)
    assert layout.copies == before, "gradients lie in memory as their weights do"
    layout.nhwc(np.zeros((1, 2, 3, 3)))
    assert layout.copies == before + 1, "the counter counts"


# --- beside PyTorch


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_an_inception_block_agrees_with_pytorch(dtype: type, tolerance: float) -> None:
    torch = torch_module()
    name, channels = "inception3a", 192
    model = GoogLeNet().to(dtype)
    block, twin_block = getattr(model, name), getattr(twin_of(model), name)
    x = pictures(2, 9, channels).astype(dtype)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    output, expected = block(ours), twin_block(theirs)
    upstream = np.random.default_rng(3).standard_normal(output.shape).astype(dtype)
    output.backward(upstream)
    expected.backward(torch.from_numpy(upstream))
    close(output.data, expected.detach(), tolerance)
    close(ours.grad, theirs.grad, tolerance)
    for (parameter, p), q in zip(block.named_parameters(), twin_block.parameters(), strict=True):
        close(p.grad, q.grad, tolerance, parameter)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_the_network_agrees_with_pytorch(dtype: type, tolerance: float) -> None:
    torch = torch_module()
    model = GoogLeNet(dropout=0.0).to(dtype)
    twin = twin_of(model)
    x, y = pictures(2, 96).astype(dtype), np.array([3, 1])
    loss = F.cross_entropy(model(Tensor(x)), y)
    expected = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.from_numpy(y))
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    if dtype == np.float64:  # in float32 PyTorch's own two memory layouts differ by more than the tolerance
        for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
            close(p.grad, q.grad, tolerance, name)


@pytest.mark.parametrize(("dtype", "size", "tolerance"), [(np.float64, 64, 1e-9), (np.float32, 96, 1e-4)])
def test_ten_steps_of_sgd_follow_pytorchs_losses(
    dtype: type, size: int, tolerance: float, cut_data: FashionMNIST
) -> None:
    """At a rate at which the loss falls. At 0.01 the first step throws it from 2.6 to 9, and what float32 rounds off
    grows with it: to 5e-4 here, and on noise, where it goes to 22, to 5e-3, between PyTorch's two layouts as well."""
    torch = torch_module()
    model = GoogLeNet(image_size=size, dropout=0.0).to(dtype)
    twin = twin_of(model)
    options = {"lr": 3e-4, "momentum": 0.9}
    optimizer = minigrad.optim.SGD(model.parameters(), **options)
    twins = torch.optim.SGD(twin.parameters(), **options)
    losses, expected = [], []
    for images, labels in islice(batches(cut_data.train_images, cut_data.train_labels, 8, size), 10):
        x = images.astype(dtype)
        loss = F.cross_entropy(model(Tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs = torch.nn.functional.cross_entropy(twin(torch.tensor(x)), torch.from_numpy(labels))
        twins.zero_grad()
        theirs.backward()
        twins.step()
        losses.append(loss.item())
        expected.append(theirs.item())
    assert losses == pytest.approx(expected, rel=tolerance)
    assert max(losses) - min(losses) > 0.2, "the weights must have moved for this to mean anything"


def close(got: np.ndarray, expected: Any, tolerance: float, what: str = "") -> None:
    """The largest error is at most `tolerance` of the largest expected value."""
    wanted = expected.numpy()
    assert got.shape == wanted.shape, what
    assert np.abs(got - wanted).max() <= tolerance * np.abs(wanted).max(), what


# --- against finite differences


class Choices(Observer):
    """Which ReLUs let through and which inputs won in the max-pools: where these change, the loss has a kink."""

    def __init__(self) -> None:
        self.made: list[bytes] = []

    def after_forward(self, function: Function, output: np.ndarray) -> None:
        if function.name == "Conv2d":
            self.made.append(np.packbits(output > 0).tobytes())
        elif function.name == "MaxPool2d":
            self.made.append(function.saved[0].tobytes())


def loss_and_choices(model: Module, x: Tensor, weigh: np.ndarray) -> tuple[Tensor, list[bytes]]:
    choices = Choices()
    with minigrad.observe(choices):
        loss = (model(x) * weigh).sum()
    return loss, choices.made


@pytest.fixture(params=["inception3a", "googlenet"])
def network(request: pytest.FixtureRequest) -> Iterator[tuple[Module, np.ndarray]]:
    if request.param == "googlenet":
        yield GoogLeNet(image_size=32, dropout=0.0).to(np.float64), pictures(2, 32)
    else:
        yield Inception(24, TABLE_1["inception3a"]).to(np.float64), pictures(2, 6, 24)


def test_gradients_agree_with_finite_differences(network: tuple[Module, np.ndarray]) -> None:
    model, pixels = network
    random = np.random.default_rng(5)
    x = Tensor(pixels, requires_grad=True)
    weigh = random.standard_normal(model(x).shape)
    loss, here = loss_and_choices(model, x, weigh)
    loss.backward()
    leaves = [x, *model.parameters()]
    for _ in range(3):
        direction = [random.standard_normal(leaf.shape) for leaf in leaves]
        length = np.sqrt(sum(np.sum(d * d) for d in direction))
        given = sum(float(np.sum(leaf.grad * d)) for leaf, d in zip(leaves, direction, strict=True)) / length
        step = 1e-3
        while True:
            (ahead, choices_ahead), (behind, choices_behind) = (
                probe(model, x, weigh, leaves, direction, sign * step / length) for sign in (1, -1)
            )
            if choices_ahead == choices_behind == here:
                break
            step /= 4  # a mask changed between the probes: look closer
            assert step > 1e-9
        assert (ahead - behind) / (2 * step) == pytest.approx(given, rel=1e-6)


def probe(
    model: Module, x: Tensor, weigh: np.ndarray, leaves: list[Tensor], direction: list[np.ndarray], amount: float
) -> tuple[float, list[bytes]]:
    """The loss, and the choices made, with all leaves moved; they are moved back afterwards."""
    originals = [leaf.data for leaf in leaves]
    for leaf, d in zip(leaves, direction, strict=True):
        leaf.data = leaf.data + amount * d
    loss, choices = loss_and_choices(model, x, weigh)
    for leaf, original in zip(leaves, originals, strict=True):
        leaf.data = original
    return loss.item(), choices
