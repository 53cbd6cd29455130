"""Two cards, which one is current, and its stream."""

from typing import Any

from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cuda, public, runtime

CARDS = 2
_current = [0]


def current() -> int:
    """The number of the current card."""
    return _current[-1]


class Event:
    """A place in a stream. Here all is done as soon as it is said."""

    def __init__(self, stream: "Stream", number: int) -> None:
        self._stream, self._number = stream, number

    @property
    def done(self) -> bool:
        return True


class Stream:
    """history: what was told to this stream, in order: "allReduce", and the events that it waited for."""

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 1 + len(streams)
        self._history: list[Any] = []
        streams.append(self)

    def synchronize(self) -> None:
        counters.synchronisations += 1

    def record(self, event: None = None) -> Event:
        return Event(self, len(self._history))

    def wait_event(self, event: Event) -> None:
        self._history.append(event)


streams: list[Stream] = []
cuda.Stream, cuda.Event = Stream, Event  # type: ignore[attr-defined]
_stream = Stream()


@public(cuda)
def get_current_stream(device_id: int = -1) -> Stream:
    return _stream


@public(cuda)
class Device:
    def __init__(self, device: int | None = None) -> None:
        self.id = current() if device is None else device
        if not 0 <= self.id < CARDS:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    @property
    def compute_capability(self) -> str:
        return "80"

    def use(self) -> None:
        _current[-1] = self.id

    def synchronize(self) -> None:
        counters.synchronisations += 1

    def __enter__(self) -> "Device":
        _current.append(self.id)
        return self

    def __exit__(self, *args: Any) -> None:
        _current.pop()


@public(runtime)
class CUDARuntimeError(RuntimeError): ...


@public(runtime)
def driverGetVersion() -> int:  # noqa: N802
    return 13000


@public(runtime)
def getDeviceCount() -> int:  # noqa: N802
    return CARDS


@public(runtime)
def memGetInfo() -> tuple[int, int]:  # noqa: N802
    total = counters.limit or 8 << 30
    return total - counters.allocated, total


@public(runtime)
def getDeviceProperties(device: int) -> dict[str, Any]:  # noqa: N802
    return {"name": b"stand-in"}
