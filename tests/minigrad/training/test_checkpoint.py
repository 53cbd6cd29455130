"""Checkpoints: nothing lost on the way to disk and back, and nothing broken by a failure."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import minigrad
from kernels.layout import oihw
from minigrad import nn, optim
from minigrad.array_files import CHECKSUM, save_arrays
from minigrad.training import checkpoint
from minigrad.training.checkpoint import CheckpointError, Position
from tests.small_net import SmallNet


def fresh(seed: int) -> tuple[SmallNet, optim.Optimizer]:
    """A network and an optimiser that has made two steps."""
    minigrad.manual_seed(seed)
    model = SmallNet(1, 10, 28)
    optimizer = optim.Adam(model.parameters())
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = minigrad.random.generator().standard_normal(parameter.shape).astype(np.float32)
        optimizer.step()
    return model, optimizer


def written(header: dict[str, str]) -> bytes:
    """A file with a checksum, and this header."""
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "file", {"x": np.zeros(2)}, header)
        return (Path(folder) / "file").read_bytes()


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], name)


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    model, optimizer = fresh(1)
    position = Position(3, 5, 70, 1.1, 7, 9, 0.3)
    state = minigrad.random.get_state()
    checkpoint.save(path, model, optimizer, position)
    other, its_optimizer = fresh(2)
    assert checkpoint.load(path, other, its_optimizer) == position
    assert_equal(model.state_dict(), other.state_dict())
    assert_equal(optimizer.state_dict(), its_optimizer.state_dict())
    assert minigrad.random.get_state() == state


def test_loading_keeps_the_memory_layout_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, *fresh(1), Position(step=2))
    model, _ = fresh(2)
    memory = model.conv2.weight.data
    checkpoint.load_model(path, model)
    assert model.conv2.weight.data is memory
    assert memory.transpose(2, 3, 1, 0).flags.c_contiguous


def test_saving_writes_the_logical_order_of_a_view(tmp_path: Path) -> None:
    """safetensors itself would write the memory's order and call it the logical one."""
    view = oihw(np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5))  # (5, 4, 2, 3)
    checkpoint.save_arrays(tmp_path / "v.safetensors", {"view": view, "number": np.array(7)}, {"a": "b"})
    arrays, header = checkpoint.load_arrays(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(arrays["view"], view)
    assert arrays["number"].shape == ()
    assert header.pop(CHECKSUM)
    assert header == {"a": "b"}
    torch_like = safetensors.numpy.load_file(tmp_path / "v.safetensors")
    np.testing.assert_array_equal(torch_like["view"], np.array(view.tolist(), np.float32))


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    model, optimizer = fresh(1)
    checkpoint.save(path, model, optimizer, Position())
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, model, optimizer, Position(step=1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_checkpoint_before_is_kept(tmp_path: Path) -> None:
    path, previous = tmp_path / checkpoint.NAME, tmp_path / checkpoint.PREVIOUS
    model, optimizer = fresh(1)
    for step in (2, 3, 4):
        before = path.read_bytes() if path.exists() else None
        checkpoint.save(path, model, optimizer, Position(step=step))
        assert (previous.read_bytes() if previous.exists() else None) == before
    assert [checkpoint.load(each, model, optimizer).step for each in (previous, path)] == [3, 4]


def test_a_thousand_damages_are_each_seen_or_harmless(tmp_path: Path) -> None:
    """Cut short, bits turned over, parts zeroed or repeated, something at the end: what loads is what was saved."""
    path, random = tmp_path / checkpoint.NAME, np.random.default_rng(0)
    layer = nn.Linear(3, 4)
    optimizer = optim.Adam(layer.parameters())
    checkpoint.save(path, layer, optimizer, Position(1, 2, 3, 4.5, 5, 6, 0.5))
    whole, state = np.frombuffer(path.read_bytes(), np.uint8), layer.state_dict()
    position = checkpoint.load(path, layer, optimizer)
    seen = 0
    for _ in range(1000):
        damaged = whole.copy()
        begin, end = sorted(random.integers(0, len(whole), 2))
        kind = random.integers(5)
        if kind == 0:
            damaged = damaged[:begin]
        elif kind == 1:
            places = random.integers(0, len(whole), random.integers(1, 9))
            damaged[places] ^= 1 << random.integers(0, 8, len(places)).astype(np.uint8)
        elif kind == 2:
            damaged[begin:end] = 0
        elif kind == 3:
            damaged = np.concatenate([damaged[:end], damaged[begin:]])
        else:
            damaged = np.concatenate([damaged, damaged[begin:end]])
        path.write_bytes(damaged.tobytes())
        for array in layer.state_arrays().values():
            array[...] = 7
        before = layer.state_dict()
        try:
            found = checkpoint.load(path, layer, optimizer)
        except CheckpointError:
            seen += 1
            assert_equal(layer.state_dict(), before)
        else:
            assert found == position
            assert_equal(layer.state_dict(), state)
    assert seen > 950


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model, optimizer = fresh(1)
    model.fc.weight.data[0, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"model\.fc\.weight"):
        checkpoint.save(tmp_path / "c", model, optimizer, Position(step=2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable safetensors file"),
        (b"\xff" * 100, "not a readable safetensors file"),
        (b"PK\x03\x04 a zip", "not a readable safetensors file"),
        (None, "no such file"),
        (safetensors.numpy.save({"x": np.zeros(2)}), "has no checksum"),
        (written({}), "its header does not tell"),
        (written({"minigrad": "[]"}), "its header does not tell"),
        (written({"minigrad": '{"position": {"mood": 1}}'}), "its header does not"),
        (written({"minigrad": '{"position": {}, "random": [0, 0]}'}), "missing"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "c.safetensors"
    if content is not None:
        path.write_bytes(content)
    model, optimizer = fresh(1)
    before = model.state_dict(), optimizer.state_dict(), minigrad.random.get_state()
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoint.load(path, model, optimizer)
    assert str(path) in str(error.value)
    assert_equal(before[0], model.state_dict())
    assert_equal(before[1], optimizer.state_dict())
    assert minigrad.random.get_state() == before[2]


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    model, optimizer = fresh(1)
    checkpoint.save(tmp_path / "c", model, optimizer, Position(step=2))
    other, _ = fresh(2)
    before = other.state_dict()
    with pytest.raises(CheckpointError, match=r"does not fit this run.*velocity\.0"):
        checkpoint.load(tmp_path / "c", other, optim.SGD(other.parameters(), momentum=0.9))
    assert_equal(before, other.state_dict())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"epoch": -1}, "given .*, expected counts"),
        ({"step": True}, "given .*, expected counts"),
        ({"batch": 2, "step": 2}, "which contradict each other"),
        ({"batch": 2, "step": 1, "images": 3, "seconds": 1.0}, "which contradict each other"),
        ({"correct": 1}, "which contradict each other"),
        ({"loss_sum": "1"}, "loss_sum, seconds, head_sums: expected numbers"),
        ({"head_sums": 3}, "loss_sum, seconds, head_sums: expected numbers"),
        ({"head_sums": {"\x1b[2J": 1.0}}, r"head_sums: given \['\\x1b\[2J'\], expected names"),
        ({"batch": 1, "step": 1, "images": 4}, "seconds: given 0.0 after 1 batches"),
    ],
)
def test_a_place_where_no_run_can_be_is_refused(place: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Position(**place)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [-1, 3, 2**63 - 1])
def test_an_optimizer_that_made_more_steps_than_the_run_is_refused(tmp_path: Path, steps: int) -> None:
    model, optimizer = fresh(1)
    optimizer._steps[0] = steps
    checkpoint.save(tmp_path / "c", model, optimizer, Position(step=2))
    other, its_optimizer = fresh(2)
    before = other.state_dict(), its_optimizer.state_dict()
    with pytest.raises(CheckpointError, match=r"steps: given .*, expected 0 to 2, as the run has made"):
        checkpoint.load(tmp_path / "c", other, its_optimizer)
    assert_equal(before[0], other.state_dict())
    assert_equal(before[1], its_optimizer.state_dict())
