"""Data: the files of Fashion-MNIST, and the batches that feed the training loop."""

from minigrad.data.batches import MEAN, STD, batches, epoch_order, prepare
from minigrad.data.fashion_mnist import CLASS_NAMES, FashionMNIST, load
from minigrad.data.idx import DataError, read_idx

__all__ = [
    "CLASS_NAMES",
    "MEAN",
    "STD",
    "DataError",
    "FashionMNIST",
    "batches",
    "epoch_order",
    "load",
    "prepare",
    "read_idx",
]
