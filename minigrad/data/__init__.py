"""Data: the files of Fashion-MNIST, what is done to images by chance, and the batches that feed the training loop."""

from minigrad.data.augmentation import Augmentation
from minigrad.data.batches import MEAN, STD, batches, epoch_order, normalization, prepare
from minigrad.data.fashion_mnist import CLASS_NAMES, FashionMNIST, load
from minigrad.data.idx import DataError, read_idx

__all__ = [
    "CLASS_NAMES",
    "MEAN",
    "STD",
    "Augmentation",
    "DataError",
    "FashionMNIST",
    "batches",
    "epoch_order",
    "load",
    "normalization",
    "prepare",
    "read_idx",
]
