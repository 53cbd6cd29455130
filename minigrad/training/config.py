"""All that decides a training run, as data: config.json in the run's folder."""

import dataclasses
import inspect
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from minigrad import optim, strict_json
from minigrad.data import CLASS_NAMES, Augmentation
from minigrad.files import read_bounded, require_no_links, write_atomically
from minigrad.messages import plain, shown
from minigrad.nn import Module

OPTIMIZERS: dict[str, dict[str, float]] = {
    "adam": {"lr": 1e-3, "weight_decay": 0.0}, "adamw": {"lr": 1e-3, "weight_decay": 0.01},
    "sgd": {"lr": 0.01, "weight_decay": 0.0},
}  # fmt: skip
"""What suits each optimiser, if nothing else is given."""
SCHEDULES = ("cosine", "constant", "step")
WARM_UP_STEPS = 20
LIMITS = {
    "momentum": 1, "weight_decay": math.inf, "label_smoothing": 1, "shift": math.inf, "erase": math.inf,
    "averaging": 1, "seed": 2**64, "hold_out": math.inf,
}  # fmt: skip
"""Settings that may be 0, and what they stay below. Other numbers are above 0."""
LARGEST = {"image_size": 512, "in_channels": 4, "num_classes": 10_000, "batch_size": 2**16}
"""What decides how much memory a run takes, lest a stranger's settings fill it."""
MOST_NUMBERS = 2**27
"""In a batch of images."""
MOST_BYTES = 2**20
"""Of a file of settings."""


class Builder(Protocol):
    """A network's class: calling it gives a network with fresh weights.

    It takes in_channels, num_classes and image_size by name, and options of its own, whose types its constructor tells.
    """

    __name__: str

    def __call__(self, *args: Any, **options: Any) -> Module: ...


class ConfigError(ValueError):
    """Settings that cannot be used; the message names them, their file, and what is wrong."""


@dataclass(frozen=True)
class Config:
    """The settings of a run; ConfigError if one makes no sense.

    network: name of the model's class; model: options of its constructor. recipe: where the settings came from.

    lr: the highest learning rate. schedule: "cosine" climbs for WARM_UP_STEPS steps and then falls along a cosine to
    zero; "constant"; "step" falls by 4 % every 8 epochs. momentum: of sgd; the others have their own. label_smoothing:
    share of the target that is spread over all classes. normalized: whether pixels have mean 0 and deviation 1, or
    else are from 0 to 1. flip, shift, crop, erase: see minigrad.data.Augmentation.
    averaging: how much of the averaged weights stays in each step (minigrad.optim.WeightAverage); 0 for no average.
    sync_batch_norm: whether batch normalisation takes its statistics over all ranks that have a share of the batch.

    train_limit, test_limit: use only the first so many images; None for all. hold_out: keep the last so many training
    images out of training and test on them, and not on the test images.
    """

    network: str
    recipe: str = "adam"
    model: dict[str, Any] = field(default_factory=dict)
    image_size: int = 96
    in_channels: int = 1
    num_classes: int = 10
    epochs: int = 5
    batch_size: int = 128
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "cosine"
    label_smoothing: float = 0.0
    normalized: bool = True
    flip: bool = False
    shift: int = 0
    crop: float = 1.0
    erase: float = 0.0
    averaging: float = 0.0
    sync_batch_norm: bool = False
    seed: int = 0
    train_limit: int | None = None
    test_limit: int | None = None
    hold_out: int = 0

    def __post_init__(self) -> None:
        for name, expected in get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not _fits(value, expected):
                raise ConfigError(f"{name}: given {shown(value)}, expected {expected}")
            if name in LIMITS:
                if not 0 <= value < LIMITS[name]:
                    raise ConfigError(f"{name}: given {shown(value)}, expected 0 or more, and below {LIMITS[name]}")
            elif isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < math.inf:
                raise ConfigError(f"{name}: given {shown(value)}, expected more than 0")
            if name in LARGEST and value > LARGEST[name]:
                raise ConfigError(f"{name}: given {shown(value)}, expected at most {LARGEST[name]}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: given {shown(getattr(self, name))}, expected one of {tuple(known)}")
        batch = self.batch_size * self.in_channels * self.image_size**2
        if batch > MOST_NUMBERS:
            given = f"{self.batch_size} images of {self.in_channels}x{self.image_size}x{self.image_size}"
            raise ConfigError(f"batch_size, image_size: given {given}, expected at most {MOST_NUMBERS:,} numbers")
        try:
            self.augmentation  # noqa: B018  (checks its own values)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    @property
    def augmentation(self) -> Augmentation:
        """What is done to the training images."""
        return Augmentation(self.flip, self.shift, self.crop, self.erase)

    @property
    def inputs(self) -> dict[str, Any]:
        """How images become what the network takes in: arguments of minigrad.data.prepare and batches."""
        return {"image_size": self.image_size, "in_channels": self.in_channels, "normalized": self.normalized}

    def build_model(self, builder: Builder) -> Module:
        """The network with fresh weights. ConfigError if it does not take the options in `model`, by their names, by
        their types, or with a ValueError."""
        shape = {"in_channels": self.in_channels, "num_classes": self.num_classes, "image_size": self.image_size}
        hints = get_type_hints(builder.__init__)  # type: ignore[misc]
        for name, value in self.model.items():
            if not _fits(value, hint := hints.get(name, Any)):
                raise ConfigError(f"{self.network}: {name}: given {shown(value)}, expected {hint}")
        try:
            inspect.signature(builder).bind(**shape, **self.model)
        except TypeError as error:
            raise ConfigError(f"{self.network}: {plain(error)}") from None
        try:
            return builder(**shape, **self.model)
        except ValueError as error:
            raise ConfigError(f"{self.network}: {plain(error)}") from error

    def build_optimizer(self, model: Module) -> optim.Optimizer:
        """The optimiser named by `optimizer`, over all parameters of the model."""
        if self.optimizer == "sgd":
            return optim.SGD(model.parameters(), self.lr, self.momentum, weight_decay=self.weight_decay)
        kind = optim.AdamW if self.optimizer == "adamw" else optim.Adam
        return kind(model.parameters(), self.lr, weight_decay=self.weight_decay)

    def build_schedule(self, optimizer: optim.Optimizer, steps_per_epoch: int) -> optim.Schedule:
        """The learning rate of every step of the run."""
        if self.schedule == "constant":
            return optim.Schedule(optimizer)
        if self.schedule == "step":
            return optim.StepLR(optimizer, 8 * steps_per_epoch, gamma=0.96)
        return optim.WarmUp(optim.CosineLR(optimizer, self.epochs * steps_per_epoch), WARM_UP_STEPS)

    def build_average(self, model: Module) -> optim.WeightAverage | None:
        """The average of the weights, if there is to be one."""
        return optim.WeightAverage(model.parameters(), self.averaging) if self.averaging else None

    def save(self, run: Path) -> None:
        """Write config.json into the run's folder."""
        write_atomically(run / "config.json", (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, run: Path, network: str) -> "Config":
        """Read config.json from a run's folder. ConfigError if it is missing, broken, or not of this network,
        or if there are links in the folder.

        A run that is older than some setting was made as that setting's default has it.
        """
        path = run / "config.json"
        try:
            require_no_links(run)
            settings = strict_json.parse(read_bounded(path, MOST_BYTES))
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}; expected the folder of a training run") from None
        except ValueError as error:
            raise ConfigError(f"{path}: not JSON: {plain(error)}") from None
        if not isinstance(settings, dict):
            raise ConfigError(f"{path}: given a {type(settings).__name__}, expected settings by name")
        names = {each.name for each in dataclasses.fields(cls)}
        if unknown := settings.keys() - names:
            raise ConfigError(f"{path}: given {shown(sorted(unknown))}, expected some of {sorted(names)}")
        if settings.get("num_classes", len(CLASS_NAMES)) != len(CLASS_NAMES):
            given = shown(settings["num_classes"])
            raise ConfigError(f"{path}: num_classes: given {given}, expected {len(CLASS_NAMES)}, as the data have")
        if settings.get("network") != network:
            raise ConfigError(f"{path}: the run is of a {shown(settings.get('network'))}, expected a {network}")
        try:
            return cls(**settings)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None


def alternatives(hint: Any) -> set[Any]:
    """The types that a type allows: {int, NoneType} for int | None."""
    return set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}


def _fits(value: object, hint: Any) -> bool:
    """Whether a setting, or an option of the network, may have this value by its type. With a Literal the network
    itself tells which words it knows, and types of its own, which JSON does not have, are not looked at."""
    kinds = {
        type(get_args(each)[0]) if get_origin(each) is Literal else get_origin(each) or each
        for each in alternatives(hint)
    }
    if not kinds <= {bool, int, float, str, dict, NoneType}:
        return True
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kinds)) or (float in kinds and isinstance(value, int))
