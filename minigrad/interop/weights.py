"""Weights for PyTorch and back: a safetensors file with the arrays of `state_dict()` under their names.

    save_weights(model, "w.safetensors")            # here
    twin.load_state_dict(safetensors.torch.load_file("w.safetensors"))  # there

    safetensors.torch.save_file(twin.state_dict(), "w.safetensors")  # there
    load_weights(model, "w.safetensors")            # here

Both sides mean the same by names, shapes and dtypes: a convolution's weight is (O, I, kh, kw) in logical order,
whatever its order in memory.
"""

from pathlib import Path

from minigrad import state
from minigrad.array_files import ArrayFileError, load_arrays, save_arrays
from minigrad.nn import Module


def save_weights(model: Module, path: str | Path) -> None:
    """Write all parameters and buffers of a model. FloatingPointError, with nothing written, if a number is not finite;
    OSError leaves the old file as it was."""
    save_arrays(Path(path), model.state_dict(), {})


def load_weights(model: Module, path: str | Path) -> None:
    """Copy the file's arrays into the model's parameters and buffers, on whichever device these are.

    ArrayFileError if the file is missing or broken, or if its names, shapes or dtypes are not exactly the model's;
    then the model stays as it was.
    """
    arrays, _ = load_arrays(Path(path))
    try:
        state.load(model.state_arrays(), arrays)
    except (KeyError, ValueError) as error:
        raise ArrayFileError(f"{path}: does not fit this {type(model).__name__}: {error.args[0]}") from None
