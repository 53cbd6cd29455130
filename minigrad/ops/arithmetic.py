"""Elementwise arithmetic, matrix products and reductions.

These need no kernels: array operators and methods do, which NumPy and CuPy arrays both have. Where one operand was
broadcast, several outputs came from one of its elements, so `unbroadcast` adds their gradients up.

Integers become float32 where a result is not an integer, as in PyTorch: NumPy would take most of them for float64, and
small ones for float16.
"""

from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad.function import Function, as_array
from minigrad.ops.arguments import resolve_axis


def unbroadcast(grad: Array, shape: tuple[int, ...]) -> Array:
    """Sum `grad` over the axes along which an array of `shape` was repeated to become as large as `grad`."""
    if grad.shape == shape:
        return grad
    ahead = grad.ndim - len(shape)
    stretched = tuple(ahead + axis for axis, size in enumerate(shape) if size == 1 and grad.shape[ahead + axis] != 1)
    return total(grad, (*range(ahead), *stretched), keepdims=True).reshape(shape)  # (1, ..., *shape) -> shape


def total(a: Array, axes: tuple[int, ...] | None, keepdims: bool) -> Array:
    """The sum over some axes, None for all, added up in float64; of integers in int64, as in PyTorch.

    Small integers would overflow. And NumPy adds rows one after the other: a float32 total of a million of them is off
    by percents.
    """
    within, dtype = (np.float64, a.dtype) if a.dtype.kind == "f" else (np.int64, np.int64)
    return as_array(a.sum(axis=axes, dtype=within, keepdims=keepdims).astype(dtype))


def as_floats(a: Any) -> Any:
    """Integers as float32. Floats and Python numbers stay what they are."""
    return a.astype(np.float32) if hasattr(a, "dtype") and a.dtype.kind != "f" else a


def alike(a: Any, b: Any) -> tuple[Any, Any]:
    """Both operands, integers as float32 if the other one is a Python float."""
    return (as_floats(a), as_floats(b)) if isinstance(a, float) or isinstance(b, float) else (a, b)


class Add(Function):
    """a + b."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(np.shape(a), np.shape(b))
        a, b = alike(a, b)
        result: Array = a + b
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return tuple(
            unbroadcast(grad, shape) if need else None for shape, need in zip(self.saved, self.needs, strict=True)
        )


class Sub(Function):
    """a - b."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(np.shape(a), np.shape(b))
        a, b = alike(a, b)
        result: Array = a - b
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a_shape, b_shape = self.saved
        return (
            unbroadcast(grad, a_shape) if self.needs[0] else None,
            unbroadcast(-grad, b_shape) if self.needs[1] else None,
        )


class Mul(Function):
    """a * b: each factor's gradient is the other factor."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(np.shape(a), np.shape(b), a if self.needs[1] else None, b if self.needs[0] else None)
        a, b = alike(a, b)
        result: Array = a * b
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a_shape, b_shape, a, b = self.saved
        return (
            unbroadcast(grad * b, a_shape) if self.needs[0] else None,
            unbroadcast(grad * a, b_shape) if self.needs[1] else None,
        )


class Div(Function):
    """a / b."""

    def forward(self, a: Any, b: Any) -> Array:
        self.save(np.shape(a), np.shape(b), a if self.needs[1] else None, b)
        result: Array = as_floats(a) / as_floats(b)
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a_shape, b_shape, a, b = self.saved
        return (
            unbroadcast(grad / b, a_shape) if self.needs[0] else None,
            unbroadcast(-(grad / b) * (a / b), b_shape) if self.needs[1] else None,  # b * b might be out of range
        )


class Pow(Function):
    """a ** exponent, for a constant exponent."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        if not isinstance(exponent, int | float):
            raise TypeError(f"exponent: given {type(exponent).__name__}, expected a Python number")
        self.exponent = exponent

    def forward(self, a: Array) -> Array:
        self.save(a)
        base = as_floats(a) if isinstance(self.exponent, float) else a
        result: Array = base**self.exponent
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (a,) = self.saved
        if self.exponent == 0:
            return (np.zeros_like(grad),)  # a constant, also where a is 0 and a ** -1 is infinite
        return (grad * (self.exponent * a ** (self.exponent - 1)),)


class Exp(Function):
    """e ** a, which is its own derivative."""

    def forward(self, a: Array) -> Array:
        output: Array = np.exp(as_floats(a))
        self.save(output)
        return output

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (output,) = self.saved
        return (grad * output,)


class Log(Function):
    """The natural logarithm."""

    def forward(self, a: Array) -> Array:
        self.save(a)
        result: Array = np.log(as_floats(a))
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (a,) = self.saved
        return (grad / a,)


class Cast(Function):
    """The same numbers in another dtype."""

    def __init__(self, dtype: np.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, a: Array) -> Array:
        self.save(a.dtype)
        return a.astype(self.dtype)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (dtype,) = self.saved
        return (grad.astype(dtype),)


class MatMul(Function):
    """a @ b, with the axes before the last two broadcast."""

    def forward(self, a: Array, b: Array) -> Array:
        if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[max(0, b.ndim - 2)]:
            raise ValueError(f"matmul: b: given shape {b.shape}, expected as many rows as a has columns: {a.shape}")
        try:
            np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            given = f"{a.shape} and {b.shape}"
            raise ValueError(f"matmul: given shapes {given}, whose axes before the last two do not fit") from None
        self.save(a, b)
        result: Array = a @ b
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, b = self.saved
        # A vector takes part as a matrix of one row (a) or one column (b), whose axis the result lacks.
        rows = a[None, :] if a.ndim == 1 else a
        cols = b[:, None] if b.ndim == 1 else b
        if a.ndim == 1:
            grad = np.expand_dims(grad, -1 if b.ndim == 1 else -2)
        if b.ndim == 1:
            grad = np.expand_dims(grad, -1)
        a_grad = b_grad = None
        if self.needs[0]:
            a_grad = unbroadcast(grad @ np.swapaxes(cols, -1, -2), rows.shape).reshape(a.shape)
        if self.needs[1]:
            b_grad = unbroadcast(np.swapaxes(rows, -1, -2) @ grad, cols.shape).reshape(b.shape)
        return a_grad, b_grad


class Sum(Function):
    """Sum over some axes, or all: each summand's gradient is that of the sum."""

    def __init__(self, dim: int | tuple[int, ...] | None, keepdim: bool, operation: str = "sum") -> None:
        super().__init__()
        self.dim, self.keepdim, self.operation = dim, keepdim, operation

    def forward(self, a: Array) -> Array:
        dims = range(a.ndim) if self.dim is None else self.dim if isinstance(self.dim, tuple) else (self.dim,)
        axes = tuple(resolve_axis(f"{self.operation}: dim", dim, a.ndim) for dim in dims)
        if len(set(axes)) < len(axes):
            raise ValueError(f"{self.operation}: dim: given {self.dim}, which names an axis twice")
        self.save(a.shape, axes)
        return total(a, axes if a.ndim else None, self.keepdim)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        shape, axes = self.saved
        if shape and not self.keepdim:
            grad = np.expand_dims(grad, axes)
        return (np.broadcast_to(grad, shape),)


class Max(Function):
    """The largest element; equal maxima share the gradient evenly."""

    def forward(self, a: Array) -> Array:
        if a.size == 0:
            raise ValueError(f"max: given a tensor of shape {a.shape}, expected at least one element")
        output: Array = a.max()
        self.save(a, output)
        return output

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        a, output = self.saved
        winners = (a == output) | np.isnan(a)
        return (winners * (grad / winners.sum()).astype(grad.dtype),)


class MaxAlong(Function):
    """The largest elements along one axis; the first of equal maxima has the gradient. `indices` says where."""

    def __init__(self, dim: int, keepdim: bool) -> None:
        super().__init__()
        self.dim, self.keepdim = dim, keepdim

    def forward(self, a: Array) -> Array:
        axis = resolve_axis("max: dim", self.dim, a.ndim)
        lines = np.atleast_1d(a)
        if lines.shape[axis] == 0:
            raise ValueError(f"max: dim: given {self.dim}, which has no elements, shape {a.shape}")
        indices = lines.argmax(axis=axis, keepdims=True)
        self.save(indices, lines.shape, a.shape, axis)
        values: Array = np.take_along_axis(lines, indices, axis=axis)
        shape = values.shape if a.ndim and self.keepdim else values.squeeze(axis).shape
        self.indices = indices.reshape(shape)
        return values.reshape(shape)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        indices, lines_shape, shape, axis = self.saved
        a_grad = np.zeros_like(grad, shape=lines_shape)
        np.put_along_axis(a_grad, indices, grad.reshape(indices.shape), axis=axis)
        return (a_grad.reshape(shape),)
