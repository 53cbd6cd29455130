"""Settings of a run: saved, loaded, and refused when they are not ours."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from minigrad import nn, optim
from minigrad.nn import Parameter
from minigrad.training.config import WARM_UP_STEPS, Config, ConfigError


def test_settings_come_back(tmp_path: Path) -> None:
    config = Config("GoogLeNet", epochs=3, lr=0.1, train_limit=7)
    config.save(tmp_path)
    assert Config.load(tmp_path, "GoogLeNet") == config


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "not JSON"), ("[]", "given a list"), ('{"epochs": 1}', "the run is of a None")],
)
def test_other_files_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"config\.json: .*{message}"):
        Config.load(tmp_path, "GoogLeNet")


def test_a_run_that_is_older_than_a_setting_has_its_default(tmp_path: Path) -> None:
    """All that the first version had; runs were then made as the defaults of what came later have it."""
    written = {
        "network": "GoogLeNet", "image_size": 96, "in_channels": 1, "num_classes": 10, "epochs": 1, "batch_size": 64,
        "optimizer": "adam", "lr": 0.001, "seed": 0, "train_limit": 20000, "test_limit": None,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(written))
    config = Config.load(tmp_path, "GoogLeNet")
    later = {
        "recipe": "adam", "model": {}, "momentum": 0.9, "weight_decay": 0.0, "schedule": "cosine",
        "label_smoothing": 0.0, "normalized": True, "flip": False, "shift": 0, "crop": 1.0, "erase": 0.0,
        "averaging": 0.0, "sync_batch_norm": False, "hold_out": 0,
    }  # fmt: skip
    assert dataclasses.asdict(config) == written | later


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": "3"}, "epochs: given '3', expected <class 'int'>"),
        ({"epochs": True}, "epochs: given True"),
        ({"batch_size": 0}, "batch_size: given 0, expected more than 0"),
        ({"train_limit": -1}, "train_limit: given -1"),
        ({"optimizer": "rmsprop"}, "optimizer: given 'rmsprop', expected one of"),
        ({"epocs": 3}, r"given \['epocs'\], expected some of \['averaging', "),
        ({"network": "LeNet"}, "the run is of a 'LeNet', expected a GoogLeNet"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, setting: dict[str, object], message: str) -> None:
    settings = {**dataclasses.asdict(Config("GoogLeNet")), **setting}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=message):
        Config.load(tmp_path, "GoogLeNet")


@pytest.mark.parametrize(("name", "kind"), [("adam", optim.Adam), ("adamw", optim.AdamW), ("sgd", optim.SGD)])
def test_the_optimizer_is_the_named_one(name: str, kind: type) -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = Parameter(np.zeros(1, np.float32))

    config = Config("One", optimizer=name, lr=0.5, epochs=2)
    optimizer = config.build_optimizer(One())
    assert type(optimizer) is kind
    schedule = config.build_schedule(optimizer, 100)
    assert optimizer.lr == pytest.approx(0.5 / WARM_UP_STEPS)
    assert schedule.rate(WARM_UP_STEPS) == pytest.approx(0.5, rel=0.03)
    assert schedule.rate(200) == pytest.approx(0, abs=1e-12)
