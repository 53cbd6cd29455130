"""The kernel table, and the one place that picks a backend for an array.

A kernel is a function on raw arrays: arrays in, arrays out, no autograd. Every backend offers the same kernels under
the same names with the same signatures:

    naive        loops over indices, to be read first; the oracle of the tests       (NumPy arrays, tiny shapes)
    reference    plain NumPy, the definition of right                                (NumPy arrays)
    cpu          Numba, fast on all cores                    (NumPy arrays of float32; the reference serves the others)
    cuda         CUDA C++, on an NVIDIA card                                                              (CuPy arrays)

An operation asks `serving(*arrays)` once, and calls kernels by name on what it gets. Which backend serves NumPy arrays
is chosen by the environment variable MINIGRAD_BACKEND or by `backend(name)`. CuPy arrays have but one, which lacks
nothing: no kernel falls back to another backend in silence.
"""

import importlib
import os
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import numpy as np

IS_MINIGRADS = True
"""Lets minigrad tell this package from others named `kernels`."""

TABLE: dict[str, tuple[str, ...]] = {
    "conv": ("conv2d", "conv2d_input_grad", "conv2d_weight_grad", "pointwise_backward", "channel_sum"),
    "linear": ("linear", "linear_input_grad", "linear_weight_grad"),
    "pool": (
        "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward",
        "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
    ),
    "activation": ("relu", "relu_backward", "softmax", "softmax_backward", "log_softmax", "log_softmax_backward"),
    "norm": (
        "batch_statistics", "batch_norm", "batch_norm_backward",
        "local_response_norm", "local_response_norm_backward",
    ),
    "dropout": ("dropout",),
    "loss": ("cross_entropy", "cross_entropy_backward", "cross_entropy_target_grad", "note_step"),
    "shape": ("cat", "split", "pad"),
    "resize": ("resize_bilinear",),
    "optim": ("sgd_step", "adam_step"),
}
"""Every kernel, by family: kernels/<backend>/<family>.py."""

BACKENDS = ("naive", "reference", "cpu")
"""Those that serve NumPy arrays."""
CUDA = "cuda"
DEFAULT = "cpu"
FAST_DTYPES = (np.dtype(np.float32), np.dtype(np.uint8))


class Kernels:
    """One backend's resolved table: each kernel is an attribute. Building it fails if a kernel is missing."""

    def __init__(self, name: str) -> None:
        self.name = name
        for family, names in TABLE.items():
            module = importlib.import_module(f"kernels.{name}.{family}")
            for kernel in names:
                setattr(self, kernel, getattr(module, kernel))

    def __getattr__(self, kernel: str) -> Any:
        # `copy` asks a new object, which has no name yet.
        raise AttributeError(f"backend {vars(self).get('name')!r} has no kernel named {kernel!r}")


_loaded: dict[str, Kernels] = {}


def load(name: str) -> Kernels:
    """The table of the backend called `name`, imported at first use. ValueError if there is no such backend."""
    if name not in (*BACKENDS, CUDA):
        raise ValueError(f"backend: given {name!r}, expected one of {', '.join((*BACKENDS, CUDA))}")
    if name not in _loaded:
        _loaded[name] = Kernels(name)
    return _loaded[name]


_chosen: ContextVar[str] = ContextVar("minigrad_backend", default=os.environ.get("MINIGRAD_BACKEND") or DEFAULT)


def serving(*arrays: Any) -> Kernels:
    """The kernels that serve these arrays (None is passed over): the one dispatch point of the project.

    `cpu` leaves what is neither float32 nor uint8 pixels to the reference. TypeError if an array is of a kind that no
    backend serves, or if some are on a GPU and others are not.
    """
    name = _chosen.get()
    on_card = on_host = False
    for array in arrays:
        if array is None:
            continue
        if isinstance(array, np.ndarray):
            on_host = True
            if name == "cpu" and array.dtype not in FAST_DTYPES:
                name = "reference"
        elif is_on_card(array):
            on_card = True
        else:
            raise TypeError(f"no kernels serve arrays of type {type(array).__name__}; expected NumPy's or CuPy's")
    if on_card and on_host:
        raise TypeError("some arrays are on the GPU and some are not; move them with Tensor.to or Module.to")
    return load(CUDA if on_card else name)


def is_on_card(array: Any) -> bool:
    """Whether an array is CuPy's: in the memory of a GPU."""
    return hasattr(type(array), "__cuda_array_interface__")  # of the type: asked of an array, it would be made


class backend:  # noqa: N801  (reads as a function: `with backend("naive"): ...`)
    """Select who serves NumPy arrays: `backend("naive")` from here on, `with backend("naive"): ...` for a block.

    The choice belongs to the thread that makes it. ValueError if there is no backend of that name for NumPy arrays.
    """

    def __init__(self, name: str) -> None:
        if name not in BACKENDS:
            raise ValueError(f"backend: given {name!r}, expected one of {', '.join(BACKENDS)}")
        load(name)
        self._token = _chosen.set(name)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _chosen.reset(self._token)

    @staticmethod
    def current() -> str:
        """Name of the backend that serves NumPy arrays here and now."""
        return _chosen.get()

    @staticmethod
    def report() -> None:
        """Print who serves what: one line a kernel, as `family  kernel  module that implements it`."""
        table = load(_chosen.get())
        print(f"backend {table.name}")
        for family, names in TABLE.items():
            for name in names:
                print(f"  {family:<10}  {name:<28}  {getattr(table, name).__module__}")
