"""Folders of training runs that nobody had to train."""

from pathlib import Path

import numpy as np

from minigrad import Tensor, manual_seed
from minigrad.data import prepare
from minigrad.function import no_grad
from minigrad.training import averaged, checkpoint
from minigrad.training.config import Config
from tests.small_net import SmallNet


def made_run(folder: Path, seed: int, image_size: int = 28, name: str = checkpoint.NAME) -> SmallNet:
    """Put a SmallNet with weights by chance into a run's folder, as its checkpoint or under another name."""
    folder.mkdir(exist_ok=True)
    Config("SmallNet", image_size=image_size, averaging=0.9 if name == averaged.NAME else 0.0).save(folder)
    manual_seed(seed)
    model = SmallNet(1, 10, image_size).eval()
    model.fc.weight.data *= 9  # undecided networks would hide how predictions are averaged
    checkpoint.save_model(folder / name, model)
    return model


def probabilities(model: SmallNet, images: np.ndarray, image_size: int = 28, normalized: bool = True) -> np.ndarray:
    """(M, 28, 28) uint8 -> (M, 10) float64: softmax by its definition, of the model's logits."""
    with no_grad():
        powers = np.exp(model(Tensor(prepare(images, image_size, normalized=normalized))).numpy().astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)
