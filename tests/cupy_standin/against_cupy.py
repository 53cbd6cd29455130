"""Does real CuPy have all that the stand-in offers, with the same parameters? It imports without a GPU.

    python -m tests.cupy_standin.against_cupy      # says what it lacks, and ends with status 1 if there is something
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from tests.cupy_standin import array, devices, functions, memory, modules, nccl, raw

CLASSES = {
    "cupy.ndarray": array.ndarray,
    "cupy.RawModule": raw.RawModule,
    "cupy.RawKernel": raw.RawKernel,
    "cupy.ufunc": functions.Ufunc,
    "cupy.cuda.Device": devices.Device,
    "cupy.cuda.Stream.null": devices.Stream,  # an instance, for only these have all attributes
    "cupy.cuda.Event": devices.Event,
    "cupy.cuda.nccl.NcclCommunicator": nccl.NcclCommunicator,
    "cupy.cuda.MemoryPool": memory.Pool,
    "cupy.cuda.MemoryPointer": array.Pointer,
}
"""The stand-in's classes, and what they stand for. Their instances come out of functions and are never made by name."""
NOT_CUPYS = {"__array_priority__", "__module__", "__dict__", "__weakref__", "__doc__", "__init__", "__init_subclass__"}
IMPORTED = ("cupy", "cupy.cublas", "cupy.cuda.nccl")
"""What this project imports of CuPy. The others of its modules must be there when it has imported these."""
Parameters = list[inspect.Parameter]


def offered() -> Iterator[tuple[str, Any]]:
    """The dotted names of all that the stand-in offers, with the things themselves."""
    for home, things in modules.MODULES.items():
        for name, thing in vars(things).items():
            if not name.startswith("__") and not isinstance(thing, ModuleType):
                yield f"{home}.{name}", thing
    for home, kind in CLASSES.items():
        for name, thing in vars(kind).items():
            if name not in NOT_CUPYS and (not name.startswith("_") or name.startswith("__")):
                yield f"{home}.{name}", thing


def found(name: str) -> Any:
    """What real CuPy has under a dotted name for a program that has imported just IMPORTED."""
    home = max((module for module in IMPORTED if f"{name}.".startswith(f"{module}.")), key=len)
    thing: Any = importlib.import_module(home)
    for part in name[len(home) + 1 :].split("."):
        thing = getattr(thing, part)
    return thing


def parameters(thing: Any) -> Parameters | None:
    """Those of a function of CuPy's; for one written in Cython, those that its docstring begins with."""
    try:
        return list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        pass
    match = re.match(r"[\w.]+\((.*?)\)(?: ->.*)?$", (thing.__doc__ or "").strip().split("\n")[0])
    if match is None:
        return None
    made, kind = [], inspect.Parameter.POSITIONAL_OR_KEYWORD
    for part in re.split(r",\s*(?![^(]*\))", match[1]):
        declared, equals, _ = part.partition("=")
        name = declared.split()[-1] if declared.split() else ""
        if name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif name.startswith("**"):
            made.append(inspect.Parameter(name[2:], inspect.Parameter.VAR_KEYWORD))
        elif name.startswith("*"):
            made.append(inspect.Parameter(name[1:], inspect.Parameter.VAR_POSITIONAL))
            kind = inspect.Parameter.KEYWORD_ONLY
        elif name and name != "/":
            made.append(inspect.Parameter(name, kind, default=None if equals else inspect.Parameter.empty))
    return made


def lacks(ours: Parameters, theirs: Parameters) -> str | None:
    """Why a call that suits the stand-in's parameters might not suit CuPy's; None if it always does."""
    ours, theirs = ([p for p in side if p.name != "self" and "_ndarray_base" not in p.name] for side in (ours, theirs))
    kinds = {p.kind for p in theirs}
    for place, parameter in enumerate(ours):
        if parameter.kind is parameter.VAR_POSITIONAL:
            if parameter.VAR_POSITIONAL not in kinds:
                return f"takes no *{parameter.name}"
            continue
        known = {p.name: p for p in theirs}.get(parameter.name)
        if known is None:
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.VAR_KEYWORD in kinds:
                continue
            return f"has no parameter {parameter.name}"
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and theirs.index(known) != place:
            return f"has the parameter {parameter.name} in another place"
        if parameter.default is not parameter.empty and known.default is known.empty:
            return f"has no default for {parameter.name}"
    needed = [
        p.name for p in theirs
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY, p.KEYWORD_ONLY)
    ]  # fmt: skip
    missing = [name for name in needed if name not in {p.name for p in ours}]
    return f"insists on {', '.join(missing)}" if missing else None


def differences() -> Iterator[str]:
    """A line for each thing that the stand-in offers and CuPy lacks, or has otherwise."""
    names = sorted(offered(), key=lambda pair: pair[0].startswith("cupy.cublas"))  # what is imported apart comes last
    for name, thing in names:
        try:
            real = found(name)
        except (AttributeError, ImportError) as error:
            yield f"{name}: CuPy has none ({error})"
            continue
        if isinstance(thing, property) or not callable(thing) or isinstance(thing, functions.Ufunc | type):
            continue  # a property, a constant, or a class, whose methods have lines of their own
        if name.rpartition(".")[2].startswith("__"):
            continue  # Python itself says what these take
        theirs = parameters(real)
        if theirs is None:
            yield f"{name}: CuPy does not say what it takes: {(real.__doc__ or '')[:60]!r}"
            continue
        why = lacks(list(inspect.signature(thing).parameters.values()), theirs)
        if why:
            yield f"{name}: CuPy's {why}"


if __name__ == "__main__":
    lines = list(differences())
    version = importlib.import_module("cupy").__version__
    print("\n".join(lines) or f"{len(list(offered()))} names, all in CuPy {version}")
    sys.exit(bool(lines))
