"""What the stand-in counts: all that takes a card's time, or makes the program wait for it."""

import weakref
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Launch:
    """One kernel started, ours or CuPy's. bytes: of the arrays that it reads or writes, and of those that it updates in
    place a second time."""

    name: str
    bytes: int


@dataclass
class Counters:
    """Since the last `reset`: launches, synchronisations, and bytes copied to and from the device.

    dry: launch nothing and leave results as they are, so that large networks can be counted quickly.
    """

    launches: list[Launch] = field(default_factory=list)
    synchronisations: int = 0
    to_device: list[int] = field(default_factory=list)
    to_host: list[int] = field(default_factory=list)
    allocated: int = 0
    peak: int = 0
    owners: dict[int, "weakref.ref[np.ndarray]"] = field(default_factory=dict)
    limit: int | None = None
    dry: bool = False

    def reset(self) -> None:
        """Count from zero; what is allocated stays allocated."""
        self.launches, self.to_device, self.to_host, self.synchronisations = [], [], [], 0
        self.peak = self.allocated

    def launch(self, name: str, *arrays: np.ndarray) -> None:
        self.launches.append(Launch(name, sum(array.nbytes for array in arrays)))

    def allocate(self, memory: np.ndarray) -> None:
        """Count memory until it is freed."""
        size = memory.nbytes
        self.allocated += size
        self.peak = max(self.peak, self.allocated)
        address = memory.ctypes.data
        self.owners[address] = weakref.ref(memory)
        weakref.finalize(memory, self._free, size, address)

    def _free(self, size: int, address: int) -> None:
        self.allocated -= size
        if address in self.owners and self.owners[address]() is None:
            del self.owners[address]

    def owner(self, address: int) -> np.ndarray | None:
        """The memory that begins at an address, if there is some."""
        return self.owners[address]() if address in self.owners else None


counters = Counters()
