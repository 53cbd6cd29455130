"""Dropout's counted masks: known answers, the same bits on every backend, and the statistics of a fair coin."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
import kernels.naive.philox
import kernels.reference.philox
from kernels.layout import Array
from kernels.naive.dropout import random_word
from tests.kernels.oracles import DTYPES, call, layouts, normal, seeds

FULL = 0xFFFFFFFF
KNOWN_ANSWERS = [  # counter, key, output: file kat_vectors of the Random123 distribution, lines philox4x32 10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL, FULL, FULL, FULL), (FULL, FULL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
SHAPES = [(3, 7), (2, 5, 3), (2, 3, 2, 3)]
wide = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter: tuple, key: tuple, answer: tuple) -> None:
    assert kernels.naive.philox.philox(counter, key) == answer
    words = tuple(np.array([word], np.uint64) for word in counter)
    assert tuple(int(word[0]) for word in kernels.reference.philox.philox(words, key)) == answer


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=st.sampled_from(SHAPES), p=st.floats(0, 1), seed=wide, number=wide, layout=layouts)
def test_every_backend_drops_what_the_loops_drop(
    backend: str, dtype: type, shape: tuple[int, ...], p: float, seed: int, number: int, layout: str
) -> None:
    x = normal(np.random.default_rng(0), shape, dtype, layout)
    y = kernels.serving(x).dropout(x, p, seed, number)
    np.testing.assert_array_equal(y, kernels.load("naive").dropout(x, p, seed, number))


@pytest.mark.parametrize("shape", [(3, 9001), (2, 50, 50, 9), (2, 0, 3), (0, 5)])
def test_every_backend_drops_what_the_reference_drops(backend: str, shape: tuple[int, ...]) -> None:
    """Images of several parts, with and without a rest, and none."""
    x = normal(np.random.default_rng(0), shape, np.float32)
    np.testing.assert_array_equal(
        kernels.serving(x).dropout(x, 0.3, 5, 6), kernels.load("reference").dropout(x, 0.3, 5, 6)
    )


@given(shape=st.sampled_from(SHAPES), p=st.sampled_from([0.0, 0.3, 0.5, 0.9]), seed=seeds, layout=layouts)
def test_an_element_is_zero_or_scaled(
    backend: str, shape: tuple[int, ...], p: float, seed: int, layout: str
) -> None:
    x = normal(np.random.default_rng(seed), shape, np.float32, layout)
    y = call(kernels.serving(x).dropout, x, p, seed, 0)
    np.testing.assert_array_equal(y, np.where(y == 0, 0, x * np.float32(1 / (1 - p))))
    assert p > 0 or (y == x).all()


def test_the_word_at_the_threshold_is_kept(backend: str) -> None:
    word = random_word(image=0, element=2, seed=5, call=6)
    x = np.ones((1, 4), np.float32)
    k = kernels.serving(x)
    assert k.dropout(x, word / 2**32, 5, 6)[0, 2] != 0
    assert k.dropout(x, (word + 1) / 2**32, 5, 6)[0, 2] == 0


def test_with_probability_one_nothing_is_left(backend: str) -> None:
    x = np.ones((2, 3, 4), np.float32)
    np.testing.assert_array_equal(kernels.serving(x).dropout(x, 1.0, 0, 0), np.zeros((2, 3, 4)))


def kept(shape: tuple[int, ...], p: float, seed: int, number: int) -> Array:
    """Which elements the selected backend keeps."""
    x = np.ones(shape, np.float32)
    mask: Array = kernels.serving(x).dropout(x, p, seed, number) != 0
    return mask


@pytest.mark.parametrize("p", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_the_share_of_dropped_elements_is_p(backend: str, p: float, seed: int) -> None:
    mask = kept((4, 16, 16, 4), p, seed, 0)
    deviation = np.sqrt(p * (1 - p) / mask.size)
    assert abs((1 - mask.mean()) - p) < 4 * deviation
    for image in mask:  # and no image is favoured
        assert abs((1 - image.mean()) - p) < 4 * deviation * 2


def test_the_mask_of_an_image_does_not_depend_on_its_company(backend: str) -> None:
    np.testing.assert_array_equal(kept((2, 3, 3, 5), 0.5, 7, 1), kept((6, 3, 3, 5), 0.5, 7, 1)[:2])


def test_images_are_numbered_from_the_first(backend: str) -> None:
    """So that those who have shares of a batch draw from one mask."""
    x = np.ones((6, 3, 3, 5), np.float32)
    k = kernels.serving(x)
    np.testing.assert_array_equal(k.dropout(x[2:], 0.5, 7, 1, 2), k.dropout(x, 0.5, 7, 1)[2:])
    far = k.dropout(x[:1], 0.5, 7, 1, 2**31 + 5)
    np.testing.assert_array_equal(far, kernels.load("naive").dropout(x[:1], 0.5, 7, 1, 2**31 + 5))


def test_the_mask_follows_logical_order(backend: str) -> None:
    """An image's mask is that of its pixels in (C, H, W) order, whatever the memory."""
    flat = kept((2, 5 * 3 * 4), 0.5, 7, 1)
    np.testing.assert_array_equal(
        np.moveaxis(kept((2, 3, 4, 5), 0.5, 7, 1), -1, 1).reshape(2, 60), flat  # (N, C, H, W) -> (N, C*H*W)
    )


def test_images_calls_and_seeds_differ(backend: str) -> None:
    """Two fair masks of 256 elements agree on about 128; were they related, on far more or fewer."""
    masks = [
        *kept((2, 256), 0.5, 0, 0),
        *(kept((1, 256), 0.5, seed, number)[0] for seed, number in [(1, 0), (0, 1), (2**32, 0), (0, 2**32), (1, 1)]),
    ]
    for index, one in enumerate(masks):
        for other in masks[:index]:
            assert 88 < (one == other).sum() < 168  # five deviations


@given(seed=seeds)
def test_dropout_is_its_own_backward(backend: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ones, grad = np.ones((2, 3, 4), np.float32), rng.standard_normal((2, 3, 4)).astype(np.float32)
    k = kernels.serving(grad)
    np.testing.assert_array_equal(k.dropout(grad, 0.4, seed, 3), grad * k.dropout(ones, 0.4, seed, 3))
