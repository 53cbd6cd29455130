"""The options that make a training run what it is: a recipe, its settings, and those of the network's constructor."""

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from minigrad.commands.arguments import at_least, rate, share
from minigrad.training.config import OPTIMIZERS, SCHEDULES, Builder, Config
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
    add("weight_decay", share, "how much of the weights every step takes away", "F")
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
    """Options for what the network's constructor takes of its own, with what its class says of them."""
    kinds = options_of(builder)
    if not kinds:
        return
    network = p.add_argument_group("options of the network", f"of the constructor of {builder.__name__}")
    help_texts = help_of(builder, list(kinds))
    for name, kind in kinds.items():
        flag, text = "--" + name.replace("_", "-"), help_texts.get(name)
        if kind is bool:
            network.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        elif choices := literals(kind):
            network.add_argument(flag, choices=choices, help=text)
        else:
            number, metavar = (float, "F") if float in (kind, *get_args(kind)) else (int, "N")
            network.add_argument(flag, type=number, metavar=metavar, help=text)


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
    """Names and types of what the network's constructor takes besides what Config gives every network."""
    hints = get_type_hints(builder.__init__)  # type: ignore[misc]
    names = inspect.signature(builder).parameters
    return {name: hints[name] for name in names if name not in GIVEN_BY_CONFIG}


def literals(kind: Any) -> list[str]:
    """The words that a type of Literals allows."""
    alternatives = [kind] if get_origin(kind) is Literal else get_args(kind)
    return [word for each in alternatives if get_origin(each) is Literal for word in get_args(each)]


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
