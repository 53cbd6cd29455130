"""Files of named arrays, in the safetensors format: what checkpoints and weights for other programs are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kernels.layout import Array
from minigrad.files import write_atomically

DTYPES = {
    "F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""The dtypes that tensors have, by their names in the files."""


class ArrayFileError(ValueError):
    """A file that cannot be read as named arrays; the message names it and what is wrong."""


def save_arrays(path: Path, arrays: Mapping[str, Array], header: Mapping[str, str]) -> None:
    """Write arrays as safetensors, in their logical order. OSError leaves the old file as it was.

    The one place that calls safetensors to write: it takes an array's memory for its logical order, and would
    silently scramble the channels-last views that this project's arrays are.
    """
    import safetensors.numpy  # here, so that `import minigrad` stays light

    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_atomically(path, safetensors.numpy.save(contiguous, dict(header)))


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `save_arrays` wrote: arrays and header. ArrayFileError if the file is missing, broken, or has arrays of
    dtypes that tensors do not have, such as bfloat16."""
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise ArrayFileError(
                        f"{path}: {name}: given dtype {dtype}, expected one of {', '.join(DTYPES.values())}"
                    )
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError:
        raise ArrayFileError(f"{path}: no such file") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ArrayFileError(f"{path}: not a readable safetensors file: {error}") from None
