"""The stand-in's modules, empty at first: the other files of this package put into them what they offer."""

from types import ModuleType
from typing import Any

cupy, cuda, cublas, runtime, memory, device, libs_cublas, nccl = (
    ModuleType(name)
    for name in (
        "cupy", "cupy.cuda", "cupy.cublas", "cupy.cuda.runtime", "cupy.cuda.memory", "cupy.cuda.device",
        "cupy.cuda.cublas", "cupy.cuda.nccl",
    )
)
MODULES = {module.__name__: module for module in (cupy, cuda, cublas, runtime, memory, device, libs_cublas, nccl)}


def public(home: ModuleType, name: str | None = None) -> Any:
    """Puts a function or class into one of the modules."""

    def put(thing: Any) -> Any:
        setattr(home, name or thing.__name__, thing)
        return thing

    return put


# Not cupy.cublas: who wants that has to import it.
for _parent, _name, _child in (
    (cupy, "cuda", cuda), (cuda, "runtime", runtime), (cuda, "memory", memory),
    (cuda, "device", device), (cuda, "cublas", libs_cublas), (cuda, "nccl", nccl),
):
    setattr(_parent, _name, _child)
