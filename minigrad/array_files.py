"""Files of named arrays, in the safetensors format: what checkpoints and weights for other programs are."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kernels.layout import Array
from minigrad import strict_json
from minigrad.files import require_ordinary, write_atomically
from minigrad.messages import plain, shown

DTYPES = {
    "F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""The dtypes that tensors have, by their names in the files."""


class ArrayFileError(ValueError):
    """A file that cannot be read as named arrays; the message names it and what is wrong."""


CHECKSUM = "sha256"
"""Its name in the header."""
MOST_HEADER_BYTES = 2**22


def save_arrays(
    path: Path, arrays: Mapping[str, Array], header: Mapping[str, str], previous: Path | None = None
) -> None:
    """Write arrays as safetensors, in their logical order, with a checksum of arrays and header beside the latter.
    FloatingPointError, with nothing written, if a number is not finite, which nobody could read again. OSError leaves
    the old file as it was. previous: where the old file goes, None for nowhere.

    The one place that calls safetensors to write: it takes an array's memory for its logical order, and would
    silently scramble the channels-last views that this project's arrays are.
    """
    import safetensors.numpy  # here, so that `import minigrad` stays light

    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(f"{name} is not finite")
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    checksum = {CHECKSUM: _checksum(contiguous, header)}
    write_atomically(path, safetensors.numpy.save(contiguous, {**header, **checksum}), previous)


def load_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read what `save_arrays` wrote, or another program: arrays, and header with the checksum if there is one.
    ArrayFileError if the file is missing, broken, differs from its checksum, or has what tensors do not have: other
    dtypes, such as bfloat16, or numbers that are not finite."""
    import safetensors

    try:
        require_ordinary(path)
        header_json = _raw_header(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            strict_json.parse(header_json)  # safetensors takes the last of several arrays with one name
            names = list(file.keys())
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in DTYPES:
                    raise ArrayFileError(
                        f"{path}: {shown(name)}: given dtype {dtype}, expected one of {', '.join(DTYPES.values())}"
                    )
            arrays, header = {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError:
        raise ArrayFileError(f"{path}: no such file") from None
    except ArrayFileError:
        raise
    except (OSError, ValueError, safetensors.SafetensorError) as error:  # ValueError: shapes that NumPy does not have
        raise ArrayFileError(f"{path}: not a readable safetensors file: {plain(error)}") from None
    others = {name: text for name, text in header.items() if name != CHECKSUM}
    if CHECKSUM in header and header[CHECKSUM] != _checksum(arrays, others):
        raise ArrayFileError(f"{path}: damaged: its content does not have the checksum that it was written with")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ArrayFileError(f"{path}: {shown(name)}: has numbers that are not finite, NaN or infinities")
    return arrays, header


def _raw_header(path: Path) -> bytes:
    """The JSON at the beginning of the file. ValueError if it is longer than any network needs."""
    with path.open("rb") as file:
        if (length := int.from_bytes(file.read(8), "little")) > MOST_HEADER_BYTES:
            raise ValueError(f"a header of {length:,} bytes, expected at most {MOST_HEADER_BYTES:,}")
        return file.read(length)


def _checksum(arrays: Mapping[str, Array], header: Mapping[str, str]) -> str:
    """SHA-256 of header, names, dtypes and shapes as JSON, and then the arrays' bytes in the order of their names."""
    shapes = [(name, str(arrays[name].dtype), arrays[name].shape) for name in sorted(arrays)]
    digest = hashlib.sha256(json.dumps([sorted(header.items()), shapes]).encode())
    for name in sorted(arrays):
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
