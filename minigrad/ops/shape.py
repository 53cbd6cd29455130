"""Operations that move numbers and leave them as they are: backward moves the gradients the same way back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.layout import Array, nchw, nhwc
from minigrad import device
from minigrad.function import Function
from minigrad.ops.arguments import resolve_axis


def unpacked(numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numbers given one by one or as one tuple or list, as a tuple."""
    return tuple(numbers[0]) if len(numbers) == 1 and isinstance(numbers[0], tuple | list) else numbers


class Reshape(Function):
    """The same elements in logical order in another shape."""

    def __init__(self, *shape: Any) -> None:
        super().__init__()
        self.shape = unpacked(shape)

    def forward(self, a: Array) -> Array:
        self.save(a.shape)
        try:
            return a.reshape(self.shape)
        except ValueError:
            raise ValueError(f"reshape: shape: given {self.shape} for {a.size} elements of shape {a.shape}") from None

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (shape,) = self.saved
        return (grad.reshape(shape),)


class Permute(Function):
    """The axes in a new order."""

    def __init__(self, *dims: Any) -> None:
        super().__init__()
        self.dims = unpacked(dims)

    def forward(self, a: Array) -> Array:
        order = [resolve_axis("permute: dims", dim, a.ndim) for dim in self.dims]
        if sorted(order) != list(range(a.ndim)):
            raise ValueError(f"permute: dims: given {self.dims}, expected each of {a.ndim} axes once")
        self.save(np.argsort(order))
        return a.transpose(order)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (order_back,) = self.saved
        return (grad.transpose(order_back),)


class Index(Function):
    """a[key]. An element that was taken several times receives several gradients, which are added up."""

    def __init__(self, key: tuple[Any, ...]) -> None:
        super().__init__()
        self.key = key

    def forward(self, a: Array) -> Array:
        self.save(a.shape)
        self.key = tuple(device.beside(a, part) if isinstance(part, np.ndarray) else part for part in self.key)
        result: Array = a[self.key]
        return result

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (shape,) = self.saved
        a_grad = np.zeros_like(grad, shape=shape)
        device.add_at(a_grad, self.key, grad)
        return (a_grad,)


class Move(Function):
    """The same numbers on another device; backward takes the gradient back."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.target = name

    def forward(self, a: Array) -> Array:
        self.save(device.of(a))
        return device.to(a, self.target)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (source,) = self.saved
        return (device.to(grad, source),)


def channels_last_axis(dim: int, ndim: int) -> int:
    """Where axis `dim` of a tensor lies in the kernels' channels-last array: channels at the end, the others before."""
    return dim if dim == 0 or ndim < 3 else ndim - 1 if dim == 1 else dim - 1


class Cat(Function):
    """Tensors one after another along an axis; backward parts the gradient where they met."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *tensors: Array) -> Array:
        if not tensors:
            raise ValueError("cat: tensors: given none, expected at least one")
        shapes = [a.shape for a in tensors]
        ndim = len(shapes[0])
        if ndim == 0:
            raise ValueError("cat: tensors: given single numbers, expected at least one axis")
        dim = resolve_axis("cat: dim", self.dim, ndim)
        if len({(len(s), s[:dim], s[dim + 1 :]) for s in shapes}) > 1:
            listed = ", ".join(f"tensor {i}: {shape}" for i, shape in enumerate(shapes))
            raise ValueError(f"cat: tensors: shapes must agree in all axes but dim={dim}, given {listed}")
        self.axis = channels_last_axis(dim, ndim)
        self.save([shape[dim] for shape in shapes])
        if ndim < 3:
            return self.kernels.cat(tensors, self.axis)
        return nchw(self.kernels.cat([nhwc(a) for a in tensors], self.axis))

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        (sizes,) = self.saved
        if grad.ndim < 3:
            return tuple(self.kernels.split(grad, sizes, self.axis))
        return tuple(nchw(piece) for piece in self.kernels.split(nhwc(grad), sizes, self.axis))


class Pad(Function):
    """`value` added around, or, where an amount is negative, the edge cut off. One (before, after) per axis."""

    def __init__(self, amounts: Sequence[tuple[int, int]], value: float) -> None:
        super().__init__()
        self.amounts, self.value = list(amounts), value

    def _pad(self, a: Array, amounts: list[tuple[int, int]], value: float) -> Array:
        if a.ndim < 3:
            return self.kernels.pad(a, amounts, value)
        return nchw(self.kernels.pad(nhwc(a), [amounts[0], *amounts[2:], amounts[1]], value))

    def forward(self, a: Array) -> Array:
        for axis, (size, (before, after)) in enumerate(zip(a.shape, self.amounts, strict=True)):
            if size + before + after < 0 or size + min(0, before) + min(0, after) < 0:
                raise ValueError(f"pad: given ({before}, {after}) for axis {axis}, which has only {size} places")
        return self._pad(a, self.amounts, self.value)

    def backward(self, grad: Array) -> tuple[Array | None, ...]:
        return (self._pad(grad, [(-before, -after) for before, after in self.amounts], 0.0),)
