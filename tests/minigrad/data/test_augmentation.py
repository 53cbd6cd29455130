"""Augmentation: the distributions that it promises, and that everything follows from the arguments."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from kernels.views import named, whole_views
from minigrad.data import Augmentation

COUNT = 20_000
EVERYTHING = Augmentation(flip=True, crop=0.08, erase=0.5)


def drawn(augmentation: Augmentation, size: int = 28, seed: int = 3, epoch: int = 1) -> np.ndarray:
    """The views of COUNT images, (COUNT,) with named columns."""
    return named(augmentation.views(COUNT, size, size, 96, seed, epoch))


def assert_uniform(numbers: np.ndarray, low: float, high: float, tolerance: float = 0.015) -> None:
    """The largest distance between the distribution functions; by chance alone it exceeds 0.0115 once in 100 times."""
    ranks = (np.arange(len(numbers)) + 0.5) / len(numbers)
    assert np.abs((np.sort(numbers) - low) / (high - low) - ranks).max() < tolerance


def assert_equally_often(numbers: np.ndarray, values: range) -> None:
    """Within five standard deviations, and no other number."""
    found, times = np.unique(numbers, return_counts=True)
    np.testing.assert_array_equal(found, values)
    share = 1 / len(values)
    np.testing.assert_allclose(times / len(numbers), share, rtol=0, atol=5 * np.sqrt(share / len(numbers)))


@given(st.integers(0, 5), st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**64 - 1))
def test_nothing_is_done_unless_asked_for(count, height, width, out_size, seed):
    views = Augmentation().views(count, height, width, out_size, seed, epoch=7)
    assert views.dtype == np.int32
    np.testing.assert_array_equal(views, whole_views(count, height, width))


@pytest.mark.parametrize(
    ("augmentation", "columns"),
    [
        (Augmentation(flip=True), {"mirrored"}),
        (Augmentation(shift=2), {"top", "left"}),
        (Augmentation(crop=0.5), {"top", "left", "height", "width"}),
        (Augmentation(erase=1), {"hole_top", "hole_left", "hole_height", "hole_width"}),
    ],
)
def test_only_what_is_asked_for_is_done(augmentation, columns):
    views, whole = drawn(augmentation), drawn(Augmentation())
    assert {name for name in views.dtype.names if (views[name] != whole[name]).any()} == columns


def test_half_of_the_images_are_mirrored():
    assert_equally_often(drawn(Augmentation(flip=True))["mirrored"], range(2))


@pytest.mark.parametrize("column", ["top", "left"])
def test_shifts_are_uniform(column):
    assert_equally_often(drawn(Augmentation(shift=4))[column], range(-4, 5))


def test_shifts_of_the_axes_are_independent():
    views = drawn(Augmentation(shift=4))
    assert_equally_often(9 * (views["top"] + 4) + views["left"] + 4, range(81))


def test_areas_of_crops_are_uniform_and_aspects_within_limits():
    size = 1000  # so many pixels that rounding does not count
    views = drawn(Augmentation(crop=0.08), size)
    area = views["height"] / size * views["width"] / size
    assert_uniform(area, 0.08, 1)
    aspect = np.log(views["width"] / views["height"])
    assert np.abs(aspect).max() < np.log(4 / 3) + 0.01
    assert_uniform(aspect[area < 0.7], np.log(3 / 4), np.log(4 / 3), 0.025)  # larger ones must fit into the image


@pytest.mark.parametrize(("height", "width"), [(28, 28), (9, 30), (30, 9), (1, 1), (1, 40)])
def test_crops_lie_anywhere_inside_the_image(height, width):
    views = named(Augmentation(crop=0.08).views(COUNT, height, width, 96, seed=5, epoch=0))
    for start, length, most in (("top", "height", height), ("left", "width", width)):
        assert (views[length] >= 1).all()
        room = most - views[length]
        assert ((views[start] >= 0) & (views[start] <= room)).all()
        for place in range(0, room.max() + 1, 5):
            # Of the crops that leave so much room, all places are equally frequent.
            of_this_room = views[start][room == place]
            if len(of_this_room) > 500:
                assert_equally_often(of_this_room, range(place + 1))


def test_crops_of_small_images_are_rounded():
    views = drawn(Augmentation(crop=0.08))
    area = views["height"] * views["width"] / 28**2
    assert abs(area.mean() - (0.08 + 1) / 2) < 0.01
    # Half a pixel more or less on each side.
    assert ((views["width"] + 0.5) / (views["height"] - 0.5) > 3 / 4).all()
    assert ((views["width"] - 0.5) / (views["height"] + 0.5) < 4 / 3).all()


def test_holes_are_of_the_papers_sizes():
    size = 1000
    views = named(Augmentation(erase=0.3).views(COUNT, 28, 28, size, seed=3, epoch=1))
    erased = views["hole_height"] > 0
    np.testing.assert_array_equal(erased, views["hole_width"] > 0)
    assert abs(erased.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / COUNT)
    holes = views[erased]
    area = holes["hole_height"] / size * holes["hole_width"] / size
    assert_uniform(area, 0.02, 0.4, 0.025)
    aspect = np.log(holes["hole_width"] / holes["hole_height"])
    assert np.abs(aspect).max() < np.log(1 / 0.3) + 0.02
    assert_uniform(aspect[area < 0.3], np.log(0.3), np.log(1 / 0.3), 0.03)
    for start, length in (("hole_top", "hole_height"), ("hole_left", "hole_width")):
        assert (holes[start] >= 0).all()
        assert (holes[start] + holes[length] <= size).all()


@pytest.mark.parametrize("erase", [0, 1])
def test_a_certain_hole_and_a_certain_lack_of_one(erase):
    views = drawn(Augmentation(erase=erase))
    assert ((views["hole_height"] > 0) == erase).all()


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**63 - 1), st.integers(0, 40), st.integers(0, 40))
def test_a_view_follows_from_seed_epoch_and_number_alone(seed, epoch, count, fewer):
    views = EVERYTHING.views(count, 28, 28, 96, seed, epoch)
    again = EVERYTHING.views(min(fewer, count), 28, 28, 96, seed, epoch)
    np.testing.assert_array_equal(views[:fewer], again)


def test_one_decision_does_not_change_the_others():
    """So that switching one on shows what it does, and nothing else."""
    everything = drawn(EVERYTHING)
    for name, value in dataclasses.asdict(EVERYTHING).items():
        alone, default = drawn(Augmentation(**{name: value})), drawn(Augmentation())
        for column in alone.dtype.names:
            if (alone[column] != default[column]).any():
                np.testing.assert_array_equal(alone[column], everything[column])


def test_seeds_and_epochs_give_different_views():
    arguments = [(seed, epoch) for seed in (0, 1, 2**40) for epoch in (0, 1, 2**40)]
    assert len({EVERYTHING.views(100, 28, 28, 96, *each).tobytes() for each in arguments}) == 9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flip": 0.5}, "flip: given 0.5, expected True or False"),
        ({"shift": -1}, "shift: given -1, expected an integer of at least 0"),
        ({"shift": 1.5}, "shift: given 1.5, expected an integer"),
        ({"shift": True}, "shift: given True, expected an integer"),
        ({"crop": True}, "crop: given True, expected a share"),
        ({"crop": 0.0}, "crop: given 0.0, expected a share of the area, above 0 and at most 1"),
        ({"crop": 1.1}, "crop: given 1.1, expected a share"),
        ({"crop": float("nan")}, "crop: given nan, expected a share"),
        ({"crop": "all"}, "crop: given 'all', expected a share"),
        ({"erase": -0.1}, "erase: given -0.1, expected a probability from 0 to 1"),
        ({"erase": True}, "erase: given True, expected a probability"),
        ({"erase": 2}, "erase: given 2, expected a probability"),
        ({"shift": 4, "crop": 0.5}, "shift: given 4 beside crop 0.5, expected one or the other"),
    ],
)
def test_wrong_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**fields)


@pytest.mark.parametrize("name", ["count", "image_height", "image_width", "out_size", "seed", "epoch"])
def test_wrong_arguments_are_refused(name):
    arguments = {"count": 5, "image_height": 28, "image_width": 28, "out_size": 96, "seed": 0, "epoch": 0}
    with pytest.raises(ValueError, match=f"{name}: given -1, expected an integer of at least"):
        EVERYTHING.views(**(arguments | {name: -1}))


@pytest.mark.parametrize(("name", "largest"), [("seed", 2**64 - 1), ("epoch", 2**63 - 1)])
def test_what_counts_has_64_bits(name, largest):
    arguments = {"count": 5, "image_height": 28, "image_width": 28, "out_size": 96, "seed": 0, "epoch": 0}
    assert not np.array_equal(EVERYTHING.views(**(arguments | {name: largest})), EVERYTHING.views(**arguments))
    with pytest.raises(ValueError, match=f"{name}: given {largest + 1}, expected .* and below {largest + 1}"):
        EVERYTHING.views(**(arguments | {name: largest + 1}))


def test_shares_may_be_numpys_numbers():
    assert Augmentation(crop=np.float32(0.5), erase=np.float64(0.25)) == Augmentation(crop=0.5, erase=0.25)


def test_nothing_would_be_left_of_an_image_moved_by_its_side():
    with pytest.raises(ValueError, match="shift: given 20, expected less than the 28x20 images"):
        Augmentation(shift=20).views(3, 28, 20, 28, seed=0, epoch=0)
