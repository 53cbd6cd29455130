from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.naive.resize import resize_bilinear as loops
from kernels.views import whole_views
from minigrad import device
from minigrad.data import MEAN, STD, batches, epoch_order, prepare, read_idx
from tests import on_card
from tests.cupy_standin.counters import counters

FOLDER = Path(__file__).parents[2] / "data" / "fashion-mnist"
IMAGES = read_idx(FOLDER / "train-images-idx3-ubyte.gz", 3)[:50]  # (50, 28, 28)
LABELS = read_idx(FOLDER / "train-labels-idx1-ubyte.gz", 1)[:50]  # (50,) uint8
VIEWS = np.array([(n, 0, 28, 28, 1, 0, 0, n // 10, 28) for n in range(50)], np.int32)  # moved up by n, mirrored, a hole


def pixels(x: np.ndarray) -> np.ndarray:
    """What `prepare` did to the pixels, undone."""
    return (x * STD + MEAN) * 255


@given(st.integers(0, 200), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_an_order_is_a_permutation_that_follows_from_its_arguments(count, seed, epoch):
    order = epoch_order(count, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    np.testing.assert_array_equal(order, epoch_order(count, seed, epoch))


def test_seeds_and_epochs_give_different_orders():
    orders = {tuple(epoch_order(100, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert tuple(range(100)) not in orders


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 0), "count: given -1, expected an integer of at least 0"),
        ((5, -3, 0), "seed: given -3, expected an integer of at least 0"),
        ((5, 0, 1.5), "epoch: given 1.5, expected an integer of at least 0"),
        ((5, 2**64, 0), f"seed: given {2**64}, expected an integer of at least 0, and below {2**64}"),
        ((5, 0, 2**64), f"epoch: given {2**64}, expected an integer of at least 0, and below {2**64}"),
    ],
)
def test_an_order_of_wrong_arguments_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        epoch_order(*arguments)


@pytest.mark.parametrize("in_channels", [1, 3])
def test_prepared_images_are_channels_last_float32(in_channels):
    x = prepare(IMAGES, 32, in_channels)
    assert x.shape == (50, in_channels, 32, 32)
    assert x.dtype == np.float32
    assert x.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(x, np.repeat(prepare(IMAGES, 32), in_channels, axis=1))


def test_prepared_images_are_resized_and_normalised():
    np.testing.assert_allclose(pixels(prepare(IMAGES, 28)[:, 0]), IMAGES, atol=1e-3)
    resized = loops(IMAGES[:2, :, :, None], (40, 40), 1.0, 0.0)[..., 0]
    np.testing.assert_allclose(pixels(prepare(IMAGES[:2], 40)[:, 0]), resized, atol=1e-3)


def test_other_images_are_from_0_to_1():
    np.testing.assert_allclose(prepare(IMAGES, 28, normalized=False)[:, 0], IMAGES / 255, atol=1e-6)
    [(x, _)] = batches(IMAGES, LABELS, 50, 28, normalized=False)
    np.testing.assert_array_equal(x, prepare(IMAGES, 28, normalized=False))


def test_normalised_images_have_mean_0_and_deviation_1():
    # 400 images stand for the 60,000 well enough to show constants of another data set, such as MNIST's 0.1307, 0.3081.
    x = prepare(read_idx(FOLDER / "train-images-idx3-ubyte.gz", 3), 28)
    assert abs(x.mean()) < 0.05
    assert abs(x.std() - 1) < 0.05


def test_images_with_another_memory_layout():
    turned = IMAGES.transpose(0, 2, 1)
    np.testing.assert_array_equal(prepare(turned, 28), prepare(IMAGES, 28).transpose(0, 1, 3, 2))
    [(x, _)] = batches(turned, LABELS, 50, 28)
    np.testing.assert_array_equal(x, prepare(turned, 28))


def test_batches_visit_everything_in_file_order_without_an_order():
    found = list(batches(IMAGES, LABELS, 16, 28))
    assert [len(x) for x, _ in found] == [16, 16, 16, 2]  # the short batch is kept
    assert all(y.dtype == np.int64 and y.shape == (len(x),) for x, y in found)
    assert all(x.transpose(0, 2, 3, 1).flags.c_contiguous for x, _ in found)
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), LABELS)
    np.testing.assert_allclose(pixels(np.concatenate([x for x, _ in found])[:, 0]), IMAGES, atol=1e-3)


def test_batches_follow_the_order():
    order = epoch_order(50, seed=3, epoch=1)[:30]
    found = list(batches(IMAGES, LABELS, 8, 28, in_channels=3, order=order))
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), LABELS[order])
    np.testing.assert_allclose(pixels(np.concatenate([x for x, _ in found])[:, 2]), IMAGES[order], atol=1e-3)


def test_views_go_with_their_images():
    order = epoch_order(50, seed=3, epoch=1)[:30]
    found = list(batches(IMAGES, LABELS, 8, 28, order=order, views=VIEWS))
    expected = IMAGES[order].astype(float)  # made by other means than the kernels
    for n, number in enumerate(order):
        expected[n] = np.pad(IMAGES[number], ((0, 50), (0, 0)))[number : number + 28, ::-1]
        expected[n, : number // 10] = MEAN * 255  # what becomes 0
    np.testing.assert_allclose(pixels(np.concatenate([x for x, _ in found])[:, 0]), expected, atol=1e-3)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), prepare(IMAGES[order], 28, views=VIEWS[order]))


@on_card.NEEDS_GPP
def test_views_are_copied_to_the_card_once():
    order = epoch_order(50, seed=3, epoch=1)
    with on_card.device(on_card.STANDIN):
        images, labels = device.to(IMAGES, "gpu"), device.to(LABELS, "gpu")
        counters.reset()
        found = list(batches(images, labels, 8, 28, order=order, views=VIEWS))
        assert sorted(counters.to_device) == [order.nbytes, VIEWS.nbytes]
        x = np.concatenate([device.host(x) for x, _ in found])
    np.testing.assert_allclose(x, prepare(IMAGES[order], 28, views=VIEWS[order]), atol=1e-5)


@given(st.integers(1, 60), st.integers(0, 50), st.data())
def test_starting_later_gives_the_same_batches(batch_size, count, data):
    order = epoch_order(50, seed=0, epoch=0)[:count]
    whole = list(batches(IMAGES, LABELS, batch_size, 8, order=order))
    assert len(whole) == -(-count // batch_size)
    start = data.draw(st.integers(0, len(whole)))
    rest = list(batches(IMAGES, LABELS, batch_size, 8, order=order, start=start))
    assert len(rest) == len(whole) - start
    for (x, y), (x_again, y_again) in zip(whole[start:], rest, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)


def test_inputs_are_left_alone():
    images, labels, order = IMAGES.copy(), LABELS.copy(), epoch_order(50, 0, 0)
    kept = order.copy()
    for x, y in batches(images, labels, 16, 28, order=order):
        x[...] = 0
        y[...] = 0
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(order, kept)


def test_images_are_resized_a_batch_at_a_time(monkeypatch):
    sizes = []

    class Counting:
        @staticmethod
        def resize_bilinear(images, size, scale, shift, views):
            assert images.flags.c_contiguous  # what the kernels ask for
            sizes.append(len(images))
            return np.zeros((len(images), *size, 1), np.float32)

    monkeypatch.setattr(kernels, "serving", lambda *arrays: Counting)
    stream = batches(IMAGES.transpose(0, 2, 1), LABELS, 20, 96)
    assert sizes == []
    next(stream)
    assert sizes == [20]


GOOD = {"images": IMAGES, "labels": LABELS, "batch_size": 8, "image_size": 28}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": IMAGES.astype(np.float32)}, "images: given float32 of shape .50, 28, 28., expected uint8"),
        ({"images": IMAGES[0]}, "images: given uint8 of shape .28, 28., expected"),
        ({"images": IMAGES[:, :0]}, "images: given uint8 of shape .50, 0, 28., expected"),
        ({"labels": LABELS[:49]}, "labels: given uint8 of shape .49,., expected integers of shape .50,."),
        ({"labels": LABELS.astype(np.float64)}, "labels: given float64"),
        ({"batch_size": 0}, "batch_size: given 0, expected an integer of at least 1"),
        ({"batch_size": 2.0}, "batch_size: given 2.0"),
        ({"image_size": 0}, "image_size: given 0"),
        ({"in_channels": 0}, "in_channels: given 0"),
        ({"order": np.array([0, 50])}, "order: given indices 0 to 50, expected 0 to 49"),
        ({"order": np.array([-1, 3])}, "order: given indices -1 to 3, expected 0 to 49"),
        ({"order": np.array([[0]])}, "order: given int64 of shape .1, 1., expected"),
        ({"order": np.ones(50, bool)}, "order: given bool"),
        ({"views": whole_views(49, 28, 28)}, "views: given int32 of shape .49, 9., expected int32 of shape .50, 9."),
        ({"views": whole_views(50, 28, 28).astype(np.int64)}, "views: given int64 of shape .50, 9., expected int32"),
        ({"start": -1}, "start: given -1"),
        ({"start": 8}, "start: given 8, expected at most 7, the number of batches"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_batch(wrong, message):
    with pytest.raises(ValueError, match=message):
        batches(**(GOOD | wrong))  # not iterated


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES[0], 28), "images: given uint8 of shape .28, 28."),
        ((IMAGES, -2), "image_size: given -2"),
        ((IMAGES, 28, 0), "in_channels: given 0"),
        ((IMAGES, 28, 1, True, whole_views(50, 28, 28)[:, :8]), "views: given int32 of shape .50, 8., expected int32"),
    ],
)
def test_wrong_arguments_of_prepare_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        prepare(*arguments)
