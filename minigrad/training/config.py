"""All that decides a training run, as data: config.json in the run's folder."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from minigrad import optim
from minigrad.nn import Module
from minigrad.training.files import write_atomically

OPTIMIZERS = ("adam", "adamw", "sgd")
RATES = {"adam": 1e-3, "adamw": 1e-3, "sgd": 0.01}
"""Base learning rate for each optimiser, if none is given."""
MOMENTUM = 0.9
WARM_UP_STEPS = 20


class ConfigError(ValueError):
    """A config.json that cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Config:
    """The settings of a run. The learning rate climbs for WARM_UP_STEPS steps, then falls along a cosine to zero.

    network: name of the model's class. train_limit, test_limit: use only the first so many images; None for all.
    """

    network: str
    image_size: int = 96
    in_channels: int = 1
    num_classes: int = 10
    epochs: int = 1
    batch_size: int = 64
    optimizer: str = "adam"
    lr: float = RATES["adam"]
    seed: int = 0
    train_limit: int | None = None
    test_limit: int | None = None

    def build_optimizer(self, model: Module) -> optim.Optimizer:
        """The optimiser named by `optimizer`, over all parameters of the model."""
        if self.optimizer == "sgd":
            return optim.SGD(model.parameters(), self.lr, momentum=MOMENTUM)
        kind = optim.AdamW if self.optimizer == "adamw" else optim.Adam
        return kind(model.parameters(), self.lr)

    def build_schedule(self, optimizer: optim.Optimizer, steps_per_epoch: int) -> optim.Schedule:
        """The learning rate of every step of the run."""
        return optim.WarmUp(optim.CosineLR(optimizer, self.epochs * steps_per_epoch), WARM_UP_STEPS)

    def save(self, run: Path) -> None:
        """Write config.json into the run's folder."""
        write_atomically(run / "config.json", (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, run: Path, network: str) -> "Config":
        """Read config.json from a run's folder. ConfigError if it is missing, broken, or not of this network."""
        path = run / "config.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; expected the folder of a training run") from None
        except ValueError as error:
            raise ConfigError(f"{path}: not JSON: {error}") from None
        types = get_type_hints(cls)
        if not isinstance(settings, dict) or settings.keys() != types.keys():
            given = sorted(settings) if isinstance(settings, dict) else type(settings).__name__
            raise ConfigError(f"{path}: given {given}, expected exactly {sorted(types)}")
        for name, expected in types.items():
            value = settings[name]
            if not isinstance(value, expected) or isinstance(value, bool):
                raise ConfigError(f"{path}: {name}: given {value!r}, expected {expected}")
            if isinstance(value, int | float) and value <= 0 and (name, value) != ("seed", 0):
                raise ConfigError(f"{path}: {name}: given {value!r}, expected more than 0")
        if settings["optimizer"] not in OPTIMIZERS:
            raise ConfigError(f"{path}: optimizer: given {settings['optimizer']!r}, expected one of {OPTIMIZERS}")
        if settings["network"] != network:
            raise ConfigError(f"{path}: the run is of a {settings['network']}, expected a {network}")
        return cls(**settings)
