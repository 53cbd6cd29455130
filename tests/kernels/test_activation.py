"""ReLU and the softmaxes on every backend against PyTorch, and the reference against the loops."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from tests.kernels.oracles import DTYPES, assert_close, call, layouts, leaf, normal, seeds

shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4)


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=shapes, seed=seeds, layout=layouts)
def test_relu_and_its_gradient_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, shape: list[int], seed: int, layout: str
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, shape, dtype, layout), normal(rng, shape, dtype, layout)
    x[...] = np.round(x)  # many exact zeros: there torch's gradient is 0
    k = kernels.serving(x)
    torch_x = leaf(torch, x)
    expected = torch.relu(torch_x)
    y = call(k.relu, x)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    (x_grad,) = torch.autograd.grad(expected, torch_x, torch.tensor(grad.copy()))
    np.testing.assert_array_equal(call(k.relu_backward, grad, y), x_grad.numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_of_nan_and_infinities(backend: str, dtype: type) -> None:
    x = np.array([np.nan, -np.inf, np.inf, -0.0], dtype)
    np.testing.assert_array_equal(kernels.serving(x).relu(x), [np.nan, 0, np.inf, 0])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=shapes, data=st.data(), seed=seeds, layout=layouts)
def test_softmaxes_and_their_gradients_agree_with_torch(
    backend: str, torch: ModuleType, name: str, dtype: type, shape: list[int], data: st.DataObject, seed: int,
    layout: str,
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), label="axis")
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, shape, dtype, layout), normal(rng, shape, dtype, layout)
    k = kernels.serving(x)
    torch_x = leaf(torch, x)
    expected = getattr(torch, name)(torch_x, axis)
    y = call(getattr(k, name), x, axis)
    assert_close(y, expected.detach().numpy())
    (x_grad,) = torch.autograd.grad(expected, torch_x, torch.tensor(grad.copy()))
    terms = grad * y if name == "softmax" else grad  # the gradient is these less a mean of them: nothing if they agree
    assert_close(call(getattr(k, f"{name}_backward"), grad, y, axis), x_grad.numpy(), terms)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_numbers_do_not_overflow(backend: str, torch: ModuleType, name: str, dtype: type) -> None:
    x = np.array([[1e4, 1e4 - 1, -1e4], [1e38, 0, -1e38], [0, -np.inf, 1]], dtype)
    expected = getattr(torch, name)(torch.tensor(x), 1).numpy()
    got = getattr(kernels.serving(x), name)(x, 1)
    for row, expected_row in zip(got, expected, strict=True):
        assert_close(row, expected_row)


@given(shape=st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 70)), seed=seeds)
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_relu_leaves_the_order_in_memory_as_it_is(
    backend: str, shape: tuple[int, ...], seed: int, axes: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = (normal(rng, shape, np.float32).transpose(axes) for _ in range(2))
    k = kernels.serving(x)
    y = k.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    x_grad = k.relu_backward(grad, y)
    np.testing.assert_array_equal(x_grad, np.where(x > 0, grad, 0))
    if backend not in ("naive", "reference"):
        assert y.transpose(np.argsort(axes)).flags.c_contiguous
        assert x_grad.transpose(np.argsort(axes)).flags.c_contiguous
    np.testing.assert_array_equal(k.relu_backward(np.ascontiguousarray(grad), y), x_grad)


def test_relu_of_bytes_and_of_single_numbers(backend: str) -> None:
    pixels = np.array([0, 1, 255], np.uint8)
    k = kernels.serving(pixels)
    np.testing.assert_array_equal(k.relu(pixels), pixels)
    assert k.relu(pixels).dtype == np.uint8
    assert k.relu(np.array(-1, np.float32)).shape == ()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_nan_spoils_its_line_and_no_other(backend: str, name: str, dtype: type) -> None:
    x = np.array([[0, np.nan, 1], [np.nan, 0, 1], [0.0, 1, 2]], dtype)
    y = getattr(kernels.serving(x), name)(x, 1)
    np.testing.assert_array_equal(np.isnan(y), [[True] * 3, [True] * 3, [False] * 3])


@given(shape=shapes, seed=seeds, data=st.data())
def test_the_reference_agrees_with_the_loops(shape: list[int], seed: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1), label="axis")
    rng = np.random.default_rng(seed)
    x, y, grad = rng.standard_normal((3, *shape))
    naive, reference = kernels.load("naive"), kernels.load("reference")
    for name, *args in (
        ("relu", x), ("relu_backward", grad, y), ("softmax", x, axis), ("softmax_backward", grad, y, axis),
        ("log_softmax", x, axis), ("log_softmax_backward", grad, y, axis),
    ):
        assert_close(getattr(reference, name)(*args), getattr(naive, name)(*args))
