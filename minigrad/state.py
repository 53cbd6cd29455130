"""State by name: what modules and optimisers save and load."""

from collections.abc import Mapping, Set

import numpy as np

from kernels.layout import Array
from minigrad import device
from minigrad.messages import shown


def copies(own: Mapping[str, Array]) -> dict[str, Array]:
    """A copy of each array, NumPy's and C-contiguous in its logical shape, wherever the original is."""
    return {name: np.array(device.host(array), order="C") for name, array in own.items()}


def load(own: Mapping[str, Array], given: Mapping[str, Array]) -> None:
    """Copy NumPy's arrays `given` into the memory of `own`, which keeps its layout and its device.

    KeyError if names are missing or superfluous, ValueError if a shape or dtype differs; then nothing has changed.
    """
    missing, extra = own.keys() - given.keys(), given.keys() - own.keys()
    if missing or extra:
        raise KeyError(f"state: missing {_listed(missing)}, unexpected {_listed(extra)}")
    for name, array in own.items():
        new = given[name]
        if (new.shape, new.dtype) != (array.shape, array.dtype):
            raise ValueError(f"state: {name}: given {new.dtype} {new.shape}, expected {array.dtype} {array.shape}")
    for name, array in own.items():
        device.assign(array, given[name])


def _listed(names: Set[str]) -> str:
    return shown(sorted(names)) if names else "none"
