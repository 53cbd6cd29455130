"""Recipes: settings of whole training runs, as data. Each names what differs from the defaults of Config.

adam    the defaults: what a first run should be.

paper   as far as the GoogLeNet paper says (C. Szegedy et al., 2015, sections 5 and 6): momentum 0.9, a rate that falls
        by 4 % every 8 epochs, auxiliary classifiers, local response normalisation, crops of 8 to 100 % of the area,
        an average of the iterates. It does not state the base rate, the batch size and the weight decay; 0.01, 32 and
        0.0002, and mirrored images, are those of the replication that came with Caffe (bvlc_googlenet). The number of
        epochs is ours.

d2l     that of a textbook (A. Zhang et al., "Dive into deep learning", section 8.4, before the rate became 0.01): plain
        gradient descent at 0.1, weights as by Glorot and Bengio, neither auxiliary classifiers nor dropout, and images
        from 0 to 1. The rate is at the edge of what holds: now and then the loss breaks out and comes back, further
        with images of mean 0.

best    ours: batch normalisation, AdamW along a cosine, smoothed labels, images that are moved and given holes,
        averaged weights. `python -m benchmarks ablation` tells what each is worth.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from minigrad.training.config import OPTIMIZERS, Builder, Config, ConfigError

RECIPES: dict[str, dict[str, Any]] = {
    "adam": {},
    "paper": {
        "epochs": 10, "batch_size": 32, "optimizer": "sgd", "lr": 0.01, "weight_decay": 0.0002, "schedule": "step",
        "crop": 0.08, "flip": True, "averaging": 0.9999, "model": {"aux": True, "lrn": True},
    },
    "d2l": {
        "epochs": 10, "optimizer": "sgd", "lr": 0.1, "momentum": 0.0, "schedule": "constant", "normalized": False,
        "model": {"dropout": 0.0, "init": "xavier"},
    },
    "best": {
        "epochs": 25, "image_size": 64, "optimizer": "adamw", "lr": 0.002, "weight_decay": 0.05,
        "label_smoothing": 0.1, "shift": 1, "erase": 0.25, "averaging": 0.999,
        "model": {"norm": "batch", "dropout": 0.2},
    },
}  # fmt: skip


def own_image_size(builder: Builder) -> int:
    """The size of images that the network's constructor takes if none is given; Config's if it must be given."""
    default = inspect.signature(builder).parameters["image_size"].default
    return default if isinstance(default, int) else Config.image_size


def settings(builder: Builder, recipe: str, given: Mapping[str, Any]) -> Config:
    """The recipe with what is `given`, names and values of Config's settings, in place of its own.

    An optimiser that the recipe does not have comes with the rate and the weight decay that suit it. Another network
    than GoogLeNet has its own size of images, and options that it does not have are left out. ConfigError if a value
    makes no sense.
    """
    chosen = RECIPES[recipe]
    its_own = chosen.get("optimizer", Config.optimizer)
    optimizer = given.get("optimizer", its_own)
    suits = {} if optimizer == its_own else OPTIMIZERS[optimizer]
    takes = inspect.signature(builder).parameters
    if optimizer != "sgd" and "momentum" in given:
        raise ConfigError(f"momentum: given {given['momentum']}, expected none with the optimiser {optimizer}")
    made_for = chosen.get("model", {})
    model = {name: value for name, value in made_for.items() if name in takes} | given.get("model", {})
    size = chosen.get("image_size") if made_for.keys() <= takes.keys() else None
    fixed = {"network": builder.__name__, "recipe": recipe, "model": model}
    return Config(**{**chosen, **suits, "image_size": size or own_image_size(builder), **given, **fixed})
