"""The report of `benchmarks.serving`, and its targets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from benchmarks.batches import ROWS, Batches
from benchmarks.interruptions import Interruptions
from benchmarks.services import BASELINE, FLOOR, OURS

if TYPE_CHECKING:
    from benchmarks.serving import Growth, Measurement

READY_SECONDS, RESIDENT_MEGABYTES = 1.0, 100.0
TIMES_THE_BASELINE, SHARE_OF_THE_FLOOR, SLOWEST_TO_MEDIAN = 50.0, 0.5, 3.0
BATCH_ROWS_PER_SECOND = 300_000
GROWN_MEGABYTES = 2.0
_WIDTH = 150


def print_report(
    measured: Mapping[str, Measurement],
    batches: Mapping[str, Batches],
    growth: Growth | None,
    interruptions: Interruptions,
    engine: str,
) -> None:
    """Print the measurements; beside each its ratio to the baseline's: how many times as fast, or as small."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(_services_table(measured, engine))
    if batches:
        table = Table(title=f"Batches of {ROWS:,} rows, {OURS}, 2 connections")
        for heading in ("body", "rows/s", "rows/s of the processor", "time (ms)", "size (kB)"):
            table.add_column(heading, justify="left" if heading == "body" else "right")
        for kind, one in batches.items():
            table.add_row(
                kind,
                f"{one.rows_per_second:,.0f}",
                f"{one.rows_per_processor_second:,.0f}",
                f"{one.milliseconds:.1f}",
                f"{one.kilobytes:,.0f}",
            )
        console.print(table)
    ours, floor = measured[OURS], measured[FLOOR]
    share = ours.load.requests_per_second / floor.load.requests_per_second
    console.print(
        f"{OURS}: {share:.0%} of the floor's requests/s; {floor.processor / ours.processor:.0%} by the processor's "
        f"time for a request. p99 is {ours.load.p99 / ours.load.p50:.1f} times p50 "
        f"(floor: {floor.load.p99 / floor.load.p50:.1f}). From busy loops, without a service, this machine took "
        f"{interruptions.share:.2%} of the time, at most {interruptions.longest:.1f} ms at once."
    )
    if growth is not None:
        console.print(
            f"Resident memory after {growth.requests:,} requests: {growth.after:.1f} MB, "
            f"{growth.after - growth.before:+.1f} MB."
        )


def _services_table(measured: Mapping[str, Measurement], engine: str) -> Table:
    baseline = measured.get(BASELINE)
    title = f'One process, 8 connections, engine "{engine}"'
    table = Table(title=f"{title}; in brackets: times better than the baseline" if baseline else title)
    headings = ("service", "ready (s)", "idle (MB)", "loaded (MB)", "requests/s", "p50 (ms)", "p99 (ms)", "CPU (µs)")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "service" else "right", no_wrap=True)

    def times(better: float, worse: float) -> str:
        return f" ({better / worse:.1f}x)" if baseline else ""

    for name, one in measured.items():
        other = baseline or one
        table.add_row(
            name,
            f"{one.ready:.2f}{times(other.ready, one.ready)}",
            f"{one.idle:.0f}{times(other.idle, one.idle)}",
            f"{one.loaded:.0f}{times(other.loaded, one.loaded)}",
            f"{one.load.requests_per_second:,.0f}{times(one.load.requests_per_second, other.load.requests_per_second)}",
            f"{one.load.p50:.2f}{times(other.load.p50, one.load.p50)}",
            f"{one.load.p99:.2f}{times(other.load.p99, one.load.p99)}",
            f"{one.processor:,.0f}{times(other.processor, one.processor)}",
        )
    return table


def missed_targets(
    measured: Mapping[str, Measurement], batches: Mapping[str, Batches], growth: Growth | None
) -> list[str]:
    """Return what our own application does not reach, one sentence each."""
    ours, floor = measured[OURS], measured[FLOOR]
    found = ours.load.requests_per_second
    missed = []
    if ours.ready > READY_SECONDS:
        missed.append(f"ready in {ours.ready:.2f} s; expected at most {READY_SECONDS:g} s")
    if ours.loaded > RESIDENT_MEGABYTES:
        missed.append(f"{ours.loaded:.0f} MB resident; expected at most {RESIDENT_MEGABYTES:g} MB")
    if BASELINE in measured:
        wanted = TIMES_THE_BASELINE * measured[BASELINE].load.requests_per_second
        if found < wanted:
            missed.append(f"{found:,.0f} requests/s; expected at least {wanted:,.0f}, from the baseline")
    wanted = SHARE_OF_THE_FLOOR * floor.load.requests_per_second
    if found < wanted:
        missed.append(f"{found:,.0f} requests/s; expected at least {wanted:,.0f}, from the floor")
    if ours.load.p99 > SLOWEST_TO_MEDIAN * ours.load.p50:
        missed.append(f"p99 {ours.load.p99 / ours.load.p50:.1f} times p50; expected at most {SLOWEST_TO_MEDIAN:g}")
    for kind, one in batches.items():
        if one.rows_per_second < BATCH_ROWS_PER_SECOND:
            found = one.rows_per_second
            missed.append(f"{found:,.0f} rows/s of {kind}; expected at least {BATCH_ROWS_PER_SECOND:,}")
    if growth is not None and growth.after - growth.before > GROWN_MEGABYTES:
        grown = growth.after - growth.before
        missed.append(f"memory grew by {grown:.1f} MB; expected at most {GROWN_MEGABYTES:g} MB")
    return [f"{OURS}: {each}." for each in missed]
