"""What a training run has learned, for the commands that use it."""

import argparse
from pathlib import Path
from typing import NamedTuple

from minigrad.commands.ranks import config_of_rank_0
from minigrad.nn import Module
from minigrad.parallel import ALONE, World
from minigrad.training import averaged, checkpoint
from minigrad.training.config import Builder, Config


class Trained(NamedTuple):
    """A run's model, in evaluation mode, with its settings. weights: which of the run's it has, if it has averaged ones
    too, or should have; "" for the only ones."""

    config: Config
    model: Module
    weights: str


def add_raw(p: argparse.ArgumentParser) -> None:
    """The option which of a run's weights a command takes."""
    p.add_argument("--raw", action="store_true",
                   help="take the weights of a run's last step where there are averaged ones too")


def load_trained(builder: Builder, run: Path, place: str, raw: bool = False, world: World = ALONE) -> Trained:
    """The model in a run's folder, on the device called `place`: the averaged one if the run has one and not `raw`.

    Rank 0 of `world` reads it for all. ConfigError or CheckpointError if the folder has none for this network.
    """
    config = config_of_rank_0(world, lambda: Config.load(run, builder.__name__))
    model = config.build_model(builder).to(place).eval()
    weights, name = "", checkpoint.NAME
    if config.averaging and raw:
        weights = "the weights of the last step"
    elif config.averaging and (run / averaged.NAME).exists():
        weights, name = "averaged weights; --raw takes those of the last step", averaged.NAME
    elif config.averaging:
        weights = "the weights of the last step, for there are no averaged ones yet"
    if world.rank == 0:
        checkpoint.load_model(run / name, model)
    for array in model.state_arrays().values():
        world.broadcast(array)
    return Trained(config, model, weights)
