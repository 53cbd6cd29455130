"""ONNX files: onnxruntime computes with them what the network does, for batches of any size."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import googlenet
import minigrad
from googlenet import GoogLeNet
from minigrad import Tensor, functional as F, nn, no_grad
from minigrad.commands import run
from minigrad.commands.export import check
from minigrad.data import FashionMNIST, prepare
from minigrad.interop import ExportError, save_onnx
from minigrad.training.checkpoint import load_model
from minigrad.training.config import Config
from tests.small_net import SmallNet

EXAMPLES = Path(__file__).parents[3] / "examples"
TOLERANCE = 1e-4


def pictures(count: int, channels: int, *size: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, channels, *size)).astype(np.float32)


def as_trained(model: nn.Module) -> nn.Module:
    """In training mode, and no statistic, scale or bias what it was at first."""
    random = np.random.default_rng(2)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name.endswith(("bias", "running_mean")):
            tensor.data += 0.1 * random.standard_normal(tensor.shape).astype(np.float32)
        elif name.endswith(("bn.weight", "bn1.weight", "running_var")):
            tensor.data *= random.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
    return model


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the networks are small, and waking threads costs more than they save
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def agree(model: nn.Module, path: Path, channels: int, *size: int) -> onnx.ModelProto:
    """Export, and compare on batches of one and of five; the file's content."""
    save_onnx(model, path, (channels, *size))
    program = session(path)
    for count in (1, 5):
        x = pictures(count, channels, *size)
        (got,) = program.run(["logits"], {"images": x})
        with no_grad():
            expected = model.eval()(Tensor(x)).data
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        assert np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max()
    return onnx.load(path)


# --- whole networks


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 32),
        ({"aux": True}, 72),
        ({"lrn": True}, 32),
        ({"norm": "batch"}, 32),
        ({"in_channels": 3, "variant": "torchvision", "aux": True}, 50),
    ],
)
def test_googlenet_agrees(options: dict[str, Any], size: int, tmp_path: Path) -> None:
    minigrad.manual_seed(1)
    model = as_trained(GoogLeNet(image_size=size, **options))
    file = agree(model, tmp_path / "g.onnx", options.get("in_channels", 1), size, size)
    used = {name for name in model.state_dict() if not name.startswith("aux") and not name.endswith("tracked")}
    names = {initialiser.name for initialiser in file.graph.initializer}
    assert used <= names, "weights are called as in state_dict"
    assert not {name for name in names if name.startswith("aux")}
    kinds = [node.op_type for node in file.graph.node]
    assert (kinds.count("Conv"), kinds.count("Relu"), kinds.count("LRN")) == (57, 57, 2 * bool(options.get("lrn")))
    assert [domain.version for domain in file.opset_import] == [17]
    assert [value.name for value in (*file.graph.input, *file.graph.output)] == ["images", "logits"]
    batch, *rest = file.graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, rest[-1].dim_value) == ("N", size)


@pytest.mark.parametrize(
    ("program", "network", "options"),
    [
        ("lenet", "LeNet", {}),
        ("small_inception", "SmallInception", {"factorised": "v3"}),
        ("small_resnet", "SmallResNet", {}),
    ],
)
def test_examples_agree(program: str, network: str, options: dict[str, Any], tmp_path: Path) -> None:
    minigrad.manual_seed(1)
    model = runpy.run_path(str(EXAMPLES / f"{program}.py"))[network](image_size=20, **options)
    agree(as_trained(model), tmp_path / "e.onnx", 1, 20, 20)


# --- operations


class Network(nn.Module):
    """One function, and what it may use: a weight (3,) and a batch normalisation."""

    def __init__(self, function: Callable[["Network", Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.scale = nn.Parameter(np.array([1.0, -2.0, 3.0], np.float32))
        self.bn = nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def conv(x: Tensor, *shape: int, **options: Any) -> Tensor:
    return F.conv2d(x, Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32)), **options)


OPERATIONS: dict[str, Callable[[Network, Tensor], Tensor]] = {
    "conv2d, every option": lambda n, x: conv(
        x, 6, 1, 3, 2, bias=Tensor(pictures(1, 6)[0]), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=3
    ),
    "conv2d, same, with relu": lambda n, x: conv(x, 4, 3, 2, 4, padding="same", activation="relu"),
    "max_pool2d": lambda n, x: F.max_pool2d(x, (3, 2), stride=2, padding=1),
    "max_pool2d, ceil_mode": lambda n, x: F.max_pool2d(x, 2, stride=(2, 3), ceil_mode=True),
    "max_pool2d, dilated": lambda n, x: F.max_pool2d(x, 3, stride=2, padding=1, dilation=2, ceil_mode=True),
    "avg_pool2d": lambda n, x: F.avg_pool2d(x, 3, stride=1, padding=1),
    "avg_pool2d, padding not counted": lambda n, x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
    "avg_pool2d, ceil_mode": lambda n, x: F.avg_pool2d(x, 2, ceil_mode=True),
    "avg_pool2d, ceil_mode, padding": lambda n, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "adaptive_avg_pool2d": lambda n, x: F.adaptive_avg_pool2d(x, (1, 2)),
    "linear without bias": lambda n, x: F.linear(F.flatten(x, 1), Tensor(pictures(4, 126))),
    "batch_norm without weights": lambda n, x: n.bn(x),
    "local_response_norm": lambda n, x: F.local_response_norm(x, 3, alpha=2.0, beta=0.6, k=1.5),
    "pad": lambda n, x: F.pad(x, (1, 2, 0, 3), value=7.0),
    "pad that cuts off": lambda n, x: F.pad(x, (-1, 1)),
    "cat": lambda n, x: F.cat([x, F.relu(x), x], dim=-3),
    "numbers": lambda n, x: 2 - 3 * x / 4 + 1,
    "a weight, twice": lambda n, x: (x.reshape(x.shape[0], -1, 3) * n.scale - n.scale) / n.scale,
    "operations that need each other twice": lambda n, x: (lambda y: y + y * x)(F.relu(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree(name: str, tmp_path: Path) -> None:
    agree(Network(OPERATIONS[name]), tmp_path / "o.onnx", 3, 7, 6)



@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n, x: F.softmax(x, 1), "<Softmax> has no translation to ONNX; there are: Conv2d, MaxPool2d, "),
        (lambda n, x: F.batch_norm(x, None, None, training=True), "<BatchNorm> normalises with each batch's own stat"),
        (lambda n, x: F.local_response_norm(x, 4), "<LocalResponseNorm> has a window of 4 channels"),
        (lambda n, x: F.adaptive_avg_pool2d(x, 4), "<AdaptiveAvgPool2d> has windows of different sizes"),
        (lambda n, x: F.avg_pool2d(x, 2, divisor_override=3), "<AvgPool2d> has a divisor of its own"),
        (lambda n, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), "<AvgPool2d> counts padding and has windows that"),
        (lambda n, x: x.reshape(-1, 6), r"<Reshape> makes \(42, 6\) of \(2, 3, 7, 6\), not image by image"),
        (lambda n, x: F.linear(x, Tensor(pictures(2, 6))), "<Linear> has an input of 4 axes"),
        (lambda n, x: (x + 1, x), "the network gives tuple, expected one tensor"),
        (lambda n, x: x, "the network gives a tensor that none of its operations has made"),
    ],
)
def test_what_cannot_be_said_in_onnx_is_named(function: Any, message: str, tmp_path: Path) -> None:
    model = Network(function)
    with pytest.raises(ExportError, match=message):
        save_onnx(model, tmp_path / "o.onnx", (3, 7, 6))
    assert not list(tmp_path.iterdir())
    assert model.training, "in the mode that it was in"


def test_other_dtypes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="weights: given float64, expected float32"):
        save_onnx(GoogLeNet(image_size=32).to(np.float64), tmp_path / "o.onnx", (1, 32, 32))


def test_a_shape_that_the_network_refuses_is_named(tmp_path: Path) -> None:
    message = r"image_shape: given \(1, 33, 33\), which the network refuses: x: given shape"
    with pytest.raises(ExportError, match=message):
        save_onnx(GoogLeNet(image_size=32), tmp_path / "o.onnx", (1, 33, 33))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", [lambda n, x: x + Tensor(x.data * 2), lambda n, x: F.relu(x) * x.shape[0]])
def test_what_is_computed_past_the_operations_is_noticed(function: Any, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="computes with its images, or their number, past its operations"):
        save_onnx(Network(function), tmp_path / "o.onnx", (3, 7, 6))


def test_a_failed_export_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the old one")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_onnx(Network(lambda n, x: F.relu(x)), path, (3, 7, 6))
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


# --- the command


def test_a_trained_run_is_exported(
    tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file alone tells how to use it: images are made ready by what it says."""
    run_folder, path = tmp_path / "run", tmp_path / "model.onnx"
    few = ["--epochs", "1", "--batch-size", "40", "--train-limit", "80", "--test-limit", "20"]
    options = ["--device", "cpu", "--image-size", "28", "--norm", "batch", "--no-normalized", "--out", str(run_folder)]
    assert googlenet.main([*few, *options]) == 0
    capsys.readouterr()
    assert googlenet.main(["export", str(run_folder), str(path), "--check"]) == 0
    said, checked = capsys.readouterr().out.splitlines()
    assert said == f"{path}: GoogLeNet, images (N x 1 x 28 x 28) -> logits (N x 10)"
    assert checked.startswith("onnxruntime: the same class for 200 of 200 test images, logits at most ")

    file = onnx.load(path)
    properties = {entry.key: entry.value for entry in file.metadata_props}
    assert json.loads(properties["class_names"])[9] == "Ankle boot"
    assert "GoogLeNet, trained on Fashion-MNIST. images: N x 1 x 28 x 28, float32" in file.doc_string
    mean, std = float(properties["mean"]), float(properties["std"])
    images = (cut_data.test_images[:50, None].astype(np.float32) / 255 - mean) / std
    (got,) = session(path).run(None, {"images": images})
    model = GoogLeNet(image_size=28, norm="batch")
    load_model(run_folder / "checkpoint.safetensors", model)
    with no_grad():
        expected = model.eval()(Tensor(prepare(cut_data.test_images[:50], 28, normalized=False))).data
    assert np.abs(got - expected).max() <= TOLERANCE * np.abs(expected).max()

    model.fc.bias.data[3] += 9.0
    config = Config.load(run_folder, "GoogLeNet")
    with pytest.raises(ExportError, match=r"--check: expected the same class for all, and at most \d\.\de-0\d"):
        check(path, model.eval(), config, cut_data)
    assert "logits at most 9.0e+00 apart" in capsys.readouterr().out
    with monkeypatch.context() as patch:  # and where neither side has numbers, they do not agree
        nothing = np.full((1, 10), np.nan, np.float32)

        def run(_: Any, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [nothing.repeat(len(feeds["images"]), 0)]

        patch.setattr("onnxruntime.InferenceSession.run", run)
        model.fc.bias.data[:] = np.nan
        with pytest.raises(ExportError, match="--check: expected"):
            check(path, model, config, cut_data)
        assert "the same class for 200 of 200 test images, logits at most nan apart" in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert googlenet.main(["export", str(run_folder), str(path), "--check"]) == 1
    assert capsys.readouterr().err == "error: --check: onnxruntime is not installed: pip install onnxruntime\n"
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert googlenet.main(["export", str(run_folder), str(path)]) == 1
    assert capsys.readouterr().err == "error: onnx is not installed: pip install -e '.[onnx]'\n"


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SmallNet, ["export", str(tmp_path), str(tmp_path / "m.onnx")]) == 1
    assert "expected the folder of a training run" in capsys.readouterr().err
