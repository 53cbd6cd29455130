"""Module: a part of a network, which holds parameters, buffers and smaller modules."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from kernels.layout import Array
from minigrad import device, state
from minigrad.observe import inside
from minigrad.tensor import HookHandle, Tensor

Self = TypeVar("Self", bound="Module")


class Parameter(Tensor):
    """A tensor that a network learns: a module that is given one as an attribute counts it as its own."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)


class Module:
    """Base class of layers and networks. Subclasses set attributes in `__init__` and override `forward`.

    An attribute that is a Parameter or a Module is registered, in the order of assignment; its dotted name is how
    `named_parameters`, `state_dict` and observers call it.
    """

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(training=True, _name="", _parameters={}, _buffers={}, _modules={}, _forward_hooks=[])

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, then the forward hooks."""
        with inside(self._name):
            output = self.forward(*inputs, **options)
            for hook in tuple(self._forward_hooks):
                replacement = hook(self, inputs, output)
                output = output if replacement is None else replacement
        return output

    # --- what it holds

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before setting {name!r}")
        home = self.__dict__
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Module):
            home = self._modules
            value.__dict__["_name"] = name
        elif isinstance(value, Tensor) and name in self._buffers:
            home = self._buffers
        elif value is not None and any(name in known for known in (self._parameters, self._buffers, self._modules)):
            kind = "Parameter" if name in self._parameters else "Module" if name in self._modules else "Tensor"
            raise TypeError(f"{type(self).__name__}.{name}: given {type(value).__name__}, expected a {kind} or None")
        for other in (self._parameters, self._buffers, self._modules, self.__dict__):
            if other is not home:
                other.pop(name, None)
        home[name] = value  # a name that was here already keeps its place in the order

    def __getattr__(self, name: str) -> Any:
        for registered in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(registered, ()):
                return self.__dict__[registered][name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registered in (self._parameters, self._buffers, self._modules):
            if name in registered:
                del registered[name]
                return
        super().__delattr__(name)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """A tensor that belongs to the state but is not learned, such as a running mean.

        TypeError if it is none, ValueError if the module has another attribute of that name.
        """
        if not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: {name}: given {type(tensor).__name__}, expected a Tensor")
        if name not in self._buffers and getattr(self, name, None) is not None:
            raise ValueError(f"register_buffer: name: given {name!r}, which is an attribute already")
        self.__dict__.pop(name, None)
        self._buffers[name] = tensor

    def _everywhere(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module and all below it, with dotted names; a shared one comes once for each place."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module._everywhere(f"{prefix}.{name}" if prefix else name)

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """This module, called "", and all below it, with dotted names; a shared one comes once."""
        return _first_places(self._everywhere())

    def modules(self) -> Iterator["Module"]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator["Module"]:
        """The modules right below this one."""
        return iter(self._modules.values())

    def _named(self, kind: str) -> Iterator[tuple[str, Any]]:
        """The tensors of a kind with their dotted names; a shared one comes once for each place."""
        for prefix, module in self._everywhere():
            for name, tensor in module.__dict__[kind].items():
                yield f"{prefix}.{name}" if prefix else name, tensor

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names, in the order of registration; a shared one comes once."""
        return _first_places(self._named("_parameters"))

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, in the order of registration."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their dotted names."""
        return _first_places(self._named("_buffers"))

    def buffers(self) -> Iterator[Tensor]:
        """All buffers, in the order of registration."""
        return (buffer for _, buffer in self.named_buffers())

    # --- what all of it does

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self: Self, mode: bool = True) -> Self:
        """Behave as in training (dropout drops, batch normalisation uses the batch), here and below."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Behave as in use: the same as `train(False)`."""
        return self.train(False)

    def to(self: Self, target: DTypeLike | str) -> Self:
        """Convert all float parameters and buffers to a dtype, or move all of them to a device: "cpu", "gpu", "gpu:1".

        The parameters stay the same objects; gradients are forgotten. Build the optimiser afterwards, for its state
        lies where the parameters do. DeviceError if the device cannot be had, TypeError for a dtype not of floats.
        """
        tensors = [tensor for _, tensor in (*self.named_parameters(), *self.named_buffers())]
        if device.is_name(target):
            moved = [device.to(tensor.data, str(target)) for tensor in tensors]  # all, before the first takes its place
        else:
            if np.dtype(target) not in (np.float32, np.float64):
                raise TypeError(f"to: target: given {np.dtype(target)}, expected float32 or float64, or a device")
            moved = [_cast(t.data, target) if t.dtype.kind == "f" else t.data for t in tensors]
        for tensor, data in zip(tensors, moved, strict=True):
            tensor.data, tensor.grad = data, None
        return self

    def register_forward_hook(self, hook: Callable[["Module", tuple[Any, ...], Any], Any]) -> HookHandle:
        """Call `hook(module, inputs, output)` after forward; what it returns, unless None, replaces the output."""
        self._forward_hooks.append(hook)
        return HookHandle(self._forward_hooks, hook)

    # --- state

    def state_arrays(self) -> dict[str, Array]:
        """Every parameter's and buffer's own array by name, a shared one by each: its memory, not a copy."""
        return {name: tensor.data for kind in ("_parameters", "_buffers") for name, tensor in self._named(kind)}

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter and buffer by name, C-contiguous in its logical shape."""
        return state.copies(self.state_arrays())

    def load_state_dict(self, given: Mapping[str, Array]) -> None:
        """Copy the arrays into this module's parameters and buffers.

        KeyError if names are missing or superfluous, ValueError if a shape or dtype differs; in both cases the module
        stays as it was.
        """
        state.load(self.state_arrays(), given)

    # --- how it looks

    def extra_repr(self) -> str:
        """What stands between the parentheses for a module without modules below it."""
        return ""

    def __repr__(self) -> str:
        if not self._modules:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"({name}): {module!r}".replace("\n", "\n  ") for name, module in self._modules.items()]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


@contextmanager
def modes_kept(model: Module) -> Iterator[None]:
    """Afterwards each module is in training or in evaluation as it was before: some may have been frozen."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _cast(array: Array, dtype: DTypeLike) -> Array:
    with device.holding(array):
        return array.astype(dtype)


def _first_places(named: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Without what has come before under another name."""
    seen: set[Any] = set()
    for name, thing in named:
        if thing not in seen:
            seen.add(thing)
            yield name, thing


class Sequential(Module):
    """Modules one after the other; their names are "0", "1", ..."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                given = getattr(module, "__name__", type(module).__name__)
                raise TypeError(f"Sequential: position {position}: given {given}, expected a Module")
            setattr(self, str(position), module)

    def forward(self, input: Any) -> Any:
        for module in self.children():
            input = module(input)
        return input

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, position: int) -> Module:
        return list(self.children())[position]

    def __iter__(self) -> Iterator[Module]:
        return self.children()
