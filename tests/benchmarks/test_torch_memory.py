"""PyTorch is timed in the format of memory that it is named after: of one channel, tensors are in both at once."""

import numpy as np
import pytest

from benchmarks import competitors
from benchmarks.measure import TORCH_LAYOUTS

torch = pytest.importorskip("torch")
FORMATS = {"PyTorch": torch.contiguous_format, "PyTorch channels_last": torch.channels_last}


@pytest.mark.parametrize("name", TORCH_LAYOUTS)
def test_the_maps_of_a_competitor_have_its_format(name: str) -> None:
    competitor = competitors.build([name], 2, 32, "cpu")[name]
    assert isinstance(competitor, competitors.Torch)
    maps = []
    for layer in competitor.twin.modules():
        layer.register_forward_hook(lambda layer, inputs, output: maps.append(output))
    competitor.infer()
    of_places = [tensor for tensor in maps if tensor.ndim == 4 and min(tensor.shape[1:]) > 1]
    assert len(of_places) > 60
    for tensor in of_places:
        assert [form for form in FORMATS.values() if tensor.is_contiguous(memory_format=form)] == [FORMATS[name]]


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_of_one_channel_have_strides_of_one_format(channels_last: bool) -> None:
    """Layers choose theirs by strides."""
    from benchmarks.torch_memory import Memory

    memory = Memory(channels_last, "cpu")
    image, weight = np.ones((2, 6, 5, 1), np.float32), np.ones((3, 3, 1, 4), np.float32)
    assert memory.images(image).stride() == ((30, 1, 5, 1) if channels_last else (30, 30, 5, 1))
    assert memory.weight(weight).stride() == ((9, 1, 3, 1) if channels_last else (9, 9, 3, 1))
