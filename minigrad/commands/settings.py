"""The options that make a training run what it is: a recipe, its settings, and those of the network's constructor."""

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from minigrad.commands.arguments import at_least, rate, share
from minigrad.training.config import OPTIMIZERS, SCHEDULES, Builder, Config, ConfigError, alternatives
from minigrad.training.recipes import RECIPES, own_image_size

GIVEN_BY_CONFIG = ("in_channels", "num_classes", "image_size")


def add_settings(p: argparse.ArgumentParser, builder: Builder) -> None:
    """Options for all settings of Config and all of the builder. None of them has a default, for a recipe has one."""
    group = p.add_argument_group(
        "settings", "what a run is; those that are not given are the recipe's, which has the rest from adam's"
    )
    p.add_argument("--recipe", choices=RECIPES, metavar="NAME", help=f"{', '.join(RECIPES)}; default adam")

    def add(name: str, kind: Callable[[str], Any], text: str, metavar: str = "N") -> None:
        default = own_image_size(builder) if name == "image_size" else getattr(Config, name)
        shown = f", default {default}" if default else ""
        group.add_argument("--" + name.replace("_", "-"), type=kind, metavar=metavar, help=text + shown)

    add("epochs", at_least(1), "passes over the training images")
    add("batch_size", at_least(1), "images in a step")
    add("image_size", at_least(1), "pixels")
    group.add_argument("--optimizer", choices=OPTIMIZERS, metavar="NAME", help=", ".join(OPTIMIZERS))
    group.add_argument("--lr", type=rate, metavar="F", help="highest learning rate, by default what suits")
    group.add_argument("--schedule", choices=SCHEDULES, metavar="NAME", help=f"of the rate: {', '.join(SCHEDULES)}")
    add("momentum", share, "of sgd", "F")
    add("weight_decay", share, "times the learning rate, what share of the weights a step takes away", "F")
    add("label_smoothing", share, "share of the target that all classes get", "F")
    group.add_argument("--normalized", action=argparse.BooleanOptionalAction,
                       help="images of mean 0 and deviation 1, as they are by default, and not from 0 to 1")
    group.add_argument("--flip", action=argparse.BooleanOptionalAction, help="mirror half of the training images")
    add("shift", at_least(0), "move training images by up to so many pixels each way, before they are resized")
    add("crop", rate, "crop training images to this share of their area or more", "F")
    add("erase", share, "probability that a training image gets a hole", "F")
    add("averaging", share, "average the weights, keeping this share of the average in each step", "F")
    group.add_argument("--sync-batch-norm", action=argparse.BooleanOptionalAction,
                       help="batch normalisation over all ranks' images, where several train together")
    add("hold_out", at_least(0), "test on the last N training images, which are not trained on")
    add("seed", at_least(0, below=2**64), "where all randomness begins")
    add("train_limit", at_least(1), "use only the first N training images")
    add("test_limit", at_least(1), "use only the first N test images")
    add_options_of(builder, p)


def add_options_of(builder: Builder, p: argparse.ArgumentParser) -> None:
    """Options for what the network's constructor takes of its own, with what its class says of them. ConfigError if
    the command has an option of that name."""
    kinds = options_of(builder)
    if not kinds:
        return
    network = p.add_argument_group("options of the network", f"of the constructor of {builder.__name__}")
    help_texts = help_of(builder, list(kinds))
    for name, kind in kinds.items():
        takes: dict[str, Any] = {"type": kind, "metavar": {int: "N", float: "F", str: "TEXT"}.get(kind)}
        if kind is bool:
            takes = {"action": argparse.BooleanOptionalAction}
        elif isinstance(kind, tuple):
            takes = {"choices": kind}
        try:
            network.add_argument("--" + name.replace("_", "-"), help=help_texts.get(name), **takes)
        except argparse.ArgumentError:
            raise ConfigError(f"{builder.__name__}: {name}: this command has an option of that name") from None


def help_of(builder: Builder, names: Sequence[str]) -> dict[str, str]:
    """What the docstring of the network's class says of its options: `one: text. other: text.`, in one paragraph."""
    found: dict[str, str] = {}
    for paragraph in (inspect.getdoc(builder) or "").split("\n\n"):
        start, *pieces = re.split(rf"\b({'|'.join(map(re.escape, names))}): ", " ".join(paragraph.split()))
        if not start:
            texts = (text.rstrip(". ").replace("%", "%%") for text in pieces[1::2])  # argparse formats with %
            found |= zip(pieces[::2], texts, strict=True)
    return found


def options_of(builder: Builder) -> dict[str, Any]:
    """Names and kinds (see `kind_of`) of what the network's constructor takes besides what Config gives every network.

    What is of another type, or of none that it tells, is no option.
    """
    hints = get_type_hints(builder.__init__)  # type: ignore[misc]
    names = inspect.signature(builder).parameters
    kinds = {name: kind_of(hints.get(name)) for name in names if name not in GIVEN_BY_CONFIG}
    return {name: kind for name, kind in kinds.items() if kind}


def kind_of(hint: Any) -> type | tuple[str, ...] | None:
    """What an option of this type takes: bool, int, float or str, or one of a Literal's words. The type may allow None
    besides. Returns None if it is another one."""
    allowed = alternatives(hint) - {NoneType}
    if allowed == {int, float}:
        return float
    only = allowed.pop() if len(allowed) == 1 else None
    words = get_args(only) if get_origin(only) is Literal else ()
    if words and all(isinstance(word, str) for word in words):
        return words
    return only if only in (bool, int, float, str) else None


def given(options: argparse.Namespace, builder: Builder) -> dict[str, Any]:
    """The settings that the user has named, as minigrad.training.recipes.settings takes them."""
    named = {name: value for name, value in vars(options).items() if value is not None}
    known = {name: named[name] for name in get_type_hints(Config) if name in named}
    model = given_of(builder, options)
    return known | ({"model": model} if model else {})


def given_of(builder: Builder, options: argparse.Namespace) -> dict[str, Any]:
    """The options of the network's constructor that the user has named."""
    named = {name: getattr(options, name) for name in options_of(builder)}
    return {name: value for name, value in named.items() if value is not None}
