from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.naive.resize import resize_bilinear as loops
from kernels.reference.resize import interpolation_matrices
from kernels.views import COLUMNS, named, whole_views

sides = st.integers(1, 9)
shapes = st.tuples(st.integers(0, 3), sides, sides, st.integers(1, 3))
sizes = st.tuples(sides, sides)
ranges = st.tuples(st.floats(-2, 2), st.floats(-3, 3))
seeds = st.integers(0, 99)
places, lengths = st.integers(-12, 12), st.integers(1, 12)
crops = st.tuples(places, places, lengths, lengths)
holes = st.tuples(places, places, st.integers(0, 12), st.integers(0, 12))
rows_of_views = st.tuples(crops, st.booleans(), holes).map(lambda parts: (*parts[0], parts[1], *parts[2]))
views_of_some = st.lists(rows_of_views, max_size=3).map(lambda rows: np.array(rows, np.int32).reshape(-1, len(COLUMNS)))
"""Of 0 to 3 images: crops and holes lie anywhere, up to wholly beyond the image and the result."""


def draw_images(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def resize(
    images: np.ndarray, size: tuple[int, int], scale: float, shift: float, views: np.ndarray | None = None
) -> np.ndarray:
    return kernels.serving(images).resize_bilinear(images, size, scale, shift, views)


def seen(torch: ModuleType, image: np.ndarray, view: np.void, size: tuple[int, int], scale: float, shift: float) -> Any:
    """What a view shows of an image, (H, W, C) -> (OH, OW, C), step by step in PyTorch."""
    margin = 24  # of zeros, so wide that all crops drawn here lie within it
    pixels = torch.nn.functional.pad(torch.from_numpy(image).permute(2, 0, 1).double(), (margin,) * 4)
    top, left = margin + view["top"], margin + view["left"]
    crop = pixels[:, top : top + view["height"], left : left + view["width"]]
    result = torch.nn.functional.interpolate(crop[None], size=size, mode="bilinear", align_corners=False)[0]
    result = (result.flip(2) if view["mirrored"] else result) * scale + shift
    rows, columns = (
        slice(max(0, view[start]), max(0, view[start] + view[length]))
        for start, length in (("hole_top", "hole_height"), ("hole_left", "hole_width"))
    )
    result[:, rows, columns] = 0
    return result.permute(1, 2, 0).numpy()


@given(shapes, sizes, ranges, seeds)
def test_agrees_with_the_loops(backend, shape, size, scale_and_shift, seed):
    images = draw_images(shape, seed)
    expected = loops(images, size, *scale_and_shift)
    np.testing.assert_allclose(resize(images, size, *scale_and_shift), expected, rtol=0, atol=1e-3)


@given(shapes, sizes, ranges, seeds)
def test_agrees_with_pytorch(backend, shape, size, scale_and_shift, seed):
    torch = pytest.importorskip("torch")
    images = draw_images(shape, seed)
    scale, shift = scale_and_shift
    if len(images):
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).double()
        resized = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)
        expected = (resized * scale + shift).permute(0, 2, 3, 1).numpy()
    else:
        expected = np.empty((0, *size, shape[3]))  # PyTorch refuses an empty batch
    np.testing.assert_allclose(resize(images, size, scale, shift), expected, rtol=0, atol=1e-3)


@given(views_of_some, sides, sides, st.integers(1, 3), sizes, ranges, seeds)
def test_views_agree_with_the_loops(backend, views, h, w, c, size, scale_and_shift, seed):
    images = draw_images((len(views), h, w, c), seed)
    expected = loops(images, size, *scale_and_shift, views)
    np.testing.assert_allclose(resize(images, size, *scale_and_shift, views), expected, rtol=0, atol=1e-3)


@given(views_of_some, sides, sides, st.integers(1, 3), sizes, ranges, seeds)
def test_views_agree_with_pytorch(backend, views, h, w, c, size, scale_and_shift, seed):
    torch = pytest.importorskip("torch")
    images = draw_images((len(views), h, w, c), seed)
    expected = np.empty((len(views), *size, c))
    for n, view in enumerate(named(views)):
        expected[n] = seen(torch, images[n], view, size, *scale_and_shift)
    np.testing.assert_allclose(resize(images, size, *scale_and_shift, views), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_view_of_everything_changes_no_bit(backend, channels):
    images = draw_images((3, 7, 6, channels), seed=2)
    given = images, (20, 9), 0.01, -0.5
    assert resize(*given, whole_views(3, 7, 6)).tobytes() == resize(*given).tobytes()


def test_a_small_view_by_hand(backend):
    images = np.arange(1, 13, dtype=np.uint8).reshape(1, 3, 4, 1)
    crop, mirrored, hole = (-1, 2, 3, 4), 1, (1, 0, 1, 2)
    # The rows are one above the image, its first and its second; the columns its last two, and two beyond.
    expected = [[5, 5, 5, 5], [0, 0, 4 * 2 + 5, 3 * 2 + 5], [5, 5, 8 * 2 + 5, 7 * 2 + 5]]
    out = resize(images, (3, 4), 2.0, 5.0, np.array([[*crop, mirrored, *hole]], np.int32))
    np.testing.assert_array_equal(out[0, :, :, 0], expected)


@pytest.mark.parametrize("shape", [(2, 5, 4, 1), (2, 5, 4, 3), (0, 5, 4, 1)])
def test_result_is_new_contiguous_float32(backend, shape):
    images = draw_images(shape, seed=0)
    before = images.copy()
    # float64 scalars, as a caller's own arithmetic may give: they must not make the result float64.
    out = resize(images, (3, 7), np.float64(0.5), np.float64(1))
    assert out.dtype == np.float32
    assert out.shape == (shape[0], 3, 7, shape[3])
    assert out.flags.c_contiguous
    assert not np.shares_memory(out, images)
    np.testing.assert_array_equal(images, before)


def test_the_same_size_changes_no_pixel(backend):
    images = draw_images((2, 6, 5, 2), seed=1)
    np.testing.assert_array_equal(resize(images, (6, 5), 1.0, 0.0), images)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        # The outer two lie beyond the pixels' centres and repeat them; the inner two mix 3 to 1.
        ([0, 200], [0, 50, 150, 200]),
        ([0, 100, 200, 40], [50, 120]),
        # Eight to two skips pixels: only the two in the middle of each half count.
        ([9, 10, 20, 9, 9, 30, 50, 9], [15, 40]),
    ],
)
def test_known_values(backend, pixels, expected, axis):
    shape, size = [1, 1, 1, 1], [1, 1]
    shape[axis], size[axis - 1] = len(pixels), len(expected)
    out = resize(np.array(pixels, np.uint8).reshape(shape), tuple(size), 0.5, 10.0)
    np.testing.assert_array_equal(out.ravel(), np.array(expected) * 0.5 + 10)


@given(st.integers(1, 40), st.integers(1, 40))
def test_each_output_pixel_is_a_mean_of_at_most_two(output, input):
    [weights] = interpolation_matrices(output, input, start=np.array([0]), length=np.array([input]))
    assert weights.shape == (output, input)
    assert (weights >= 0).all()
    assert (np.count_nonzero(weights, axis=1) <= 2).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)
