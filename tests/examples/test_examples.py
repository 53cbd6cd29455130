"""The examples: each learns through its own command line, and computes what its twin in PyTorch does."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F, nn
from minigrad.commands.settings import help_of, options_of
from minigrad.data import FashionMNIST, prepare
from tests.minigrad.against_torch import assert_close, torch_module

FOLDER = Path(__file__).parents[2] / "examples"
PROGRAMS = ("lenet", "small_inception", "small_resnet")
SIZE = 20
"""Pixels of the images here, so that all are quick; every network has maps of more than one pixel left at its end."""


def program(name: str) -> ModuleType:
    """An example's file as a module; the folder is no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- the networks once more, in PyTorch's functions


class Layers:
    """PyTorch's functions on a network's weights, by the names of its layers."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.torch = torch_module()
        self.F, self.weights = self.torch.nn.functional, weights

    def conv(self, name: str, x: Any, padding: Any = 0, stride: int = 1) -> Any:
        weight, bias = self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")
        return self.F.conv2d(x, weight, bias, stride, padding)

    def linear(self, name: str, x: Any) -> Any:
        return self.F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name: str, x: Any) -> Any:
        """With the batch, as in training."""
        names = ("running_mean", "running_var", "weight", "bias")
        return self.F.batch_norm(x, *(self.weights[f"{name}.{part}"] for part in names), training=True)


def lenet(net: Layers, x: Any) -> Any:
    x = net.F.max_pool2d(net.conv("conv1", x, 2).relu(), 2)
    x = net.F.max_pool2d(net.conv("conv2", x).relu(), 2).flatten(1)
    x = net.linear("fc2", net.linear("fc1", x).relu()).relu()
    return net.linear("fc3", x)


def inception(five: list[Any], three: list[Any]) -> Callable[[Layers, Any], Any]:
    """five, three: the paddings of the convolutions in place of a 5x5 and of a 3x3."""

    def block(net: Layers, name: str, x: Any) -> Any:
        def chain(branch: str, x: Any, paddings: list[Any]) -> Any:
            for place, padding in enumerate(paddings):
                x = net.conv(f"{name}.{branch}.{place}", x, padding).relu()
            return x

        pooled = chain("pool.1", net.F.avg_pool2d(x, 3, stride=1, padding=1), [0])
        wide = chain("branch5.1", chain("branch5.0", x, [0]), five)
        twice = chain("branch3.2", chain("branch3.1", chain("branch3.0", x, [0]), three), three)
        return net.torch.cat([pooled, chain("branch1", x, [0]), wide, twice], dim=1)

    def network(net: Layers, x: Any) -> Any:
        x = block(net, "inception1", net.F.max_pool2d(net.conv("conv1", x).relu(), 2))
        x = block(net, "inception2", net.F.max_pool2d(net.conv("conv2", x).relu(), 2))
        return net.linear("fc", x.flatten(1))

    return network


def resnet(net: Layers, x: Any) -> Any:
    def block(name: str, x: Any, stride: int) -> Any:
        y = net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, 1, stride)).relu()
        y = net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", y, 1))
        if stride == 2:
            x = net.norm(f"{name}.shortcut.1", net.conv(f"{name}.shortcut.0", x, 0, stride))
        return (x + y).relu()

    x = net.norm("bn1", net.conv("conv1", x, 1)).relu()
    for stage, stride in (("stage1", 1), ("stage2", 2), ("stage3", 2)):
        x = block(f"{stage}.1", block(f"{stage}.0", x, stride), 1)
    return net.linear("fc", x.mean(dim=(2, 3)))


# --- what must be true of each


class Example(NamedTuple):
    """A program, its network's class and options, and what must be true of it.

    parameters: how many for 28x28. smallest: the least image_size.
    """

    file: str
    network: str
    options: dict[str, str]
    parameters: int
    smallest: int
    twin: Callable[[Layers, Any], Any]


EXAMPLES = [
    Example("lenet", "LeNet", {}, 61_706, 12, lenet),
    Example("small_inception", "SmallInception", {}, 97_298, 16, inception([2], [1])),
    Example("small_inception", "SmallInception", {"factorised": "v2"}, 89_650, 16, inception([1, 1], [1])),
    Example(
        "small_inception", "SmallInception", {"factorised": "v3"}, 78_082, 16,
        inception([(0, 2), (2, 0)], [(0, 1), (1, 0)]),
    ),
    Example("small_resnet", "SmallResNet", {}, 174_970, 5, resnet),
]  # fmt: skip
each = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: "-".join([e.network, *e.options.values()]))


def network(example: Example, **options: int) -> nn.Module:
    model = getattr(program(example.file), example.network)(**options, **example.options)
    assert isinstance(model, nn.Module)
    return model


@each
def test_it_learns_through_its_command_line(
    example: Example, tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    main, out, cpu = program(example.file).main, tmp_path / "run", ["--device", "cpu"]
    options = ["--image-size", str(SIZE), "--epochs", "2", "--lr", "0.003", "--batch-size", "20", "--out", str(out)]
    own = [word for name, value in example.options.items() for word in (f"--{name}", value)]
    assert main([*options, *own, *cpu]) == 0
    assert json.loads((out / "config.json").read_text())["network"] == example.network
    first, last = (json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines())
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["test_accuracy"] > 0.4

    capsys.readouterr()
    assert main(["evaluate", str(out), *cpu]) == 0
    assert f"loss {last['test_loss']:.4f}, accuracy {last['test_accuracy']:.4f}" in capsys.readouterr().out
    assert main(["summary", *own]) == 0
    assert f"{example.parameters:,}" in capsys.readouterr().out


@each
def test_sizes_follow_the_images(example: Example) -> None:
    for size in (example.smallest, example.smallest + 1, 32):
        images = Tensor(np.zeros((2, 3, size, size), np.float32))
        assert network(example, in_channels=3, num_classes=7, image_size=size)(images).shape == (2, 7)
    with pytest.raises(ValueError, match=f"image_size: given {example.smallest - 1}, expected at least"):
        network(example, image_size=example.smallest - 1)


@each
def test_it_agrees_with_pytorch(example: Example, cut_data: FashionMNIST) -> None:
    """On real images: the logits, the gradients of all weights and of the images, and the running statistics."""
    torch = torch_module()
    minigrad.manual_seed(0)
    model = network(example, image_size=SIZE).to(np.float64)
    pixels = prepare(cut_data.train_images[:4], SIZE).astype(np.float64)
    weights = {name: torch.tensor(array) for name, array in model.state_dict().items()}
    learned = {"images": torch.tensor(pixels)} | {name: weights[name] for name, _ in model.named_parameters()}
    for leaf in learned.values():
        leaf.requires_grad_()
    x = Tensor(pixels, requires_grad=True)
    logits, expected = model(x), example.twin(Layers(weights), learned["images"])
    upstream = np.random.default_rng(0).standard_normal(logits.shape)
    logits.backward(upstream)
    expected.backward(torch.from_numpy(upstream))
    assert_close(logits.data, expected.detach().numpy(), "logits")
    for name, tensor in (("images", x), *model.named_parameters()):
        assert tensor.grad is not None, name
        assert_close(tensor.grad, learned[name].grad.numpy(), name)
    for name, buffer in model.named_buffers():
        if not name.endswith("num_batches_tracked"):  # PyTorch's function does not count
            assert_close(buffer.data, weights[name].numpy(), name)


@pytest.mark.parametrize(
    ("factorised", "five", "three"),
    [
        (None, [(5, 5)], [(3, 3)]),
        ("v2", [(3, 3), (3, 3)], [(3, 3)]),
        ("v3", [(1, 5), (5, 1)], [(1, 3), (3, 1)]),
    ],
)
def test_the_block_has_88_channels_and_the_papers_filters(
    factorised: str | None, five: list[tuple[int, int]], three: list[tuple[int, int]]
) -> None:
    block = program("small_inception").Inception(10, factorised)
    assert block(Tensor(np.zeros((2, 10, 6, 5), np.float32))).shape == (2, 88, 6, 5)

    def filters(branch: nn.Module) -> list[tuple[int, ...]]:
        return [p.shape[2:] for p in branch.parameters() if p.ndim == 4]

    assert filters(block.pool) == filters(block.branch1) == [(1, 1)]
    assert filters(block.branch5) == [(1, 1), *five]
    assert filters(block.branch3) == [(1, 1), *three, *three]
    widths = [branch(Tensor(np.zeros((1, 10, 6, 5), np.float32))).shape[1] for branch in block.children()]
    assert widths == [24, 16, 24, 24]


def test_the_block_knows_no_other_factorisation() -> None:
    with pytest.raises(ValueError, match="factorised: given 'v4', expected None, 'v2' or 'v3'"):
        program("small_inception").Inception(10, "v4")


def test_an_identity_shortcut_is_where_the_shape_stays() -> None:
    """With its last normalisation at zero such a block gives what came in, rectified."""
    model = program("small_resnet").SmallResNet()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 32, 4, 4)).astype(np.float32))
    block = model.stage2[1]
    nn.init.constant_(block.bn2.weight, 0.0)
    np.testing.assert_array_equal(block(x).data, F.relu(x).data)
    projections = [name for name, _ in model.named_parameters() if name.endswith("shortcut.0.weight")]
    assert projections == ["stage2.0.shortcut.0.weight", "stage3.0.shortcut.0.weight"]


@each
def test_every_option_has_its_help(example: Example) -> None:
    builder = getattr(program(example.file), example.network)
    assert list(help_of(builder, names := list(options_of(builder)))) == names


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_short(name: str) -> None:
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 100


def test_every_example_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(PROGRAMS) == {example.file for example in EXAMPLES}
