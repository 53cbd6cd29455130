"""What keeps the ranks of one run in step. Where there is but one rank there is nothing to do."""

import dataclasses
import json
import math
import zlib
from typing import Any

import numpy as np

from minigrad import device, random
from minigrad.nn import Module
from minigrad.parallel import ParallelError, World
from minigrad.training.checkpoint import Position
from minigrad.training.config import Config, ConfigError
from minigrad.training.step_log import Record


def require_enough(world: World, config: Config, count: int) -> None:
    """ConfigError if a rank has too few of the last batch of `count` images for statistics of the batch."""
    images = count % config.batch_size or config.batch_size
    least = 0 if config.sync_batch_norm else 2
    if images > 1 and images // world.size >= (least if world.size > 1 else 1):
        return
    needed = "more" if world.size == 1 else f"{least} for each of {world.size} ranks"
    left = f"{'one' if images == 1 else images} of {count:,} images"
    what = f"leaves the last batch {left}, and batch normalisation needs {needed}"
    raise ConfigError(f"batch_size: given {config.batch_size}, which {what}")


def of_rank_0(world: World, value: Any) -> Any:
    """What rank 0 gives, which JSON can say; the others wait until it has written its files."""
    return value if world.size == 1 else json.loads(world.broadcast_bytes(json.dumps(value).encode()))


def take_over(world: World, position: Position, *parts: Any) -> Position:
    """Make the state of `parts` (model, optimiser, average or None) and of randomness that of rank 0; its position."""
    if world.size == 1:
        return position
    state = of_rank_0(world, {"position": dataclasses.asdict(position), "random": random.get_state()})
    random.set_state(*state["random"])
    for part in parts:
        for array in part.state_arrays().values() if part else ():
            world.broadcast(array)
    return Position(**state["position"])


def require_same_weights(world: World, model: Module, step: int) -> None:
    """ParallelError if ranks have not made the same steps, bit by bit."""
    if world.size == 1:
        return
    own = 0
    for parameter in model.parameters():
        own = zlib.crc32(np.ascontiguousarray(device.host(parameter.data)).data, own)
    sums = world.gather(np.array([own]))
    if (sums != sums[0]).any():
        what = f"ranks 0 and {(sums != sums[0]).argmax()} have different weights, which must be the same bit by bit"
        raise ParallelError(f"step {step}: {what}; are all hosts and their libraries of one kind?")


def leave_to_culprit(world: World, record: Record, origin: str | None) -> None:
    """Return to the first rank whose own loss is not finite, or where shared statistics spoil those of all, to the one
    that knows the origin; the others wait until it has told so and ended them."""
    if world.size == 1:
        return
    with world.patiently():  # who knows the origin has found it sooner than who has tried the whole batch
        guilt = world.gather(np.array([2 * (not math.isfinite(record.own_loss)) + (origin is not None)]))
    culprit = int(guilt.argmax())
    if world.rank != culprit:
        world.wait_for(lambda: False, f"rank {culprit}, whose loss is not finite, to end the run")
