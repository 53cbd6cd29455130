"""What `--profile` prints: where a run's time went, as a table."""

from rich.table import Table

from minigrad.profiler import Profiler


def profile_table(profiler: Profiler, title: str) -> Table:
    """A row for each operation and part, the slowest first."""
    table = Table("operation", title=title)
    for heading in ("forward s", "backward s", "together s", "calls", "share"):
        table.add_column(heading, justify="right")
    for row in profiler.rows():
        forward, backward = ("-" if seconds is None else f"{seconds:,.3f}" for seconds in (row.forward, row.backward))
        share = f"{row.share:.1%}"
        table.add_row(row.name, forward, backward, f"{row.seconds:,.3f}", f"{row.calls:,}" if row.calls else "-", share)
    table.add_section()
    table.add_row("whole", "", "", f"{profiler.seconds:,.3f}", "", "100.0%")
    return table
