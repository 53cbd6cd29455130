"""One body of code, run by minigrad and by PyTorch on the same numbers: values and gradients must agree.

    agree(lambda F, x, w: F.conv2d(x, w, stride=2), normal(2, 3, 5, 5), normal(4, 3, 3, 3))

`F` is minigrad.functional on one side and torch.nn.functional on the other, which have the same names.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad
from kernels.layout import Array
from minigrad import Tensor, device, functional
from tests import on_card

TOLERANCE = {np.dtype(np.float32): 1e-4, np.dtype(np.float64): 1e-10}
"""Largest error, as a share of the expected array's largest value."""
DTYPES = (np.float32, np.float64)
LAYOUTS = ("contiguous", "channels-last", "strided")


def torch_module() -> ModuleType:
    """PyTorch, the outside oracle. Where it is not installed the test that asks for it is skipped."""
    torch: ModuleType = pytest.importorskip("torch")
    torch.set_num_threads(1)  # the arrays are tiny, and waking threads costs more than they save
    return torch


def normal(*shape: int, seed: int = 0) -> Array:
    """Normally distributed numbers."""
    return np.random.default_rng(seed + 7919 * len(shape) + sum(shape)).standard_normal(shape)


def spaced(*shape: int, seed: int = 0) -> Array:
    """Evenly spaced numbers around 0 in random order, none of them 0: far from the kinks of ReLU and max-pool."""
    count = int(np.prod(shape))
    numbers = (np.arange(count) - count / 2 + 0.25) / 4
    return np.random.default_rng(seed).permutation(numbers).reshape(shape)


def laid_out(array: Array, layout: str) -> Array:
    """The same numbers in another memory layout; arrays of fewer than three axes have but "strided"."""
    if layout == "channels-last" and array.ndim >= 3:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "strided" and array.ndim:
        wide = np.zeros((2 * array.shape[0], *array.shape[1:-1], array.shape[-1] + 1), array.dtype)
        part = wide[::2, ..., 1:] if array.ndim > 1 else np.zeros(2 * array.size, array.dtype)[::2]
        part[...] = array
        return part
    return array.copy()


def assert_close(got: Array, expected: Array, what: str = "") -> None:
    """Same shape, dtype, NaN and infinities, and an error within TOLERANCE of the largest expected value."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype), what
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE.get(got.dtype, 0) * largest, err_msg=what)


def _run(fn: Callable[..., Any], F: Any, leaves: list[Any], upstream: Callable[[Any], Any]) -> tuple[Any, list[Any]]:
    output = fn(F, *leaves)
    if output.requires_grad:
        output.backward(upstream(output))
    return output, [leaf.grad for leaf in leaves]


def _leaf(array: Array, need: bool) -> Tensor:
    """A leaf on the device that the test runs on, with the array's order in memory."""
    return Tensor(device.to(array, on_card.place), need)


def agree(
    fn: Callable[..., Any], *arrays: Array, dtype: Any = np.float64, layout: str = "contiguous",
    fixed: Sequence[Array] = (), like: Callable[..., Any] | None = None, check: bool = False, seed: int = 0,
) -> None:
    """Run `fn(F, *arrays, *fixed)` on both sides, as tensors; outputs and gradients of floating `arrays` must agree.

    like: what PyTorch runs, if it is spelled differently there. The gradient sent in is random. check: also compare
    with finite differences, in float64, through minigrad.gradcheck.
    """
    torch = torch_module()
    cast = [array.astype(dtype) if array.dtype.kind == "f" else array for array in (*arrays, *fixed)]
    needs = [array.dtype.kind == "f" and place < len(arrays) for place, array in enumerate(cast)]
    ours = [_leaf(laid_out(array, layout), need) for array, need in zip(cast, needs, strict=True)]
    theirs = [torch.tensor(array, requires_grad=need) for array, need in zip(cast, needs, strict=True)]
    random = np.random.default_rng(seed)
    sent: list[Array] = []

    def upstream(output: Any) -> Any:
        sent.append(random.standard_normal(tuple(output.shape)))
        return torch.tensor(sent[0], dtype=output.dtype)

    expected, expected_grads = _run(like or fn, torch.nn.functional, theirs, upstream)
    output, grads = _run(fn, functional, ours, lambda output: device.to(sent[0].astype(output.dtype), on_card.place))
    assert output.requires_grad == expected.requires_grad
    assert_close(device.host(output.data), expected.detach().numpy(), "output")
    for position, (got, wanted) in enumerate(zip(grads, expected_grads, strict=True)):
        assert (got is None) == (wanted is None), f"gradient {position}: {got} and {wanted}"
        if got is not None:
            assert_close(device.host(got), wanted.numpy(), f"gradient of input {position}")
    for tensor, array in zip(ours, cast, strict=True):
        np.testing.assert_array_equal(device.host(tensor.data), array, "the operation changed its input")
    if check and dtype == np.float64:
        minigrad.gradcheck(lambda *tensors: fn(functional, *tensors), [Tensor(t.data, t.requires_grad) for t in ours])
