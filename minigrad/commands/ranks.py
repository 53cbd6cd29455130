"""What rank 0 has read from disk, for the ranks that may be on other hosts."""

import dataclasses
from collections.abc import Callable

from minigrad.data import FashionMNIST
from minigrad.parallel import World
from minigrad.training import Config
from minigrad.training.together import of_rank_0


def config_of_rank_0(world: World, read: Callable[[], Config]) -> Config:
    """The settings that rank 0 gets by `read`."""
    config = read() if world.rank == 0 else None
    settings = of_rank_0(world, config and dataclasses.asdict(config))
    return config or Config(**settings)


def data_of_rank_0(world: World, read: Callable[[], FashionMNIST]) -> FashionMNIST:
    """The images and labels that rank 0 gets by `read`."""
    data = read() if world.rank == 0 else None
    names = (field.name for field in dataclasses.fields(FashionMNIST))
    return FashionMNIST(*(world.hand_out(getattr(data, name, None)) for name in names))
