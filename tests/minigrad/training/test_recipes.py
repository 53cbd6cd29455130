"""Recipes, and what a user's options make of them."""

import re

import pytest

from googlenet import GoogLeNet
from minigrad import optim
from minigrad.data import Augmentation
from minigrad.training.config import Config, ConfigError
from minigrad.training.recipes import RECIPES, settings
from tests.small_net import SmallNet


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_makes_a_run_of_googlenet(recipe: str) -> None:
    config = settings(GoogLeNet, recipe, {})
    assert (config.network, config.recipe) == ("GoogLeNet", recipe)
    assert {name: getattr(config, name) for name in RECIPES[recipe]} == RECIPES[recipe]
    assert isinstance(config.build_model(GoogLeNet), GoogLeNet)


def test_paper_is_what_the_paper_says() -> None:
    config = settings(GoogLeNet, "paper", {})
    model = config.build_model(GoogLeNet)
    optimizer = config.build_optimizer(model)
    assert isinstance(optimizer, optim.SGD)
    assert (optimizer.momentum, optimizer.lr) == (0.9, 0.01)
    schedule = config.build_schedule(optimizer, steps_per_epoch=10)
    rates = [schedule.rate(step) for step in (0, 79, 80, 159, 160)]
    assert rates == pytest.approx([0.01, 0.01, 0.0096, 0.0096, 0.009216])
    assert config.build_average(model) is not None
    assert model.aux1 is not None
    assert model.lrn
    assert config.augmentation == Augmentation(flip=True, crop=0.08)
    assert (config.weight_decay, config.averaging, config.normalized) == (0.0002, 0.9999, True)
    assert (config.epochs, config.batch_size, config.image_size) == (10, 32, 96)
    assert (model.dropout.p, model.aux1.dropout.p, model.aux2.dropout.p) == (0.4, 0.7, 0.7)


def test_adam_is_what_a_first_run_should_be() -> None:
    config = settings(GoogLeNet, "adam", {})
    model = config.build_model(GoogLeNet)
    optimizer = config.build_optimizer(model)
    assert type(optimizer) is optim.Adam
    assert (optimizer.lr, optimizer.betas, optimizer.eps, optimizer.weight_decay) == (0.001, (0.9, 0.999), 1e-8, 0)
    assert (config.epochs, config.batch_size, config.image_size, config.normalized) == (5, 128, 96, True)
    assert config.augmentation == Augmentation()
    assert config.build_average(model) is None
    assert (model.dropout.p, model.aux1, model.conv1.bn) == (0.4, None, None)


def test_best_is_what_was_measured() -> None:
    config = settings(GoogLeNet, "best", {})
    model = config.build_model(GoogLeNet)
    optimizer = config.build_optimizer(model)
    assert isinstance(optimizer, optim.AdamW)
    assert (optimizer.lr, optimizer.weight_decay) == (0.002, 0.05)
    assert (config.epochs, config.batch_size, config.image_size, config.normalized) == (25, 128, 64, True)
    assert config.augmentation == Augmentation(shift=1, erase=0.25)
    assert (config.label_smoothing, config.averaging, model.dropout.p) == (0.1, 0.999, 0.2)
    assert model.conv1.bn is not None


def test_torchvisions_variant_drops_as_many_as_torchvision() -> None:
    model = GoogLeNet(variant="torchvision", in_channels=3, image_size=224, aux=True)
    assert model.aux1 is not None
    assert (model.dropout.p, model.aux1.dropout.p) == (0.2, 0.7)


def test_d2l_is_what_the_book_says() -> None:
    config = settings(GoogLeNet, "d2l", {})
    model = config.build_model(GoogLeNet)
    optimizer = config.build_optimizer(model)
    assert isinstance(optimizer, optim.SGD)
    assert (optimizer.momentum, config.image_size, config.batch_size, config.epochs) == (0, 96, 128, 10)
    assert not config.normalized
    assert {config.build_schedule(optimizer, 10).rate(step) for step in range(100)} == {0.1}
    assert model.dropout.p == 0
    assert model.aux1 is None
    weight = model.inception3a.branch1.conv.weight.data  # (64, 192, 1, 1)
    assert abs(weight).max() == pytest.approx((6 / (64 + 192)) ** 0.5, rel=0.01)


def test_what_is_given_goes_before_the_recipe() -> None:
    config = settings(GoogLeNet, "paper", {"epochs": 3, "model": {"lrn": False, "dropout": 0.1}})
    assert (config.epochs, config.batch_size, config.lr) == (3, 32, 0.01)
    assert config.model == {"aux": True, "lrn": False, "dropout": 0.1}
    assert RECIPES["paper"]["model"] == {"aux": True, "lrn": True}, "it is left as it was"


def test_another_optimiser_brings_the_rate_that_suits_it() -> None:
    assert settings(GoogLeNet, "paper", {"optimizer": "adamw"}).lr == 1e-3
    assert settings(GoogLeNet, "paper", {"optimizer": "adamw"}).weight_decay == 0.01
    assert settings(GoogLeNet, "paper", {"optimizer": "adamw", "lr": 0.5}).lr == 0.5
    assert settings(GoogLeNet, "adam", {"optimizer": "sgd"}).lr == 0.01
    assert settings(GoogLeNet, "d2l", {"optimizer": "sgd"}).lr == 0.1


def test_another_network_gets_only_the_options_that_it_has() -> None:
    config = settings(SmallNet, "paper", {"image_size": 28})
    assert config.model == {}
    assert isinstance(config.build_model(SmallNet), SmallNet)


def test_a_recipes_images_are_googlenets() -> None:
    assert settings(GoogLeNet, "best", {}).image_size == 64
    assert settings(GoogLeNet, "best", {"image_size": 32}).image_size == 32
    assert settings(SmallNet, "best", {}).image_size == 96


def test_options_that_a_network_refuses_are_an_error() -> None:
    with pytest.raises(ConfigError, match="GoogLeNet: norm: given 'layer', expected None or 'batch'"):
        Config("GoogLeNet", model={"norm": "layer"}).build_model(GoogLeNet)
    with pytest.raises(ConfigError, match=r"SmallNet: .*unexpected keyword argument 'norm'"):
        Config("SmallNet", model={"norm": "batch"}).build_model(SmallNet)
    with pytest.raises(ConfigError, match=r"GoogLeNet: .*multiple values for keyword argument 'num_classes'"):
        Config("GoogLeNet", model={"num_classes": 10}).build_model(GoogLeNet)
    for name, value, expected in (
        ("dropout", "x", r"float \| None"), ("dropout", True, r"float \| None"), ("dropout", {}, r"float \| None"),
        ("aux", None, "<class 'bool'>"),
        ("variant", [], r"typing\.Literal\['paper', 'torchvision'\]"),
    ):  # fmt: skip
        given = re.escape(repr(value))
        with pytest.raises(ConfigError, match=f"GoogLeNet: {name}: given {given}, expected {expected}"):
            Config("GoogLeNet", model={name: value}).build_model(GoogLeNet)
    assert Config("GoogLeNet", model={"dropout": 0}).build_model(GoogLeNet)


def test_a_mistake_in_a_networks_constructor_keeps_its_place() -> None:
    """A TypeError is none of the options', which have been looked at: it is not made one line."""

    class Mistaken(SmallNet):
        def __init__(self, in_channels: int, num_classes: int, image_size: int, sizes: list[int]) -> None:
            super().__init__(in_channels, num_classes, image_size)
            sum(sizes, None)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="unsupported operand"):
        Config("Mistaken", model={"sizes": [3]}).build_model(Mistaken)
