"""The figures as a table to read and as JSON to keep."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.cases import Spec, describe, specs
from benchmarks.measure import EXTRAPOLATED, TORCH_LAYOUTS, Measurement

NO_TORCH = "PyTorch is not installed, so nothing is compared with it: pip install -e '.[torch]'"


def console() -> Console:
    """Standard output; wide enough for a table where it is not a terminal with a width of its own."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=180)


def ratio(measured: Measurement, backend: str) -> float | None:
    """Time of the backend over that of PyTorch's faster layout. None without PyTorch, or if a result was wrong."""
    rivals = [measured.seconds[name] for name in TORCH_LAYOUTS if name in measured.seconds]
    return measured.seconds[backend] / min(rivals) if rivals else None


def rate(measured: Measurement, backend: str) -> tuple[float, str] | None:
    """Work by time: GFLOP/s where there is a weight to multiply with, otherwise GB/s of arguments and results."""
    if measured.faults:
        return None
    seconds = measured.seconds[backend]
    if measured.multiply_adds:
        return 2 * measured.multiply_adds / seconds / 1e9, "GFLOP/s"
    return measured.bytes / seconds / 1e9, "GB/s"


def table(measurements: Sequence[Measurement], backends: Sequence[str], images: int) -> Table:
    """A row for each case. Ratio and rate are those of the last backend."""
    subject = backends[-1]
    result = Table(
        title=f"milliseconds, batch {images}",
        caption=f"~: extrapolated from a small crop. Ratio: {subject} / PyTorch's faster layout; below 1 is faster. "
        f"Rate: {subject}. Per step: calls in a training step of GoogLeNet.",
    )
    for heading in ("kernel", "case"):
        result.add_column(heading, overflow="fold")
    for heading in ("per step", *backends, *TORCH_LAYOUTS, "ratio", "rate"):
        result.add_column(heading, justify="right")
    for measured in measurements:
        words = describe(measured.case)
        if measured.faults:
            words += "".join(f"\n[bold red]WRONG[/]: {fault}" for fault in measured.faults)
        times = (_milliseconds(measured, name) for name in (*backends, *TORCH_LAYOUTS))
        relative, speed = ratio(measured, subject), rate(measured, subject)
        approximately = "~" if subject in EXTRAPOLATED else ""
        result.add_row(
            measured.case.kernel, words, str(measured.per_step or "-"), *times,
            "-" if relative is None else f"{approximately}{relative:.2f}",
            "-" if speed is None else f"{approximately}{speed[0]:.1f} {speed[1]}",
        )
    return result


def _milliseconds(measured: Measurement, name: str) -> str:
    if name not in measured.seconds:
        return "-"
    return f"{'~' if name in EXTRAPOLATED else ''}{measured.seconds[name] * 1e3:,.3f}"


def as_json(measured: Measurement, subject: str) -> dict[str, Any]:
    """One measurement in JSON's types, ratio and rate for the backend `subject`."""
    speed = rate(measured, subject)
    return {
        "kernel": measured.case.kernel,
        "arguments": {name: _plain(value) for name, value in measured.case.arguments},
        "per_step": measured.per_step,
        "faults": measured.faults,
        "milliseconds": {name: seconds * 1e3 for name, seconds in measured.seconds.items()},
        "extrapolated": sorted(EXTRAPOLATED & measured.seconds.keys()),
        "ratio": ratio(measured, subject),
        "rate": speed and {"value": speed[0], "unit": speed[1]},
    }


def _plain(value: Any) -> Any:
    arrays = [{"shape": spec.shape, "dtype": spec.dtype} for spec in specs(value)]
    return value if not arrays else arrays[0] if isinstance(value, Spec) else arrays


def write(path: Path, results: dict[str, Any]) -> None:
    """Save results."""
    path.write_text(json.dumps(results, indent=1) + "\n")
