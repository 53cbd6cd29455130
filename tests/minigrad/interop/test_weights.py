"""Weights in safetensors files: what PyTorch reads is what was saved, and back, and nothing is broken by a failure."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import minigrad
from googlenet import GoogLeNet
from minigrad import Tensor, no_grad
from minigrad.interop import ArrayFileError, load_weights, save_weights
from minigrad.nn import Module
from tests.minigrad.against_torch import assert_close, torch_module
from tests.small_net import SmallNet

SIZE = 32
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "paper": ({"in_channels": 1}, {"channels": 1}),
    "torchvision": (
        {"in_channels": 3, "aux": True, "variant": "torchvision"},
        {"channels": 3, "aux_places": 16, "torchvision": True},
    ),
}
"""Options of our network and of its twin."""
each = pytest.mark.parametrize("name", NETWORKS)


def network(name: str) -> GoogLeNet:
    minigrad.manual_seed(1)
    return GoogLeNet(num_classes=7, image_size=SIZE, **NETWORKS[name][0])


def twin(name: str) -> Any:
    """PyTorch's network, whose running statistics are not those it began with."""
    torch = torch_module()
    from tests.torch_variants import TorchVariant

    torch.manual_seed(0)
    model = TorchVariant(classes=7, **NETWORKS[name][1])
    for buffer in model.buffers():
        buffer.copy_(3 if buffer.ndim == 0 else torch.rand(buffer.shape) + 0.5)
    return model


def assert_same(model: GoogLeNet, its_twin: Any) -> None:
    """The same numbers and logits."""
    torch = torch_module()
    ours, theirs = model.state_dict(), its_twin.state_dict()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert (array.shape, str(array.dtype)) == (theirs[name].shape, str(theirs[name].dtype).split(".")[1])
        np.testing.assert_array_equal(array, theirs[name].numpy(), name)
    x = np.random.default_rng(0).standard_normal((2, model.in_channels, SIZE, SIZE)).astype(np.float32)
    with no_grad(), torch.no_grad():
        assert_close(model.eval()(Tensor(x)).data, its_twin.eval()(torch.from_numpy(x)).numpy())


@each
def test_pytorch_reads_what_was_saved(name: str, tmp_path: Path) -> None:
    torch_module()
    from safetensors.torch import load_file

    model, its_twin = network(name), twin(name)
    for buffer in model.buffers():
        buffer.data += 2
    save_weights(model, tmp_path / "w.safetensors")
    its_twin.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert_same(model, its_twin)


@each
def test_what_pytorch_saved_is_read(name: str, tmp_path: Path) -> None:
    torch_module()
    from safetensors.torch import save_file

    model, its_twin = network(name), twin(name)
    memory = model.conv3.conv.weight.data
    save_file(its_twin.state_dict(), tmp_path / "w.safetensors")
    load_weights(model, str(tmp_path / "w.safetensors"))
    assert_same(model, its_twin)
    assert model.conv3.conv.weight.data is memory
    assert memory.transpose(2, 3, 1, 0).flags.c_contiguous, "the kernels' layout stays"
    if name == "torchvision":
        count = model.conv1.bn.num_batches_tracked.data
        assert (count.shape, count.dtype, int(count)) == ((), np.int64, 3)


def small(seed: int) -> SmallNet:
    minigrad.manual_seed(seed)
    return SmallNet(1, 10, 28)


def as_file(path: Path, model: Module, **changed: Any) -> Path:
    """A file of the model's weights, some of them changed, or left out where None."""
    arrays = {**model.state_dict(), **{name.replace("__", "."): array for name, array in changed.items()}}
    path.write_bytes(safetensors.numpy.save({name: array for name, array in arrays.items() if array is not None}))
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fc__bias": None}, r"does not fit this SmallNet: .*missing \['fc\.bias'\], unexpected none"),
        ({"fc__bins": np.zeros(2)}, r"missing none, unexpected \['fc\.bins'\]"),
        ({"fc__bias": np.zeros(9, np.float32)}, r"fc\.bias: given float32 \(9,\), expected float32 \(10,\)"),
        ({"fc__bias": np.zeros(10)}, r"fc\.bias: given float64 \(10,\), expected float32 \(10,\)"),
        ({"fc__bias": np.zeros(10, np.float16)}, r"'fc\.bias': given dtype F16, expected one of float32, float64, "),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    path, model = as_file(tmp_path / "w", small(2), **changed), small(1)
    before = model.state_dict()
    with pytest.raises(ArrayFileError, match=message) as error:
        load_weights(model, path)
    assert str(error.value).startswith(f"{path}: ")
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name], name)


def test_weights_of_half_precision_are_refused(tmp_path: Path) -> None:
    torch = torch_module()
    from safetensors.torch import save_file

    save_file({"fc.bias": torch.zeros(10, dtype=torch.bfloat16)}, tmp_path / "w")
    with pytest.raises(ArrayFileError, match=r"'fc\.bias': given dtype BF16, expected one of float32"):
        load_weights(small(1), tmp_path / "w")


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"PK\x03\x04 a zip")
    for name, message in (("nowhere", "no such file"), ("broken", "not a readable safetensors file")):
        with pytest.raises(ArrayFileError, match=f"{name}: {message}"):
            load_weights(small(1), tmp_path / name)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = tmp_path / "w.safetensors", small(1)
    save_weights(model, path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_weights(small(2), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
