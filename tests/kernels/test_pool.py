"""Pooling on every backend against PyTorch, and the reference against the loops: ties, NaN and -inf included."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, example, given, strategies as st

import kernels
from kernels.geometry import Padding, Pair, output_size, span
from kernels.layout import Array
from tests.kernels.oracles import (
    DTYPES,
    assert_close,
    call,
    channels_first,
    channels_last,
    image,
    layouts,
    normal,
    pairs,
    seeds,
    thorough,
    torch_pad,
)

NONE: Padding = ((0, 0), (0, 0))
PALETTES = {
    "ties": [-2, -1, 0, 1, 2],
    "negatives": [-np.inf, -3, -2, -1],
    "nothing but -inf": [-np.inf],
    "NaN": [np.nan, -np.inf, 0, 1],
}


@dataclass(frozen=True)
class Pooling:
    """The shape of one pooling."""

    size: Pair
    kernel: Pair
    stride: Pair
    padding: Padding = NONE
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    images: int = 1
    channels: int = 2

    @property
    def window(self) -> tuple[Pair, Pair, Padding]:
        return self.kernel, self.stride, self.padding

    @property
    def outputs(self) -> Pair:
        return output_size(self.size, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)

    @property
    def all_windows_see_input(self) -> bool:
        return all(
            any(
                0 <= output * self.stride[axis] - self.padding[axis][0] + tap * self.dilation[axis] < self.size[axis]
                for tap in range(self.kernel[axis])
            )
            for axis in (0, 1)
            for output in range(self.outputs[axis])
        )

    def arrays(
        self, seed: int, dtype: type, layout: str = "contiguous", palette: str = "normal"
    ) -> tuple[Array, Array]:
        """Random x, of normal numbers or of a palette's, and gradient of y."""
        rng = np.random.default_rng(seed)
        x = normal(rng, (self.images, *self.size, self.channels), dtype, layout)
        if palette in PALETTES:
            x[...] = rng.choice(PALETTES[palette], x.shape)
        return x, normal(rng, (self.images, *self.outputs, self.channels), dtype, layout)


@st.composite
def poolings(
    draw: st.DrawFn, most_dilation: int = 1, symmetric: bool = False, ceil_modes: tuple[bool, ...] = (False, True)
) -> Pooling:
    """Any small pooling; with `ceil_mode` the window may be larger than the padded image."""
    kernel, stride, dilation = draw(pairs(1, 4)), draw(pairs(1, 3)), draw(pairs(1, most_dilation))
    ceil_mode = draw(st.sampled_from(ceil_modes))
    paddings, sizes = [], []
    for axis in (0, 1):
        before = draw(st.integers(0, kernel[axis] // 2))
        after = before if symmetric else draw(st.integers(0, kernel[axis] // 2))
        least = span(kernel[axis], dilation[axis]) - before - after - (stride[axis] - 1 if ceil_mode else 0)
        paddings.append((before, after))
        sizes.append(draw(st.integers(max(1, least), max(1, least) + 4)))
    pooling = Pooling(
        (sizes[0], sizes[1]), kernel, stride, (paddings[0], paddings[1]), dilation, ceil_mode, draw(st.integers(0, 2)),
        draw(st.integers(1, 2)),
    )
    assume(pooling.all_windows_see_input)
    return pooling


def near(padding: Padding) -> Pair:
    """What torch calls padding, where both sides are alike."""
    return padding[0][0], padding[1][0]


def flat_index(winner: Array, pool: Pooling) -> Array:
    """The winners as torch numbers them, row * W + col of the image: (N, OH, OW, C) -> (N, OH, OW, C)."""
    i, j = np.divmod(winner.astype(int), pool.kernel[1])
    oh, ow = np.arange(pool.outputs[0])[:, None, None], np.arange(pool.outputs[1])[:, None]
    row = oh * pool.stride[0] - pool.padding[0][0] + i * pool.dilation[0]
    col = ow * pool.stride[1] - pool.padding[1][0] + j * pool.dilation[1]
    index: Array = row * pool.size[1] + col
    return index


GOOGLENETS = Pooling((7, 7), (3, 3), (2, 2), ceil_mode=True)
INCEPTIONS = Pooling((4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)))
LARGER_THAN_IMAGE = Pooling((2, 1), (3, 2), (3, 2), ceil_mode=True)


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(
    pool=poolings(most_dilation=2, symmetric=True), seed=seeds, layout=layouts,
    palette=st.sampled_from(["normal", *PALETTES]),
)
@example(GOOGLENETS, 0, "contiguous", "ties")
@example(INCEPTIONS, 0, "channel slice", "nothing but -inf")
@example(INCEPTIONS, 0, "channel slice", "NaN")
@example(LARGER_THAN_IMAGE, 0, "contiguous", "negatives")
def test_max_pool2d_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, pool: Pooling, seed: int, layout: str, palette: str
) -> None:
    x, grad = pool.arrays(seed, dtype, layout, palette)
    k = kernels.serving(x)
    torch_x = image(torch, x)
    expected, index = torch.nn.functional.max_pool2d(
        torch_x, pool.kernel, pool.stride, near(pool.padding), pool.dilation, pool.ceil_mode, return_indices=True
    )
    y, winner = call(k.max_pool2d, x, *pool.window, pool.dilation, pool.ceil_mode)
    np.testing.assert_array_equal(y, channels_last(expected))
    assert winner.dtype == np.uint8
    np.testing.assert_array_equal(flat_index(winner, pool), channels_last(index))

    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(k.max_pool2d_backward, grad, winner, pool.size, *pool.window, pool.dilation)
    assert_close(got, channels_last(x_grad))


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(pool=poolings(most_dilation=2, ceil_modes=(False,)), seed=seeds)
def test_max_pool2d_with_uneven_padding_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, pool: Pooling, seed: int
) -> None:
    """torch has no uneven padding. Laid on before, it would change which windows `ceil_mode` drops: so none here."""
    x, grad = pool.arrays(seed, dtype)
    torch_x = image(torch, x)
    expected = torch.nn.functional.max_pool2d(
        torch_pad(torch, torch_x, pool.padding, -np.inf), pool.kernel, pool.stride, 0, pool.dilation
    )
    k = kernels.serving(x)
    y, winner = call(k.max_pool2d, x, *pool.window, pool.dilation, False)
    np.testing.assert_array_equal(y, channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(k.max_pool2d_backward, grad, winner, pool.size, *pool.window, pool.dilation)
    assert_close(got, channels_last(x_grad))


def pooled(values: list[list[float]], kernel: Pair, padding: Padding, dilation: Pair = (1, 1)) -> tuple[Array, Array]:
    """Maxima and winners of one image of one channel at stride 1, by the selected backend."""
    x = np.array(values, np.float32)[None, :, :, None]  # (H, W) -> (1, H, W, 1)
    y, winner = kernels.serving(x).max_pool2d(x, kernel, (1, 1), padding, dilation, False)
    return y[0, :, :, 0], winner[0, :, :, 0]


def test_the_first_of_equal_maxima_wins(backend: str) -> None:
    y, winner = pooled([[1, 3, 3], [3, 3, 0]], (2, 3), NONE)
    assert (y.item(), winner.item()) == (3, 1)


def test_the_last_nan_wins(backend: str) -> None:
    y, winner = pooled([[9, np.nan, 9], [np.nan, 9, 9]], (2, 3), NONE)
    assert np.isnan(y.item())
    assert winner.item() == 3


def test_padding_never_wins(backend: str) -> None:
    """Where all inputs are -inf, so is the padding; still the first tap on the image wins, and gets the gradient."""
    around: Padding = ((1, 1), (1, 1))
    y, winner = pooled([[-np.inf, -np.inf], [-np.inf, -np.inf]], (3, 3), around)
    np.testing.assert_array_equal(y, np.full((2, 2), -np.inf))
    np.testing.assert_array_equal(winner, [[4, 3], [1, 0]])
    grad = np.array([[1, 2], [4, 8]], np.float32)[None, :, :, None]
    x_grad = kernels.serving(grad).max_pool2d_backward(
        grad, winner[None, :, :, None], (2, 2), (3, 3), (1, 1), around, (1, 1)
    )
    np.testing.assert_array_equal(x_grad[0, :, :, 0], [[15, 0], [0, 0]])


def test_a_window_that_steps_over_the_image_owes_no_gradient(backend: str) -> None:
    """Two taps, two apart, over one pixel: one lies before it, one behind."""
    padding: Padding = ((0, 0), (1, 1))
    y, winner = pooled([[5.0]], (1, 2), padding, (1, 2))
    assert (y.item(), winner.item()) == (-np.inf, 0)
    grad = np.ones((1, 1, 1, 1), np.float32)
    x_grad = kernels.serving(grad).max_pool2d_backward(
        grad, winner[None, :, :, None], (1, 1), (1, 2), (1, 1), padding, (1, 2)
    )
    assert x_grad.item() == 0


@thorough
@given(pool=poolings(most_dilation=2), seed=seeds, palette=st.sampled_from(["normal", *PALETTES]))
@example(Pooling((9, 9), (4, 4), (2, 1), ((2, 1), (0, 2)), channels=3), 0, "NaN")
def test_maxima_are_the_same_where_nobody_asks_who_won(backend: str, pool: Pooling, seed: int, palette: str) -> None:
    x, _ = pool.arrays(seed, np.float32, "contiguous", palette)
    arguments = (x, *pool.window, pool.dilation, pool.ceil_mode)
    table = kernels.serving(x)
    expected, winner = table.max_pool2d(*arguments)
    y, nobody = table.max_pool2d(*arguments, winners=False)
    assert winner is not None
    assert nobody is None
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("width", "dtype"), [(255, np.uint8), (256, np.int32)])
def test_winners_take_one_byte_up_to_255_taps(backend: str, width: int, dtype: type) -> None:
    _, winner = pooled([[*range(width)]], (1, width), NONE)
    assert winner.dtype == dtype
    assert winner.item() == width - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_window_agrees_with_torch(backend: str, torch: ModuleType, dtype: type) -> None:
    pool = Pooling((19, 18), (17, 17), (2, 1), ((2, 2), (8, 8)), images=1, channels=1)
    x, grad = pool.arrays(0, dtype)
    torch_x = image(torch, x)
    expected = torch.nn.functional.max_pool2d(torch_x, pool.kernel, pool.stride, near(pool.padding))
    k = kernels.serving(x)
    y, winner = call(k.max_pool2d, x, *pool.window, pool.dilation, False)
    assert winner.dtype == np.int32
    np.testing.assert_array_equal(y, channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(k.max_pool2d_backward, grad, winner, pool.size, *pool.window, pool.dilation)
    assert_close(got, channels_last(x_grad))


def test_a_window_as_large_as_the_image_takes_no_memory_for_taps_that_a_pixel_does_not_meet(
    torch: ModuleType,
) -> None:
    pytest.importorskip("numba")
    from kernels.cpu.windows import window_plan

    side = (112, 112)
    plan = window_plan(side, (1, 1), side, side, NONE, (1, 1), 2, backward=True)
    assert sum(array.nbytes for array in plan) < 4 << 20
    x, grad = Pooling(side, side, side).arrays(0, np.float32)
    torch_x = image(torch, x)
    expected = torch.nn.functional.max_pool2d(torch_x, side)
    table = kernels.load("cpu")
    y, winner = table.max_pool2d(x, side, side, NONE, (1, 1), False)
    np.testing.assert_array_equal(y, channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    assert_close(table.max_pool2d_backward(grad, winner, side, side, side, NONE, (1, 1)), channels_last(x_grad))


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(
    pool=poolings(symmetric=True), seed=seeds, layout=layouts, count_include_pad=st.booleans(),
    divisor_override=st.none() | st.integers(1, 5),
)
@example(GOOGLENETS, 0, "contiguous", True, None)
@example(Pooling((4, 4), (3, 3), (2, 2), ((1, 1), (1, 1)), ceil_mode=True), 0, "contiguous", True, None)
@example(LARGER_THAN_IMAGE, 0, "contiguous", False, None)
def test_avg_pool2d_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, pool: Pooling, seed: int, layout: str, count_include_pad: bool,
    divisor_override: int | None,
) -> None:
    x, grad = pool.arrays(seed, dtype, layout)
    k = kernels.serving(x)
    torch_x = image(torch, x)
    expected = torch.nn.functional.avg_pool2d(
        torch_x, pool.kernel, pool.stride, near(pool.padding), pool.ceil_mode, count_include_pad, divisor_override
    )
    y = call(k.avg_pool2d, x, *pool.window, pool.ceil_mode, count_include_pad, divisor_override)
    assert_close(y, channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(k.avg_pool2d_backward, grad, pool.size, *pool.window, count_include_pad, divisor_override)
    assert_close(got, channels_last(x_grad))


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(pool=poolings(ceil_modes=(False,)), seed=seeds, count_include_pad=st.booleans())
def test_avg_pool2d_with_uneven_padding_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, pool: Pooling, seed: int, count_include_pad: bool
) -> None:
    x, grad = pool.arrays(seed, dtype)
    torch_x = image(torch, x)

    def sums(tensor: object, padding_counts_as: float) -> object:
        padded = torch_pad(torch, tensor, pool.padding, padding_counts_as)
        return torch.nn.functional.avg_pool2d(padded, pool.kernel, pool.stride, divisor_override=1)

    expected = sums(torch_x, 0) / sums(torch.ones_like(torch_x), float(count_include_pad))
    k = kernels.serving(x)
    assert_close(call(k.avg_pool2d, x, *pool.window, False, count_include_pad, None), channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(k.avg_pool2d_backward, grad, pool.size, *pool.window, count_include_pad, None)
    assert_close(got, channels_last(x_grad))


@pytest.mark.parametrize("dtype", DTYPES)
@thorough
@given(size=pairs(1, 6), outputs=pairs(1, 7), images=st.integers(0, 2), seed=seeds, layout=layouts)
@example((3, 3), (1, 1), 2, 0, "contiguous")
@example((5, 2), (3, 4), 1, 0, "channel slice")
def test_adaptive_avg_pool2d_agrees_with_torch(
    backend: str, torch: ModuleType, dtype: type, size: Pair, outputs: Pair, images: int, seed: int, layout: str
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, (images, *size, 2), dtype, layout), normal(rng, (images, *outputs, 2), dtype, layout)
    k = kernels.serving(x)
    torch_x = image(torch, x)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch_x, outputs)
    assert_close(call(k.adaptive_avg_pool2d, x, outputs), channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    assert_close(call(k.adaptive_avg_pool2d_backward, grad, size), channels_last(x_grad))


@pytest.mark.parametrize("name", ["reference", "cpu"])
def test_means_of_many_places_lose_nothing(name: str) -> None:
    """Added up one after the other in float32, 250,000 numbers of 0.1 come to a tenth of a percent too much."""
    x = np.full((1, 500, 500, 2), 0.1, np.float32)
    k = kernels.load(name)
    np.testing.assert_allclose(k.adaptive_avg_pool2d(x, (1, 1)), 0.1, rtol=1e-6)
    np.testing.assert_allclose(k.avg_pool2d(x, (500, 500), (1, 1), NONE, False, True, None), 0.1, rtol=1e-6)


@thorough
@given(
    size=pairs(3, 20), channels=st.integers(1, 70), stride=pairs(1, 3), seed=seeds,
    palette=st.sampled_from(["normal", *PALETTES]),
)
@example((20, 9), 70, (2, 2), 0, "NaN")
def test_the_cpus_maxima_agree_with_the_reference(
    size: Pair, channels: int, stride: Pair, seed: int, palette: str
) -> None:
    """Channels that fill vector registers, with and without a rest, and more rows than one thread's part has."""
    pool = Pooling(size, (3, 3), stride, ((1, 1), (1, 1)), images=2, channels=channels)
    x, grad = pool.arrays(seed, np.float32, "contiguous", palette)
    cpu, reference = kernels.load("cpu"), kernels.load("reference")
    expected, expected_winner = reference.max_pool2d(x, *pool.window, pool.dilation, False)
    y, winner = cpu.max_pool2d(x, *pool.window, pool.dilation, False)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, expected_winner)
    np.testing.assert_array_equal(cpu.max_pool2d(x, *pool.window, pool.dilation, False, winners=False)[0], expected)
    arguments = (grad, winner, size, *pool.window, pool.dilation)
    assert_close(cpu.max_pool2d_backward(*arguments), reference.max_pool2d_backward(*arguments))


@given(size=pairs(3, 20), channels=st.integers(1, 70), outputs=pairs(1, 5), seed=seeds, pad_counts=st.booleans())
def test_the_cpus_means_agree_with_the_reference(
    size: Pair, channels: int, outputs: Pair, seed: int, pad_counts: bool
) -> None:
    pool = Pooling(size, (3, 3), (2, 1), ((1, 0), (1, 1)), images=2, channels=channels)
    x, grad = pool.arrays(seed, np.float32)
    cpu, reference = kernels.load("cpu"), kernels.load("reference")
    for name, *args in (
        ("avg_pool2d", x, *pool.window, True, pad_counts, None),
        ("avg_pool2d_backward", grad, size, *pool.window, pad_counts, None),
        ("adaptive_avg_pool2d", x, outputs),
        ("adaptive_avg_pool2d_backward", grad, size),
    ):
        assert_close(getattr(cpu, name)(*args), getattr(reference, name)(*args))


def test_the_cpu_pools_bytes() -> None:
    x = np.random.default_rng(0).integers(0, 4, (2, 7, 6, 5), np.uint8)
    windows = (2, 3), (2, 1), NONE, (1, 1), False
    y, winner = kernels.load("cpu").max_pool2d(x, *windows)
    expected, expected_winner = kernels.load("reference").max_pool2d(x.astype(np.float32), *windows)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winner, expected_winner)


@thorough
@given(pool=poolings(most_dilation=2), seed=seeds, palette=st.sampled_from(["normal", *PALETTES]))
def test_the_references_maxima_agree_with_the_loops(pool: Pooling, seed: int, palette: str) -> None:
    x, grad = pool.arrays(seed, np.float64, "channel slice", palette)
    naive, reference = kernels.load("naive"), kernels.load("reference")
    expected, winner = naive.max_pool2d(x, *pool.window, pool.dilation, pool.ceil_mode)
    got, got_winner = reference.max_pool2d(x, *pool.window, pool.dilation, pool.ceil_mode)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got_winner, winner)
    assert_close(
        reference.max_pool2d_backward(grad, winner, pool.size, *pool.window, pool.dilation),
        naive.max_pool2d_backward(grad, winner, pool.size, *pool.window, pool.dilation),
    )


@thorough
@given(
    pool=poolings(), seed=seeds, count_include_pad=st.booleans(), divisor_override=st.none() | st.integers(1, 5),
    outputs=pairs(1, 5),
)
def test_the_references_means_agree_with_the_loops(
    pool: Pooling, seed: int, count_include_pad: bool, divisor_override: int | None, outputs: Pair
) -> None:
    x, grad = pool.arrays(seed, np.float64, "channel slice")
    naive, reference = kernels.load("naive"), kernels.load("reference")
    for name, *args in (
        ("avg_pool2d", x, *pool.window, pool.ceil_mode, count_include_pad, divisor_override),
        ("avg_pool2d_backward", grad, pool.size, *pool.window, count_include_pad, divisor_override),
        ("adaptive_avg_pool2d", x, outputs),
        ("adaptive_avg_pool2d_backward", grad, pool.size),
    ):
        assert_close(getattr(reference, name)(*args), getattr(naive, name)(*args))
