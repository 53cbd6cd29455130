"""cat, flatten and pad against PyTorch and finite differences, on every backend; layouts are kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from kernels.layout import nhwc
from minigrad import Tensor, functional as F
from tests.minigrad.against_torch import DTYPES, LAYOUTS, agree, laid_out, normal, torch_module

IMAGES = normal(2, 3, 3, 4)


def joined(dim: int) -> Callable[..., Any]:
    """Both sides' `cat` along `dim`: minigrad has it in functional, PyTorch at the top."""
    def join(F: Any, *tensors: Any) -> Any:
        return (F.cat if hasattr(F, "cat") else torch_module().cat)(tensors, dim)

    return join


def flattened(*axes: int) -> Callable[..., Any]:
    """Both sides' `flatten`."""
    return lambda F, x: (F.flatten if hasattr(F, "flatten") else torch_module().flatten)(x, *axes)


CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "cat of channels": (joined(1), (IMAGES, normal(2, 1, 3, 4), normal(2, 2, 3, 4))),
    "cat of images": (joined(0), (IMAGES, normal(1, 3, 3, 4))),
    "cat of columns": (joined(-1), (IMAGES, normal(2, 3, 3, 1))),
    "cat of rows of pixels": (joined(2), (IMAGES, normal(2, 3, 1, 4))),
    "cat of sequences": (joined(1), (normal(2, 3, 4), normal(2, 1, 4))),
    "cat of vectors": (joined(0), (normal(2), normal(3))),
    "cat of matrices": (joined(1), (normal(2, 3), normal(2, 1))),
    "cat of one": (joined(1), (IMAGES,)),
    "cat with an empty one": (joined(1), (IMAGES, normal(2, 0, 3, 4))),
    "cat of five axes": (joined(-2), (normal(1, 2, 1, 3, 2), normal(1, 2, 1, 1, 2))),
    "flatten": (flattened(), (IMAGES,)),
    "flatten all but the batch": (flattened(1), (IMAGES,)),
    "flatten the middle": (flattened(1, -2), (IMAGES,)),
    "flatten nothing": (flattened(2, 2), (IMAGES,)),
    "flatten a number": (flattened(), (normal(),)),
    "flatten an empty batch": (flattened(1), (IMAGES[:0],)),
    "pad": (lambda F, x: F.pad(x, (1, 2, 0, 1)), (IMAGES,)),
    "pad with a value": (lambda F, x: F.pad(x, (1, 0), value=-2.5), (IMAGES,)),
    "pad channels and images": (lambda F, x: F.pad(x, (0, 1, 1, 0, 2, 1, 1, 0)), (normal(1, 2, 2, 2),)),
    "pad negative": (lambda F, x: F.pad(x, (-1, 1, 2, -2)), (IMAGES,)),
    "pad a vector": (lambda F, x: F.pad(x, (2, -1), value=1.0), (normal(3),)),
    "pad nothing": (lambda F, x: F.pad(x, ()), (IMAGES,)),
    "pad an empty batch": (lambda F, x: F.pad(x, (1, 1)), (IMAGES[:0],)),
    "reflect": (lambda F, x: F.pad(x, (3, 1, 2, 0), "reflect"), (IMAGES,)),
    "replicate": (lambda F, x: F.pad(x, (5, 1, 0, 4), "replicate"), (IMAGES,)),
    "circular": (lambda F, x: F.pad(x, (4, 1, 2, 3), "circular"), (IMAGES,)),
    "reflect, cut on one side": (lambda F, x: F.pad(x, (1, -1, -1, 1), "reflect"), (IMAGES,)),
    "replicate, cut on one side": (lambda F, x: F.pad(x, (2, -1, -1, 2), "replicate"), (IMAGES,)),
    "circular, cut on one side": (lambda F, x: F.pad(x, (1, -1, -1, 1), "circular"), (IMAGES,)),
    "reflect a sequence": (lambda F, x: F.pad(x, (2, 3), "reflect"), (normal(2, 3, 4),)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree_with_finite_differences(name: str, backend: str) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, check=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name: str, dtype: type, layout: str, backend: str) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, dtype=dtype, layout=layout)


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(-5, 4), st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_any_cat_agrees(shape: list[int], dim: int, sizes: list[int], layout: str) -> None:
    dim = dim % len(shape)
    others = [normal(*shape[:dim], size, *shape[dim + 1 :], seed=size) for size in sizes]
    agree(joined(dim), normal(*shape), *others, layout=layout)


@given(
    st.lists(st.integers(2, 4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), max_size=4),
    st.floats(-3, 3), st.sampled_from(LAYOUTS),
)  # fmt: skip
def test_any_pad_agrees(shape: list[int], amounts: list[tuple[int, int]], value: float, layout: str) -> None:
    flat = [amount for pair in amounts[: len(shape)] for amount in pair]
    if any(size + sum(pair) < 1 for size, pair in zip(reversed(shape), amounts, strict=False)):
        return  # PyTorch refuses results without elements
    agree(lambda F, x: F.pad(x, flat, value=value), normal(*shape), layout=layout)


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(3, 4), st.integers(3, 4)),
    st.tuples(*[st.integers(0, 2)] * 4), st.sampled_from(["reflect", "replicate", "circular"]),
)  # fmt: skip
def test_any_pad_from_the_input_agrees(shape: tuple[int, ...], amounts: tuple[int, ...], mode: str) -> None:
    agree(lambda F, x: F.pad(x, amounts, mode), normal(*shape))


@pytest.mark.parametrize("name", ["cat of channels", "cat of images", "pad"])
def test_channels_last_memory_stays_so(name: str, backend: str) -> None:
    fn, arrays = CASES[name]
    tensors = [Tensor(laid_out(array, "channels-last"), requires_grad=True) for array in arrays]
    output = fn(F, *tensors)
    assert nhwc(output.numpy()).flags.c_contiguous
    output.backward(output.numpy())
    for tensor in tensors:
        assert tensor.grad is not None
        assert nhwc(tensor.grad).flags.c_contiguous


def test_branches_of_different_sizes_are_named_with_their_shapes() -> None:
    small, large = Tensor(np.zeros((2, 3, 4, 4))), Tensor(np.zeros((2, 5, 5, 4)))
    with pytest.raises(ValueError, match=r"tensor 0: \(2, 3, 4, 4\), tensor 1: \(2, 5, 5, 4\)"):
        F.cat([small, large], dim=1)
