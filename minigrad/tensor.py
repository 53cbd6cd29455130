"""Tensor: an array that remembers how it was made.

`data` is a plain array, NumPy's or on a GPU CuPy's, and so is `grad`. Arithmetic makes new tensors, each of which hangs
on the operation that made it (`grad_fn`). `backward()` walks from a loss back through these operations and leaves in
the `grad` of each leaf how much the loss changes with it.
"""

import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from kernels import is_on_card
from kernels.layout import Array
from minigrad import (  # tensors call operations, and these make tensors: a circle, closed when both are loaded
    device,
    ops,
)
from minigrad.ops.arguments import resolve_axis

Hook = Callable[[Array], Array | None]
DTYPES = tuple(map(np.dtype, ("float32", "float64", "int32", "int64", "uint8", "bool")))


class MaxResult(NamedTuple):
    """What `Tensor.max(dim)` returns: the maxima, and where along `dim` the first of them is (int64, no gradient)."""

    values: "Tensor"
    indices: "Tensor"


class HookHandle:
    """What `register_hook` returns; `remove()` takes the hook off again."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook off; once is enough."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)
        self._hooks = []  # the same hook may be there again, for another handle


def as_data(data: Any) -> Array:
    """The array for `Tensor(data)`: arrays as they are, those in another byte order copied, Python floats as float32.
    TypeError for other dtypes."""
    array: Array = data if is_on_card(data) else np.asarray(data)
    if array.dtype == np.float64 and not hasattr(data, "dtype"):
        array = array.astype(np.float32)
    array = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in DTYPES:
        raise TypeError(f"data: given dtype {array.dtype}, expected one of {', '.join(map(str, DTYPES))}")
    return array


def scalar_or_tensor(value: Any, tensor: "Tensor") -> "Tensor | float":
    """The other operand of an arithmetic operator on `tensor`. NumPy scalars become Python numbers, which promote no
    float; lists go where the tensor is."""
    if isinstance(value, np.generic):  # first, since np.float64 is a kind of float
        return value.item()
    if isinstance(value, Tensor | bool | int | float):
        return value
    return Tensor(value) if hasattr(value, "dtype") else Tensor(device.beside(tensor.data, as_data(value)))


class Tensor:
    """An array of numbers of any shape, with the graph that made it.

    data: the array, NumPy's or CuPy's, shared with the caller and not copied. Lists of floats become float32.
    requires_grad: whether `backward` shall compute a gradient for it; for float32 and float64 only.

    An image batch has the shape (N, C, H, W). TypeError for data of another dtype than those in DTYPES.
    """

    __slots__ = ("__weakref__", "_leaf_hooks", "_retains", "data", "grad", "grad_fn", "requires_grad")
    __array_ufunc__ = None  # so that `numpy_array * tensor` asks the tensor

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self.data: Array = as_data(data)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"requires_grad: only float tensors have gradients, and data is {self.data.dtype}")
        self.requires_grad = requires_grad
        self.grad: Array | None = None
        self.grad_fn: ops.Function | None = None
        self._leaf_hooks: list[Hook] = []
        self._retains = False

    # --- the graph

    @property
    def node(self) -> "ops.Function | Tensor":
        """Where this tensor's gradient goes in a backward walk: to the operation that made it, or to a leaf itself."""
        return self.grad_fn or self

    @property
    def hooks(self) -> list[Hook]:
        """What `register_hook` has put here."""
        return self.grad_fn.hooks if self.grad_fn else self._leaf_hooks

    def backward(self, gradient: "Tensor | Array | None" = None) -> None:
        """Add to each leaf's `grad` the gradient of this tensor with respect to it.

        gradient: of the final quantity with respect to this tensor, same shape and dtype; 1 for a single number.
        RuntimeError if the tensor does not require a gradient, if `gradient` is missing for more than one number, or
        if the graph has been walked before. TypeError if `gradient` is no array, ValueError if it does not fit.
        """
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient, and neither does what it came from")
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(f"backward: gradient is needed for a tensor of shape {self.shape}, not one number")
            with device.holding(self.data):
                gradient = np.ones_like(self.data)
        array = gradient.data if isinstance(gradient, Tensor) else ops.as_array(gradient)
        if not hasattr(array, "dtype"):
            raise TypeError(f"gradient: given {type(array).__name__}, expected a tensor or an array")
        if (array.shape, array.dtype, device.of(array)) != (self.shape, self.dtype, self.device):
            raise ValueError(
                f"gradient: given {array.dtype} {array.shape} on {device.of(array)}, "
                f"expected {self.dtype} {self.shape} on {self.device}, as the tensor's"
            )
        ops.backward(self, array)

    def register_hook(self, hook: Hook) -> HookHandle:
        """Call `hook(gradient)` when this tensor's gradient is complete; an array that it returns takes its place.

        RuntimeError if the tensor does not require a gradient.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: this tensor does not require a gradient")
        self.hooks.insert(len(self.hooks) - self._retains, hook)  # what retain_grad keeps is what comes out at the end
        return HookHandle(self.hooks, hook)

    def retain_grad(self) -> None:
        """Leave the gradient in `grad` for this tensor too, though it is not a leaf."""
        if self.grad_fn is None or self._retains:
            return
        me = weakref.ref(self)  # the hook must not keep the tensor alive

        def keep(gradient: Array) -> None:
            tensor = me()
            if tensor is not None:
                tensor.grad = gradient.copy(order="K") if tensor.grad is None else ops.as_array(tensor.grad + gradient)

        self.register_hook(keep)
        self._retains = True

    def detach(self) -> "Tensor":
        """The same data without its past."""
        return Tensor(self.data)

    # --- what it holds

    @property
    def shape(self) -> tuple[int, ...]:
        """How many elements along each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """One of DTYPES."""
        return self.data.dtype

    @property
    def device(self) -> str:
        """Where the data is: "cpu", "gpu:0", ..."""
        return device.of(self.data)

    def numpy(self) -> Array:
        """The data as a NumPy array, not copied. TypeError if it is on a card: `to("cpu")` copies it, and waits."""
        if is_on_card(self.data):
            raise TypeError(f"numpy: the tensor is on {self.device}; copy it with tensor.to('cpu').numpy()")
        return self.data

    def item(self) -> float:
        """The one number in it, as a Python number. ValueError if there are more."""
        if self.data.size != 1:
            raise ValueError(f"item: the tensor has shape {self.shape}, expected a single number")
        return self.data.item()

    def to(self, target: DTypeLike | str) -> "Tensor":
        """The same numbers in another dtype, or on another device: "cpu", "gpu" (the current card), "gpu:1".

        Gradients come back in this one's dtype and to where this one is. DeviceError if the device cannot be had,
        TypeError if no tensor can have the dtype.
        """
        if device.is_name(target):
            return self if device.is_at(self.data, str(target)) else ops.Move(str(target))(self)
        dtype = np.dtype(target)
        if dtype not in DTYPES:
            raise TypeError(f"to: given {target!r}, expected a device or one of {', '.join(map(str, DTYPES))}")
        return self if dtype == self.dtype else ops.Cast(dtype)(self)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a tensor of a single number has no length")
        return len(self.data)

    def __iter__(self) -> "Iterator[Tensor]":
        """The tensors along the first axis."""
        return (self[index] for index in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        """For `numpy.asarray(tensor)`: its data."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __eq__(self, other: object) -> bool:
        raise TypeError("tensors are not compared; compare what they hold: a.data == b.data, or `a is b`")

    __hash__ = object.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For copy and pickle, which leave out the past and so take leaves only."""
        if self.grad_fn is not None:
            raise TypeError(f"copy: this tensor was made by {self.grad_fn}, and its past cannot be copied; detach() it")
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        numbers = np.array2string(device.host(self.data), precision=4, separator=", ", prefix="Tensor(", threshold=100)
        past = f", grad_fn={self.grad_fn}" if self.grad_fn else ", requires_grad=True" if self.requires_grad else ""
        dtype = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        place = f", device={self.device}" if is_on_card(self.data) else ""
        return f"Tensor({numbers}{dtype}{place}{past})"

    # --- arithmetic, with NumPy's broadcasting

    def __add__(self, other: Any) -> "Tensor":
        return ops.Add()(self, scalar_or_tensor(other, self))

    def __sub__(self, other: Any) -> "Tensor":
        return ops.Sub()(self, scalar_or_tensor(other, self))

    def __mul__(self, other: Any) -> "Tensor":
        return ops.Mul()(self, scalar_or_tensor(other, self))

    def __truediv__(self, other: Any) -> "Tensor":
        return ops.Div()(self, scalar_or_tensor(other, self))

    def __radd__(self, other: Any) -> "Tensor":
        return ops.Add()(scalar_or_tensor(other, self), self)

    def __rsub__(self, other: Any) -> "Tensor":
        return ops.Sub()(scalar_or_tensor(other, self), self)

    def __rmul__(self, other: Any) -> "Tensor":
        return ops.Mul()(scalar_or_tensor(other, self), self)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return ops.Div()(scalar_or_tensor(other, self), self)

    def __neg__(self) -> "Tensor":
        return ops.Mul()(self, -1)

    def __pow__(self, exponent: float) -> "Tensor":
        """Each element to a constant power."""
        return ops.Pow(exponent.item() if isinstance(exponent, np.generic) else exponent)(self)

    def __matmul__(self, other: Any) -> "Tensor":
        """Matrix product of the last two axes, the axes before broadcast; vectors as in NumPy."""
        return ops.MatMul()(self, other if isinstance(other, Tensor) else Tensor(other))

    def __rmatmul__(self, other: Any) -> "Tensor":
        return ops.MatMul()(Tensor(other), self)

    def exp(self) -> "Tensor":
        """e to the power of each element."""
        return ops.Exp()(self)

    def log(self) -> "Tensor":
        """The natural logarithm."""
        return ops.Log()(self)

    # --- reductions: over `dim` (a number, several, or None for all). With `keepdim` those axes stay, of size 1.
    # IndexError if there is no such axis, ValueError if one is named twice.

    def sum(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> "Tensor":
        """The sum, added up in float64; of integers in int64, which is also its dtype."""
        return ops.Sum(dim, keepdim)(self)

    def mean(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> "Tensor":
        """The mean, added up as `sum` does; of integers in float32. NaN over no elements."""
        total = ops.Sum(dim, keepdim, "mean")(self)
        return total / (self.data.size / max(1, total.data.size))

    def max(self, dim: int | None = None, keepdim: bool = False) -> "Tensor | MaxResult":
        """The largest element; with `dim`, the largest along it, and their indices.

        As in PyTorch, several equal maxima share the gradient evenly without `dim`; with it the first has it all.
        """
        if dim is None:
            return ops.Max()(self)
        operation = ops.MaxAlong(dim, keepdim)
        values = operation(self)
        return MaxResult(values, Tensor(operation.indices))

    # --- shape

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in logical order in another shape; one size may be -1."""
        return ops.Reshape(*shape)(self)

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """Two axes swapped."""
        dims = list(range(self.ndim))
        dim0, dim1 = resolve_axis("transpose: dim0", dim0, self.ndim), resolve_axis("transpose: dim1", dim1, self.ndim)
        if dims:  # a single number has none to swap
            dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
        return ops.Permute(*dims)(self)

    def permute(self, *dims: Any) -> "Tensor":
        """All axes in a new order, given one by one or as a tuple."""
        return ops.Permute(*dims)(self)

    def __getitem__(self, key: Any) -> "Tensor":
        """Indexing as in NumPy, with numbers, slices, None, `...`, and arrays or tensors of integers or booleans."""
        keys = key if isinstance(key, tuple) else (key,)
        plain = tuple(k.data if isinstance(k, Tensor) else k for k in keys)
        return ops.Index(plain)(self)
