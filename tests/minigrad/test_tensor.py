"""Tensor: arithmetic, reductions, indexing and shapes against PyTorch, and what dtypes do."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor
from tests.minigrad.against_torch import agree, assert_close, normal, spaced, torch_module

POSITIVE = np.abs(normal(2, 3)) + 0.5

CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "add": (lambda F, a, b: a + b, (normal(2, 3), normal(2, 3, seed=1))),
    "add broadcasts rows": (lambda F, a, b: a + b, (normal(2, 3), normal(3))),
    "add broadcasts both": (lambda F, a, b: a + b, (normal(2, 1, 3), normal(4, 1))),
    "add a number without axes": (lambda F, a, b: a + b, (normal(2, 3), normal())),
    "add to a number without axes": (lambda F, a, b: a + b, (normal(), normal(2, 3))),
    "add an empty tensor": (lambda F, a, b: a + b, (normal(0, 3), normal(3))),
    "sub": (lambda F, a, b: a - b, (normal(2, 3), normal(2, 1))),
    "mul": (lambda F, a, b: a * b, (normal(2, 3), normal(1, 3))),
    "mul aliases": (lambda F, a: a * a, (normal(2, 3),)),
    "div": (lambda F, a, b: a / b, (normal(2, 3), POSITIVE)),
    "div broadcasts": (lambda F, a, b: a / b, (normal(4, 2, 3), POSITIVE)),
    "numbers on the right": (lambda F, a: ((a + 2) - 3) * 4 / 5, (normal(3),)),
    "numbers on the left": (lambda F, a: 2 + (3 - 4 * (5 / a)), (POSITIVE,)),
    "neg": (lambda F, a: -a, (normal(2, 3),)),
    "pow": (lambda F, a: a**3, (normal(2, 3),)),
    "pow of a half": (lambda F, a: a**0.5, (POSITIVE,)),
    "pow negative": (lambda F, a: a**-2, (POSITIVE,)),
    "pow 0": (lambda F, a: a**0, (normal(2, 3),)),
    "pow 1": (lambda F, a: a**1, (normal(2, 3),)),
    "exp": (lambda F, a: a.exp(), (normal(2, 3),)),
    "log": (lambda F, a: a.log(), (POSITIVE,)),
    "matmul": (lambda F, a, b: a @ b, (normal(2, 3), normal(3, 4))),
    "vector @ vector": (lambda F, a, b: a @ b, (normal(3), normal(3, seed=1))),
    "vector @ matrix": (lambda F, a, b: a @ b, (normal(3), normal(3, 4))),
    "matrix @ vector": (lambda F, a, b: a @ b, (normal(2, 3), normal(3))),
    "batches": (lambda F, a, b: a @ b, (normal(5, 2, 3), normal(5, 3, 4))),
    "batches broadcast": (lambda F, a, b: a @ b, (normal(2, 1, 2, 3), normal(5, 3, 4))),
    "batch @ matrix": (lambda F, a, b: a @ b, (normal(5, 2, 3), normal(3, 4))),
    "vector @ batch": (lambda F, a, b: a @ b, (normal(3), normal(5, 3, 4))),
    "batch @ vector": (lambda F, a, b: a @ b, (normal(5, 2, 3), normal(3))),
    "empty matmul": (lambda F, a, b: a @ b, (normal(0, 3), normal(3, 4))),
    "matmul without columns": (lambda F, a, b: a @ b, (normal(2, 0), normal(0, 4))),
    "sum": (lambda F, a: a.sum(), (normal(2, 3, 4),)),
    "sum dim": (lambda F, a: a.sum(1), (normal(2, 3, 4),)),
    "sum negative dim": (lambda F, a: a.sum(-1, keepdim=True), (normal(2, 3, 4),)),
    "sum dims": (lambda F, a: a.sum((0, -1)), (normal(2, 3, 4),)),
    "sum keepdim": (lambda F, a: a.sum((0, 2), keepdim=True), (normal(2, 3, 4),)),
    "sum of nothing": (lambda F, a: a.sum(0), (normal(0, 3),)),
    "sum of one number": (lambda F, a: a.sum(), (normal(),)),
    "mean": (lambda F, a: a.mean(), (normal(2, 3, 4),)),
    "mean dim": (lambda F, a: a.mean(1), (normal(2, 3, 4),)),
    "mean dims": (lambda F, a: a.mean((1, 2), keepdim=True), (normal(2, 3, 4),)),
    "max": (lambda F, a: a.max(), (spaced(2, 3, 4),)),
    "max dim": (lambda F, a: a.max(1).values, (spaced(2, 3, 4),)),
    "max negative dim": (lambda F, a: a.max(-1, keepdim=True).values, (spaced(2, 3, 4),)),
    "reshape": (lambda F, a: a.reshape(3, -1), (normal(2, 3, 4),)),
    "reshape a tuple": (lambda F, a: a.reshape((4, 6)), (normal(2, 3, 4),)),
    "reshape to no axes": (lambda F, a: a.reshape(()), (normal(1, 1),)),
    "reshape a transposed": (lambda F, a: a.transpose(0, 2).reshape(4, 6), (normal(2, 3, 4),)),
    "transpose": (lambda F, a: a.transpose(-1, 0), (normal(2, 3, 4),)),
    "transpose a number": (lambda F, a: a.transpose(0, -1), (normal(),)),
    "permute": (lambda F, a: a.permute(2, 0, 1), (normal(2, 3, 4),)),
    "permute negative": (lambda F, a: a.permute((-1, 0, -2)), (normal(2, 3, 4),)),
    "index": (lambda F, a: a[1], (normal(2, 3, 4),)),
    "index one element": (lambda F, a: a[1, -1, 2], (normal(2, 3, 4),)),
    "slice": (lambda F, a: a[:, 1:, ::2], (normal(2, 3, 4),)),
    "empty slice": (lambda F, a: a[:, 3:], (normal(2, 3, 4),)),
    "ellipsis and new axis": (lambda F, a: a[..., None, 1], (normal(2, 3, 4),)),
    "repeated integers": (lambda F, a: a[[2, 0, 2, 2]], (normal(3, 4),)),
    "integers along two axes": (lambda F, a: a[[0, 1, 0], [2, 2, 2]], (normal(2, 3, 4),)),
    "integers behind a slice": (lambda F, a: a[:, [1, 1, 0]], (normal(2, 3, 4),)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch_and_with_finite_differences(name: str, dtype: type) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, dtype=dtype, check=True)


@pytest.mark.parametrize("name", ["add broadcasts both", "batches broadcast", "sum dims", "max dim", "reshape"])
def test_strided_arrays_agree(name: str) -> None:
    fn, arrays = CASES[name]
    agree(fn, *arrays, layout="strided")


def test_indexing_with_a_mask_agrees() -> None:
    mask = normal(2, 3) > 0
    agree(lambda F, a, m: a[m], normal(2, 3, 4), mask, check=True)


def test_indexing_with_a_tensor_of_integers_agrees() -> None:
    agree(lambda F, a, i: a[i], normal(3, 4), np.array([[2, 2], [0, 2]]), check=True)


def test_negative_steps_agree_with_flip() -> None:
    agree(lambda F, a: a[::-1, 1::-1], normal(4, 3), like=lambda F, a: a.flip(0)[:, :2].flip(1), check=True)


def test_iterating_gives_the_rows() -> None:
    assert [row.numpy().tolist() for row in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]


# --- maxima


@pytest.mark.parametrize(
    "numbers", [[[1, 3, 3], [2, 2, 2]], [[np.nan, 1, np.nan], [2, np.nan, 5]], [[-np.inf] * 3, [-np.inf] * 3]]
)
def test_ties_and_nan_in_max_agree_with_torch(numbers: list[list[float]]) -> None:
    array = np.array(numbers, float)
    agree(lambda F, a: a.max(1).values, array)
    agree(lambda F, a: a.max(), array)
    expected = torch_module().tensor(array).max(1).indices.numpy()
    np.testing.assert_array_equal(Tensor(array).max(1).indices.numpy(), expected)


def test_max_of_a_number_without_axes() -> None:
    agree(lambda F, a: a.max(0).values, normal())
    agree(lambda F, a: a.max(), normal())


# --- dtypes


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), 2, 2.0, True])
def test_numbers_never_promote(number: Any) -> None:
    t = Tensor([1.0, 2.0], requires_grad=True)
    for result in (number * t, t * number, number + t, t + number, t - number, number - t, t / number, number / t):
        assert result.dtype == np.float32
        assert isinstance(result, Tensor)
    (number * t).sum().backward()
    assert t.grad is not None
    assert t.grad.dtype == np.float32


def test_numpy_exponents_never_promote() -> None:
    assert (Tensor([1.0, 2.0]) ** np.float64(2)).dtype == np.float32
    assert (Tensor([1.0, 2.0]) ** np.int64(2)).dtype == np.float32


FRACTIONS: dict[str, Callable[[Any], Any]] = {
    "plus": lambda t: t + 0.5,
    "minus": lambda t: t - 0.5,
    "times": lambda t: 0.5 * t,
    "by": lambda t: t / 2,
    "by itself": lambda t: t / t,
    "under": lambda t: 1 / t,
    "to a float": lambda t: t**2.0,
    "exp": lambda t: t.exp(),
    "log": lambda t: t.log(),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize("name", FRACTIONS)
def test_integers_become_float32_where_a_result_is_none(name: str, dtype: type) -> None:
    array = np.array([1, 3, 20], dtype)  # exp(20) is more than float16 holds
    assert_close(FRACTIONS[name](Tensor(array)).numpy(), FRACTIONS[name](torch_module().tensor(array)).numpy())


def test_integers_stay_integers_among_each_other() -> None:
    t = Tensor([1, 3])
    assert [(t + 1).dtype, (2 * t).dtype, (t - t).dtype, (t**2).dtype] == [np.int64] * 4
    assert (Tensor([1, 2, 4]).mean().dtype, Tensor([1, 2]).mean().item()) == (np.float32, 1.5)


@pytest.mark.parametrize("reduce", [lambda t: t.sum(), lambda t: t.mean(), lambda t: t.max()])
def test_results_without_axes_stay_float32_tensors(reduce: Callable[[Tensor], Tensor]) -> None:
    total = reduce(Tensor([1.0, 2.0], requires_grad=True))
    assert isinstance(total.numpy(), np.ndarray)
    assert (total + Tensor([1.0, 2.0])).dtype == np.float32
    assert (total * total).dtype == np.float32


def test_arrays_take_part_from_both_sides() -> None:
    array, t = np.array([1.0, 2.0], np.float32), Tensor([3.0, 4.0], requires_grad=True)
    for result in (array * t, t * array):
        assert isinstance(result, Tensor)
        assert_close(result.numpy(), np.array([3, 8], np.float32))
    assert_close((array @ t).numpy(), np.array(11, np.float32))
    assert_close((array - t).numpy(), np.array([-2, -2], np.float32))


def test_mixed_dtypes_are_an_error_that_names_both() -> None:
    single, double = Tensor([1.0]), Tensor(np.array([1.0]))
    with pytest.raises(TypeError, match=r"a is float32, b is float64; convert with Tensor\.to"):
        single + double
    with pytest.raises(TypeError, match="a is float64, b is float32"):
        np.array([1.0]) * single
    with pytest.raises(TypeError, match="a is float32, b is int64"):
        single * Tensor([1])


def test_only_floats_can_require_a_gradient() -> None:
    with pytest.raises(TypeError, match="requires_grad: only float tensors"):
        Tensor([1, 2], requires_grad=True)
    assert not Tensor([1.5], requires_grad=True).to("int64").requires_grad


@pytest.mark.parametrize("dtype", ["float16", "int8", "complex64"])
def test_a_dtype_that_no_tensor_has_is_refused(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"to: given '{dtype}', expected a device or one of float32, "):
        Tensor([1.0]).to(dtype)


@pytest.mark.parametrize("data", ["text", [1j], None, [object()], np.ones(2, np.float16)])
def test_data_of_other_kinds_are_refused(data: Any) -> None:
    with pytest.raises(TypeError, match="data: given dtype"):
        Tensor(data)


def test_data_are_shared_and_python_floats_become_float32() -> None:
    array = np.zeros(3)
    assert Tensor(array).numpy() is array
    assert Tensor([1.0, 2]).dtype == np.float32
    assert Tensor(1.5).dtype == np.float32
    assert Tensor([1, 2]).dtype == np.int64
    assert Tensor([True]).dtype == np.bool_
    assert Tensor(np.float64(1)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.bool_])
def test_sums_of_integers_are_int64(dtype: type) -> None:
    total = Tensor(np.ones(300, dtype)).sum()
    assert (total.dtype, total.item()) == (np.int64, 300)


def test_to_converts_numbers_and_gradients() -> None:
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert t.to(np.float32) is t
    (t.to("float64") * Tensor(np.array([3.0, 4.0]))).sum().backward()
    assert t.grad is not None
    assert (t.grad.dtype, t.grad.tolist()) == (np.float32, [3, 4])


# --- what it shows


def test_item() -> None:
    assert Tensor([[2.5]]).item() == 2.5
    assert isinstance(Tensor(3).item(), int)
    with pytest.raises(ValueError, match="expected a single number"):
        Tensor([1.0, 2.0]).item()


def test_repr_tells_numbers_dtype_and_past() -> None:
    t = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(t) == "Tensor([1., 2.], requires_grad=True)"
    assert repr(t * 2) == "Tensor([2., 4.], grad_fn=<Mul>)"
    assert repr(Tensor([1, 2])) == "Tensor([1, 2], dtype=int64)"
    assert len(repr(Tensor(np.zeros((100, 100))))) < 1000


def test_size_and_detach() -> None:
    t = Tensor(np.zeros((2, 3)), requires_grad=True)
    assert (t.shape, t.ndim, len(t)) == ((2, 3), 2, 2)
    assert t.detach().numpy() is t.numpy()
    assert not t.detach().requires_grad


@pytest.mark.parametrize(("a", "b"), [(0.0, 1e-25), (1e-30, 1e-25), (1e25, 1e20), (1e38, 1e38)])
def test_division_goes_back_where_squares_are_out_of_range(a: float, b: float) -> None:
    agree(lambda F, a, b: a / b, np.array([a]), np.array([b]), dtype=np.float32)


def test_long_sums_lose_nothing() -> None:
    """One row after the other in float32, a million rows of 0.1 come to a percent too much."""
    rows = np.full((1_000_000, 3), 0.1, np.float32)
    exact = float(rows[0, 0])
    np.testing.assert_allclose(Tensor(rows).mean(0).numpy(), exact, rtol=1e-6)
    bias = Tensor(np.zeros(3, np.float32), requires_grad=True)
    ((Tensor(rows) + bias) * Tensor(rows)).sum().backward()
    np.testing.assert_allclose(bias.grad, 1e6 * exact, rtol=1e-6)


# --- Python's protocols


def test_tensors_are_not_compared_but_found() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    for compare in (lambda: a == b, lambda: a != b, lambda: np.ones(1) == a, lambda: a in [b]):
        with pytest.raises(TypeError, match=r"tensors are not compared; .* a\.data == b\.data"):
            compare()
    assert a in [a]
    assert len({a, b}) == 2


def test_leaves_are_copied_and_results_are_not() -> None:
    leaf = Tensor([1.0, 2.0], requires_grad=True)
    for copied in (copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))):
        assert copied.data.tolist() == [1, 2]
        assert copied.requires_grad
        assert copied.data is not leaf.data
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"this tensor was made by <Mul>, .* detach\(\) it"):
            duplicate(leaf * 2)


def test_numbers_in_another_byte_order_are_turned_around() -> None:
    x = Tensor(np.array([1.5, -2.0], np.dtype(np.float32).newbyteorder()), requires_grad=True)
    (x * 2).sum().backward()
    assert x.dtype == np.float32
    assert x.numpy().tolist() == [1.5, -2.0]
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_a_single_number_is_a_number_to_python() -> None:
    loss = Tensor([2.5], requires_grad=True).sum()
    assert float(loss) == 2.5
    assert f"{loss:.3f}" == "2.500"
    assert f"{loss}" == repr(loss)
    assert bool(Tensor(1.0))
    assert not Tensor([0.0])
    with pytest.raises(ValueError, match="expected a single number"):
        bool(Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="no length"):
        list(Tensor(1.0))


def test_iterating_gives_the_tensors_along_the_first_axis() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[3, 4], [1, 2]]


def test_numpy_takes_a_tensor_for_its_data() -> None:
    x = Tensor(np.arange(3.0), requires_grad=True)
    assert np.asarray(x) is x.data
    assert np.array(x, np.float32).dtype == np.float32
    assert Tensor(x).data is x.data
