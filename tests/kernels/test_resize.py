import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from kernels.naive.resize import resize_bilinear as loops
from kernels.reference.resize import interpolation_matrix

sides = st.integers(1, 9)
shapes = st.tuples(st.integers(0, 3), sides, sides, st.integers(1, 3))
sizes = st.tuples(sides, sides)
ranges = st.tuples(st.floats(-2, 2), st.floats(-3, 3))
seeds = st.integers(0, 99)


def draw_images(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def resize(images: np.ndarray, size: tuple[int, int], scale: float, shift: float) -> np.ndarray:
    return kernels.serving(images).resize_bilinear(images, size, scale, shift)


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
    weights = interpolation_matrix(output, input)
    assert weights.shape == (output, input)
    assert (weights >= 0).all()
    assert (np.count_nonzero(weights, axis=1) <= 2).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)
