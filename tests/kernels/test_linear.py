"""The fully connected layer on every backend against PyTorch, and the reference against the loops."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, strategies as st

import kernels
from tests.kernels.oracles import DTYPES, assert_close, call, layouts, leaf, normal, seeds

lengths = st.integers(0, 6)


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    rows=lengths, inputs=lengths, outputs=lengths, with_bias=st.booleans(), seed=seeds, layout=layouts
)
def test_linear_and_its_gradients_agree_with_torch(
    backend: str, torch: ModuleType, dtype: type, rows: int, inputs: int, outputs: int, with_bias: bool, seed: int,
    layout: str,
) -> None:
    rng = np.random.default_rng(seed)
    x, grad = normal(rng, (rows, inputs), dtype, layout), normal(rng, (rows, outputs), dtype, layout)
    weight, bias = normal(rng, (outputs, inputs), dtype), normal(rng, (1, outputs), dtype)[0]
    k = kernels.serving(x)
    torch_x, torch_weight, torch_bias = leaf(torch, x), leaf(torch, weight), leaf(torch, bias)
    expected = torch.nn.functional.linear(torch_x, torch_weight, torch_bias if with_bias else None)
    assert_close(call(k.linear, x, weight, bias if with_bias else None), expected.detach().numpy())
    x_grad, weight_grad = torch.autograd.grad(expected, (torch_x, torch_weight), torch.tensor(grad.copy()))
    assert_close(call(k.linear_input_grad, grad, weight), x_grad.numpy())
    assert_close(call(k.linear_weight_grad, grad, x), weight_grad.numpy())


@given(rows=lengths, inputs=lengths, outputs=lengths, seed=seeds)
def test_the_reference_agrees_with_the_loops(rows: int, inputs: int, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, grad = rng.standard_normal((rows, inputs)), rng.standard_normal((rows, outputs))
    weight, bias = rng.standard_normal((outputs, inputs)), rng.standard_normal(outputs)
    naive, reference = kernels.load("naive"), kernels.load("reference")
    for name, *args in (
        ("linear", x, weight, bias), ("linear_input_grad", grad, weight), ("linear_weight_grad", grad, x)
    ):
        assert_close(getattr(reference, name)(*args), getattr(naive, name)(*args))


@pytest.mark.parametrize("name", ["naive", "reference", "cpu"])
def test_pixels_are_multiplied_as_what_they_are(name: str) -> None:
    x, weight = np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((2, 4), np.uint8)
    y = kernels.load(name).linear(x, weight, None)
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, [[6, 6], [22, 22], [38, 38]])


@pytest.mark.parametrize("name", ["naive", "reference", "cpu"])
def test_sums_of_nothing_are_the_bias(name: str) -> None:
    """Memory that a product leaves as it lies may happen to hold the right numbers, so it is filled before."""
    k, none, bias = kernels.load(name), np.ones((300, 0), np.float32), np.arange(50, dtype=np.float32)
    k.linear(np.ones((300, 7), np.float32), np.ones((50, 7), np.float32), None)
    np.testing.assert_array_equal(k.linear(none, np.ones((50, 0), np.float32), bias), np.tile(bias, (300, 1)))
    np.testing.assert_array_equal(k.linear_input_grad(none, np.ones((0, 50), np.float32)), np.zeros((300, 50)))
