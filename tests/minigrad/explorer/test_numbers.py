"""The numbers on a page are the numbers of the run: recomputed by PyTorch, by hand and by loops."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad
from googlenet import GoogLeNet
from minigrad import Tensor, functional as F, nn
from tests.minigrad.against_torch import torch_module
from tests.minigrad.explorer.pages import array_at, operation, read_page

SIZE = 32
LABELS = np.array([3, 1, 4, 1, 5, 9, 2, 6])
IMAGE = 5


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((8, 1, SIZE, SIZE))


@pytest.fixture(scope="module")
def net() -> GoogLeNet:
    """In float64: in float32 a rounding may change who wins a max-pool."""
    minigrad.manual_seed(0)
    return GoogLeNet(image_size=SIZE, dropout=0.0).to(np.float64)


@pytest.fixture(scope="module")
def page(net: GoogLeNet, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = minigrad.explore(
        lambda: F.cross_entropy(net(Tensor(images)), LABELS), tmp_path_factory.mktemp("page"), image=IMAGE
    )
    return read_page(path)


@pytest.fixture(scope="module")
def twin(net: GoogLeNet, images: np.ndarray) -> dict[str, Any]:
    """PyTorch's outputs, by module, with their gradients, and its parameters' gradients."""
    torch: ModuleType = torch_module()
    from benchmarks.torch_googlenet import TorchGoogLeNet, tensors

    model = TorchGoogLeNet(1, 10, dropout=0.0).double()
    model.load_state_dict(tensors(net.state_dict()))
    seen: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            output.retain_grad()
            seen[name] = output

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(keep(name))
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(LABELS))
    loss.backward()
    return {
        "loss": loss.item(),
        **{name: (output.detach().numpy(), output.grad.numpy()) for name, output in seen.items()},
        **{f"grad of {name}": parameter.grad.numpy() for name, parameter in model.named_parameters()},
    }


def learned(found: dict[str, Any], argument: str) -> dict[str, Any]:
    (only,) = (each for each in found["inputs"] if each["argument"] == argument)
    return only  # type: ignore[no-any-return]


def test_ten_numbers_are_pytorchs(page: dict[str, Any], twin: dict[str, Any]) -> None:
    block, block_grad = twin["inception3a"]
    deep, deep_grad = twin["inception4e"]
    conv3, last = operation(page, "conv3.conv", "Conv2d"), operation(page, "fc", "Linear")
    given = {
        "loss": page["loss"],
        "mean of a block's output": operation(page, "inception3a", "Cat")["output"]["mean"],
        "its deviation": operation(page, "inception3a", "Cat")["output"]["std"],
        "norm of its gradient": operation(page, "inception3a", "Cat")["gradient"]["norm"],
        "norm of a deep gradient": operation(page, "inception4e", "Cat")["gradient"]["norm"],
        "largest deep output": operation(page, "inception4e", "Cat")["output"]["high"],
        "share of zeros": operation(page, "inception4e", "Cat")["output"]["zeros"],
        "norm of a weight's gradient": learned(conv3, "weight")["gradient"]["norm"],
        "smallest bias gradient": learned(conv3, "bias")["gradient"]["low"],
        "deviation of the last weight's gradient": learned(last, "weight")["gradient"]["std"],
        "logits' mean": last["output"]["mean"],
    }
    expected = {
        "loss": twin["loss"],
        "mean of a block's output": block.mean(),
        "its deviation": block.std(),
        "norm of its gradient": np.linalg.norm(block_grad),
        "norm of a deep gradient": np.linalg.norm(deep_grad),
        "largest deep output": deep.max(),
        "share of zeros": (deep == 0).mean(),
        "norm of a weight's gradient": np.linalg.norm(twin["grad of conv3.conv.weight"]),
        "smallest bias gradient": twin["grad of conv3.conv.bias"].min(),
        "deviation of the last weight's gradient": twin["grad of fc.weight"].std(),
        "logits' mean": twin["fc"][0].mean(),
    }
    assert given == pytest.approx(expected, rel=1e-9)


def test_maps_are_those_of_the_image_to_half_a_level(page: dict[str, Any], twin: dict[str, Any]) -> None:
    for name in ("inception3a", "inception5b"):
        found = operation(page, name, "Cat")
        for key, expected in zip(("output", "gradient"), twin[name], strict=True):
            maps = array_at(page, found[key]["maps"])
            step = np.abs(expected[IMAGE]).max() / 127
            assert maps.shape == expected[IMAGE].shape
            assert np.abs(maps - expected[IMAGE]).max() < 0.5001 * step


def test_the_histogram_counts_every_number_once(page: dict[str, Any], twin: dict[str, Any]) -> None:
    output, _ = twin["inception3a"]
    histogram = operation(page, "inception3a", "Cat")["output"]["histogram"]
    counts, _ = np.histogram(output, 40)
    assert counts.tolist() == histogram["counts"]
    assert sum(histogram["counts"]) == output.size


def test_what_is_saved_and_computed_follows_from_the_shapes(page: dict[str, Any]) -> None:
    conv = operation(page, "inception3a.branch2.1.conv", "Conv2d")  # 96 to 128 channels, 3x3, at 4x4
    assert {saved["name"]: saved["bytes"] for saved in conv["saved"]} == {
        "x": 8 * 8 * 96 * 4 * 4, "w": 8 * 128 * 96 * 3 * 3, "y": 8 * 8 * 128 * 4 * 4,
    }  # fmt: skip
    assert conv["multiply_adds"] == 8 * 4 * 4 * 128 * 96 * 3 * 3
    pool = operation(page, "maxpool2", "MaxPool2d")
    assert [(saved["name"], saved["bytes"]) for saved in pool["saved"]] == [("winner", 8 * 192 * 4 * 4), ("size", 0)]
    assert pool["multiply_adds"] == 0


def test_a_convolutions_window_times_its_weights_is_its_output(page: dict[str, Any]) -> None:
    for path in ("conv1.conv", "inception3a.branch3.1.conv", "inception4a.branch1.conv"):
        closer = operation(page, path, "Conv2d")["closer"]
        x, weight, output = (array_at(page, closer[key]) for key in ("input", "weight", "output"))
        (top, left), (down, right) = closer["padding"], closer["stride"]
        padded = np.pad(x, ((0, 0), (top, top), (left, left)))
        for row, column in ((0, 0), (0, 1), (output.shape[0] - 1, output.shape[1] - 1)):
            begin = row * down, column * right
            window = padded[:, begin[0] : begin[0] + weight.shape[1], begin[1] : begin[1] + weight.shape[2]]
            assert max(0.0, (window * weight).sum() + closer["bias"]) == pytest.approx(output[row, column], abs=1e-5)


def test_the_channel_that_can_be_opened_has_the_largest_gradient(page: dict[str, Any], twin: dict[str, Any]) -> None:
    name = "inception3b.branch2.1.conv"
    closer = operation(page, name, "Conv2d")["closer"]
    offset = 128  # channels of branch1 before it
    output, gradient = (array[IMAGE, offset : offset + 192] for array in twin["inception3b"])
    norms = np.linalg.norm(np.where(output > 0, gradient, 0).reshape(192, -1), axis=1)
    assert closer["channel"] == norms.argmax()
    given = array_at(page, closer["gradient"])
    expected = np.where(output > 0, gradient, 0)[closer["channel"]]
    np.testing.assert_allclose(given, expected, rtol=1e-6, atol=1e-12)


def test_a_max_pools_winners_are_its_windows_first_maxima(page: dict[str, Any]) -> None:
    closer = operation(page, "maxpool1", "MaxPool2d")["closer"]
    x, output, winner = (array_at(page, closer[key]) for key in ("input", "output", "winner"))
    owed, gradient = (array_at(page, closer[key]) for key in ("input_gradient", "gradient"))
    padded = np.pad(x, 1, constant_values=-np.inf)
    received = np.zeros_like(padded)
    for (row, column), value in np.ndenumerate(output):
        window = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        assert window.max() == value
        assert window.argmax() == winner[row, column]
        u, v = divmod(int(winner[row, column]), 3)
        received[2 * row + u, 2 * column + v] += gradient[row, column]
    np.testing.assert_allclose(received[1:-1, 1:-1], owed, atol=1e-6 * np.abs(owed).max())


def test_dropouts_mask_is_the_one_that_dropped(tmp_path: Path) -> None:
    minigrad.manual_seed(4)
    dropout = nn.Dropout(0.4)
    outputs = []

    def loss() -> Tensor:
        outputs.append(dropout(Tensor(np.ones((3, 20), np.float32), requires_grad=True)))
        return outputs[0].sum()

    page = read_page(minigrad.explore(loss, tmp_path))
    kept = array_at(page, operation(page, "", "Dropout")["closer"]["kept"])
    np.testing.assert_array_equal(kept[0] != 0, outputs[0].data != 0)
    assert 0 < kept.sum() < 60


def test_not_finite_numbers_are_counted_and_break_nothing(tmp_path: Path) -> None:
    x = Tensor(np.array([0.0, 1.0, -1.0], np.float32), requires_grad=True)
    page = read_page(minigrad.explore(lambda: x.log().sum(), tmp_path))
    log = operation(page, "", "Log")
    assert log["output"]["not_finite"] == 2
    assert page["loss"] is None
