"""Batch statistics of the whole batch, though each rank has only its share of it."""

from minigrad.nn import Module
from minigrad.nn.norm import BatchNorm
from minigrad.parallel.world import World


def share_statistics(model: Module, world: World | None) -> None:
    """From now on the model's batch normalisations take mean and variance over all ranks' images in training, forward
    and backward, as if one process had the whole batch. None: over their own ones again."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.ranks = world
