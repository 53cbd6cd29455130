"""Batch and local response normalisation on every backend against PyTorch, and the reference against the loops."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from tests.kernels.oracles import (
    DTYPES,
    assert_close,
    call,
    channels_first,
    channels_last,
    image,
    layouts,
    leaf,
    normal,
    seeds,
)

EPS = 1e-5
# At least four places a channel: with two, the gradient of the input is 0, and there is nothing to compare.
batches = st.sampled_from([(4, 3), (2, 3, 2), (2, 2, 3, 4), (1, 2, 2, 1)])
activations = st.sampled_from([None, "relu"])


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=batches, seed=seeds, layout=layouts)
def test_batch_statistics_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, shape: tuple[int, ...], seed: int, layout: str
) -> None:
    x = normal(np.random.default_rng(seed), shape, dtype, layout) + dtype(3)
    variance, mean = torch.var_mean(torch.tensor(x), tuple(range(len(shape) - 1)), correction=0)
    got_mean, got_variance = call(kernels.serving(x).batch_statistics, x)
    assert_close(got_mean, mean.numpy())
    assert_close(got_variance, variance.numpy())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@given(
    shape=batches, seed=seeds, layout=layouts, with_weight=st.booleans(), with_bias=st.booleans(),
    activation=activations,
)
def test_batch_norm_and_its_gradients_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, training: bool, shape: tuple[int, ...], seed: int, layout: str,
    with_weight: bool, with_bias: bool, activation: str | None,
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, shape, dtype, layout), normal(rng, shape, dtype, layout)
    weight, bias, running_mean = rng.standard_normal((3, shape[-1])).astype(dtype)
    running_variance = rng.uniform(0.5, 2, shape[-1]).astype(dtype)
    k = kernels.serving(x)
    mean, variance = k.batch_statistics(x) if training else (running_mean, running_variance)

    torch_x, torch_weight, torch_bias = image(torch, x), leaf(torch, weight), leaf(torch, bias)
    expected = torch.nn.functional.batch_norm(
        torch_x, torch.tensor(running_mean), torch.tensor(running_variance), torch_weight if with_weight else None,
        torch_bias if with_bias else None, training, 0.0, EPS,
    )
    y = call(
        k.batch_norm, x, mean, variance, weight if with_weight else None, bias if with_bias else None, EPS, activation
    )
    expected = torch.relu(expected) if activation else expected
    assert_close(y, channels_last(expected))

    x_grad, weight_grad, bias_grad = torch.autograd.grad(
        expected, (torch_x, torch_weight, torch_bias), channels_first(torch, grad), allow_unused=True
    )
    got_x, got_weight, got_bias = call(
        k.batch_norm_backward, grad, x, mean, variance, weight if with_weight else None, bias if with_bias else None,
        EPS, activation, training,
    )
    assert_close(got_x, channels_last(x_grad))
    if with_weight:
        assert_close(got_weight, weight_grad.numpy())
    if with_bias:
        assert_close(got_bias, bias_grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norms_relu_passes_nan_on(backend: str, dtype: type) -> None:
    x = np.array([[np.nan], [-1.0], [2.0]], dtype)
    y = kernels.serving(x).batch_norm(x, np.zeros(1, dtype), np.ones(1, dtype), None, None, 0.0, "relu")
    np.testing.assert_array_equal(y, [[np.nan], [0], [2]])
    rest = np.zeros(1, dtype), np.ones(1, dtype), None, None, 0.0, "relu", False
    x_grad, _, bias_grad = kernels.serving(x).batch_norm_backward(np.ones_like(x), x, *rest)
    np.testing.assert_array_equal(x_grad, [[1], [0], [1]])
    np.testing.assert_array_equal(bias_grad, [2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_norms_relu_blocks_the_gradient_just_where_the_output_is_zero(backend: str, dtype: type) -> None:
    """Backward has no output to look at: it computes it again, and a bit more or less would let another one pass."""
    rng = np.random.default_rng(0)
    mean, weight, bias = rng.standard_normal((3, 40)).astype(dtype)
    variance = rng.uniform(0.5, 2, 40).astype(dtype)
    bias[::4] = 0
    edge = mean - bias * np.sqrt(variance + dtype(EPS)) / weight  # (C,): what becomes 0, or nearly
    x = edge + rng.integers(-3, 4, (37, 40)).astype(dtype) * np.spacing(edge)
    x[::5] = mean
    k, grad = kernels.serving(x), np.ones_like(x)
    y = k.batch_norm(x, mean, variance, weight, bias, EPS, "relu")
    blocked = y == 0
    assert 0.2 < blocked.mean() < 0.8
    assert blocked[::5, ::4].all()  # at 0 itself
    x_grad, _, bias_grad = call(k.batch_norm_backward, grad, x, mean, variance, weight, bias, EPS, "relu", False)
    np.testing.assert_array_equal(x_grad == 0, blocked)
    np.testing.assert_array_equal(bias_grad, (~blocked).sum(axis=0))


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    shape=st.sampled_from([(2, 5), (2, 3, 6), (2, 2, 2, 7), (1, 1, 2, 1)]), size=st.integers(1, 8), seed=seeds,
    layout=layouts, alpha=st.sampled_from([1e-4, 1.5]), beta=st.sampled_from([0.75, 2.0]),
    k=st.sampled_from([1.0, 2.0]),
)
def test_local_response_norm_and_its_gradient_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, shape: tuple[int, ...], size: int, seed: int, layout: str,
    alpha: float, beta: float, k: float,
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, shape, dtype, layout), normal(rng, shape, dtype, layout)
    torch_x = image(torch, x)
    # torch asks for three axes at least.
    lifted = torch_x[..., None] if len(shape) == 2 else torch_x
    expected = torch.nn.functional.local_response_norm(lifted, size, alpha, beta, k).reshape(torch_x.shape)
    table = kernels.serving(x)
    assert_close(call(table.local_response_norm, x, size, alpha, beta, k), channels_last(expected))
    (x_grad,) = torch.autograd.grad(expected, torch_x, channels_first(torch, grad))
    got = call(table.local_response_norm_backward, grad, x, size, alpha, beta, k)
    assert_close(got, channels_last(x_grad))


@given(
    rows=st.sampled_from([1, 7, 16, 96, 777, 1000]), channels=st.integers(1, 70), seed=seeds, training=st.booleans(),
    activation=activations, size=st.integers(1, 8), beta=st.sampled_from([0.75, 0.3]),
)
def test_the_fast_backends_agree_with_the_reference(
    backend: str, rows: int, channels: int, seed: int, training: bool, activation: str | None, size: int, beta: float
) -> None:
    """Channels that fill vector registers, with and without a rest, and rows that do and do not join to long ones."""
    if backend in ("naive", "reference"):
        pytest.skip("not fast")
    rng = np.random.default_rng(seed)
    x, grad = rng.standard_normal((2, rows, channels)).astype(np.float32)
    mean, weight, bias = rng.standard_normal((3, channels)).astype(np.float32)
    variance = rng.uniform(0.5, 2, channels).astype(np.float32)
    fast, reference = kernels.serving(x), kernels.load("reference")
    for name, *args in (
        ("batch_statistics", x),
        ("batch_norm", x, mean, variance, weight, bias, EPS, activation),
        ("batch_norm_backward", grad, x, mean, variance, weight, bias, EPS, activation, training),
        ("local_response_norm", x, size, 0.5, beta, 2.0),
        ("local_response_norm_backward", grad, x, size, 0.5, beta, 2.0),
    ):
        got, expected = getattr(fast, name)(*args), getattr(reference, name)(*args)
        if isinstance(expected, tuple):
            for part, expected_part in zip(got, expected, strict=True):
                assert_close(part, expected_part)
        else:
            assert_close(got, expected)


def test_statistics_far_from_zero_are_exact(backend: str) -> None:
    """Thirty thousand numbers near 1000: a sum of their squares in float32 says nothing about their variance."""
    x = np.random.default_rng(0).normal(1000, 1, (1 << 15, 3)).astype(np.float32)
    if backend == "naive":
        pytest.skip("too many for loops")
    mean, variance = kernels.serving(x).batch_statistics(x)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(axis=0), rtol=1e-4)


def test_an_empty_batch_normalises_to_an_empty_batch(backend: str) -> None:
    x, ones = np.zeros((0, 2, 3), np.float32), np.ones(3, np.float32)
    k = kernels.serving(x)
    assert k.batch_norm(x, ones, ones, None, None, EPS, None).shape == x.shape
    x_grad, weight_grad, bias_grad = k.batch_norm_backward(x, x, ones, ones, None, None, EPS, "relu", False)
    assert x_grad.shape == x.shape
    np.testing.assert_array_equal([*weight_grad, *bias_grad], np.zeros(6))
    assert k.local_response_norm(x, 3, 1.0, 0.75, 1.0).shape == x.shape
    assert k.local_response_norm_backward(x, x, 3, 1.0, 0.75, 1.0).shape == x.shape


@given(shape=batches, seed=seeds, training=st.booleans(), activation=activations, size=st.integers(1, 8))
def test_the_reference_agrees_with_the_loops(
    shape: tuple[int, ...], seed: int, training: bool, activation: str | None, size: int
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = rng.standard_normal((2, *shape))
    weight, bias = rng.standard_normal((2, shape[-1]))
    naive, reference = kernels.load("naive"), kernels.load("reference")
    mean, variance = naive.batch_statistics(x)
    for name, *args in (
        ("batch_statistics", x),
        ("batch_norm", x, mean, variance, weight, bias, EPS, activation),
        ("batch_norm_backward", grad, x, mean, variance, weight, bias, EPS, activation, training),
        ("local_response_norm", x, size, 0.5, 0.75, 2.0),
        ("local_response_norm_backward", grad, x, size, 0.5, 0.75, 2.0),
    ):
        got, expected = getattr(reference, name)(*args), getattr(naive, name)(*args)
        if isinstance(expected, tuple):
            for part, expected_part in zip(got, expected, strict=True):
                assert_close(part, expected_part)
        else:
            assert_close(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_channels_there_is_nothing_to_do(backend: str, dtype: type) -> None:
    x, none = np.ones((2, 3, 3, 0), dtype), np.ones(0, dtype)
    k = kernels.serving(x)
    assert [a.shape for a in call(k.batch_statistics, x)] == [(0,), (0,)]
    assert call(k.batch_norm, x, none, none, none, none, EPS, None).shape == x.shape
    shapes = [a.shape for a in call(k.batch_norm_backward, x, x, none, none, none, none, EPS, "relu", True)]
    assert shapes == [x.shape, (0,), (0,)]
    assert call(k.local_response_norm, x, 5, 1e-4, 0.75, 1.0).shape == x.shape
    assert call(k.local_response_norm_backward, x, x, 5, 1e-4, 0.75, 1.0).shape == x.shape
