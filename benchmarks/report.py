"""The figures as a table to read and as JSON to keep."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.cases import Case, Spec, describe, specs
from benchmarks.limits import Limits
from benchmarks.measure import EXTRAPOLATED, TORCH_LAYOUTS, Measurement
from benchmarks.work import FLOP
from minigrad import device


def console() -> Console:
    """Standard output; wide enough for a table where it is not a terminal with a width of its own."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=180)


def remarks(place: str) -> list[str]:
    """What has to be said about the comparison with PyTorch on this device, in lines."""
    missing = machine.no_torch(place)
    if missing:
        return [missing]
    return [] if place == device.CPU else ["PyTorch's TF32 is switched off: all multiply in float32."]


def faster_layout(measured: Measurement) -> float | None:
    """Seconds of PyTorch in whichever layout is faster. None without PyTorch, or if a result was wrong."""
    return min((measured.seconds[name] for name in TORCH_LAYOUTS if name in measured.seconds), default=None)


def ratio(measured: Measurement, name: str) -> float | None:
    """Time of a competitor over that of PyTorch's faster layout. None where there is nothing to compare."""
    rival = faster_layout(measured)
    return rival and measured.seconds[name] / rival


def rate(measured: Measurement, name: str) -> tuple[float, str] | None:
    """Work by time: GFLOP/s where there is a weight to multiply with, otherwise GB/s of arguments and results."""
    if measured.faults:
        return None
    seconds = measured.seconds[name]
    if measured.multiply_adds:
        return FLOP * measured.multiply_adds / seconds / 1e9, "GFLOP/s"
    return measured.bytes / seconds / 1e9, "GB/s"


def share(measured: Measurement, name: str, limits: Limits) -> float | None:
    """The shortest time in which this machine could do the work, over the competitor's."""
    if measured.faults:
        return None
    return limits.seconds(measured.multiply_adds, measured.bytes) / measured.seconds[name]


def table(measurements: Sequence[Measurement], backends: Sequence[str], images: int, limits: Limits) -> Table:
    """A row for each case, and below it one for each other algorithm. The last columns are the last backend's."""
    subject = backends[-1]
    result = Table(
        title=f"milliseconds, batch {images}",
        caption=f"~: extrapolated from a small crop. Ratio: {subject} / PyTorch's faster layout; below 1 is faster. "
        f"Rate: {subject}. Of limit: the shortest time that the roofline allows / {subject}'s time; Winograd may "
        "exceed 100 %, because the work is what the definition multiplies, and it multiplies less. "
        "Per step: calls in a training step of GoogLeNet.",
    )
    for heading in ("kernel", "case"):
        result.add_column(heading, overflow="fold")
    for heading in ("per step", *backends, *TORCH_LAYOUTS, "ratio", "rate", "of limit"):
        result.add_column(heading, justify="right")
    for measured in measurements:
        words = " ".join([describe(measured.case), *(f"({name})" for name in measured.algorithms[:1])])
        if measured.faults:
            words += "".join(f"\n[bold red]WRONG[/]: {fault}" for fault in measured.faults)
        times = (_milliseconds(measured, name) for name in (*backends, *TORCH_LAYOUTS))
        result.add_row(
            measured.case.kernel, words, str(measured.per_step or "-"), *times, *_compared(measured, subject, limits)
        )
        for name in (f"{subject}: {algorithm}" for algorithm in measured.algorithms[1:]):
            others = [_milliseconds(measured, name) if column == subject else "" for column in backends]
            blank = [""] * len(TORCH_LAYOUTS)
            result.add_row("", f"  {name}", "", *others, *blank, *_compared(measured, name, limits))
    return result


def _compared(measured: Measurement, name: str, limits: Limits) -> list[str]:
    """Ratio, rate and share of the limit."""
    relative, speed, reached = ratio(measured, name), rate(measured, name), share(measured, name, limits)
    approximately = "~" if name in EXTRAPOLATED else ""
    return [
        "-" if relative is None else f"{approximately}{relative:.2f}",
        "-" if speed is None else f"{approximately}{speed[0]:.1f} {speed[1]}",
        "-" if reached is None else f"{approximately}{reached:.0%}",
    ]


def _milliseconds(measured: Measurement, name: str) -> str:
    if name not in measured.seconds:
        return "-"
    return f"{'~' if name in EXTRAPOLATED else ''}{measured.seconds[name] * 1e3:,.3f}"


def as_json(measured: Measurement, subject: str, limits: Limits) -> dict[str, Any]:
    """One measurement in JSON's types; ratio, rate and share of the limit for the backend `subject`."""
    speed = rate(measured, subject)
    return {
        **case_as_json(measured.case),
        "per_step": measured.per_step,
        "faults": measured.faults,
        "algorithms": measured.algorithms,
        "milliseconds": {name: seconds * 1e3 for name, seconds in measured.seconds.items()},
        "extrapolated": sorted(EXTRAPOLATED & measured.seconds.keys()),
        "ratio": ratio(measured, subject),
        "rate": speed and {"value": speed[0], "unit": speed[1]},
        "share_of_limit": share(measured, subject, limits),
    }


def case_as_json(given: Case) -> dict[str, Any]:
    """A kernel's name and its arguments, arrays by shape and dtype."""
    return {"kernel": given.kernel, "arguments": {name: _plain(value) for name, value in given.arguments}}


def _plain(value: Any) -> Any:
    arrays = [{"shape": spec.shape, "dtype": spec.dtype} for spec in specs(value)]
    return value if not arrays else arrays[0] if isinstance(value, Spec) else arrays


def write(path: Path, results: dict[str, Any]) -> None:
    """Save results."""
    path.write_text(json.dumps(results, indent=1) + "\n")
