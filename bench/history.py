"""`python -m bench.history`: the same hour after a short and after a long history."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench import played_cycle
from bench.ingestion.costs import in_child
from bench.ingestion.results import MEGABYTE, machine
from bench.played_cycle import PHASE_NAMES, CycleFailed, Played, WrongTotals
from bench.raw_rows import HOUR, ROWS_A_GROUP, Span
from bench.shown import Bar, say, spread, write_chart
from insightmart.console_tables import print_table

LAST_HOUR = datetime(2026, 3, 5, 8)  # of history; no measured hour is the first one of its day, which sweeps
ROWS_TOLERANCE = 1.10
GROWN_SHOWN = 10


@dataclass
class History:
    """A warehouse with so much history, and what an hour costs on it.

    Attributes:
        times: how much of it, by the shortest.
        span: what it was filled with last.
        build: the first build.
        counted: an hour in which rows were counted.
        hours: hours that were timed.
        bytes: of the warehouse file.
    """

    times: int
    home: Path
    span: Span
    orders: int = 0
    build: Played = field(default_factory=Played)
    counted: Played = field(default_factory=Played)
    hours: list[Played] = field(default_factory=list)
    bytes: int = 0

    @property
    def seconds(self) -> float:
        """Median of the processor seconds of an hour."""
        return median(hour.total_seconds for hour in self.hours)

    @property
    def rows(self) -> int:
        """Rows that the scans of an hour looked at."""
        return sum(self.counted.rows.values())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--orders", type=click.IntRange(1), default=200_000, show_default=True, help="Store orders of 1x.")
@click.option("--days", type=click.IntRange(29), default=30, show_default=True,
              help="Days of 1x; checks look back 4 weeks.")  # fmt: skip
@click.option("--times", "sizes", type=click.IntRange(1), multiple=True, default=(1, 10), show_default=True,
              help="How many times 1x, shortest first; may be repeated.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Hours that are timed on each.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a chart here, as SVG.")
def main(orders: int, days: int, sizes: Sequence[int], repeat: int, json_file: Path | None, plot: Path | None) -> None:
    """Measure what an hour costs after a short and after a long history: the same rows in it, more days before it.

    \b
    fill      orders, lines, refunds, online orders, customers, counts of history straight into raw, each hour as its
              load would have left it there; bench/sql/raw_rows.sql
    build     the first build, in parts where there is much
    past      records of a run for every hour of history
    an hour   more rows into raw, then the cycle without its loads: corrections, models and gates, reconciliation,
              page, in a process of its own. Once with all rows counted that its scans look at, then timed

    Processor seconds are of the cycle alone, without imports. Rows scanned are DuckDB's own figures, of all statements
    of all connections; tables are kept in groups of 8,192 rows. At the end certified must hold exactly what the
    generator put in. Exit code 1: it does not, or rows scanned grew by more than 10 %.

    \b
    Examples:
      python -m bench.history                                       10 minutes, 3 GB below TMPDIR
      python -m bench.history --orders 500000 --times 1 --times 10 --times 100    50 million orders: hours
      python -m bench.history --plot docs/performance/history.svg
    """
    try:
        with tempfile.TemporaryDirectory(prefix="bench-history-") as directory:
            measured = measure(Path(directory), orders, days, sorted(set(sizes)), repeat)
    except (CycleFailed, WrongTotals, BrokenProcessPool) as error:
        click.echo(f"bench: {error}", err=True)
        raise SystemExit(1) from None
    first, last = measured[0], measured[-1]
    facts = machine()
    print_table(
        f"The same hour of {first.span.orders:,} orders after a short and a long history: median of {repeat}"
        " (lowest-highest), processor seconds",
        COLUMNS,
        [_row(history, first) for history in measured],
        f"{facts['processor']}, {facts['cores']} cores; load average {facts['load_average']} at the end",
    )
    print_table(
        "Seconds of the hour by phase, rows and statements",
        ("Phase", *(f"{history.times}x s>" for history in measured), "Statements>"),
        [
            [
                phase,
                *(f"{median(hour.seconds[phase] for hour in history.hours):.2f}" for history in measured),
                last.counted.statements[phase],
            ]
            for phase in PHASE_NAMES[1:]
        ],
    )
    grown = grown_reads(first.counted.rows, last.counted.rows)
    print_table(
        f"Reads that grew most from {first.times}x to {last.times}x",
        ("Table", "Rows>", "Rows then>", "Statement"),
        [[table, before, after, statement[:60]] for table, statement, before, after in grown[:GROWN_SHOWN]],
        "" if grown else "none",
    )
    if json_file:
        figures = {"machine": facts, "orders": orders, "days": days, "measured": [_as_json(item) for item in measured]}
        json_file.write_text(json.dumps(figures, indent=1, default=str) + "\n", encoding="utf-8")
    if plot:
        _plot(plot, measured)
    ratio = last.rows / first.rows
    if ratio > ROWS_TOLERANCE:
        click.echo(f"bench: rows scanned grew {ratio:.2f} times, at most {ROWS_TOLERANCE:.2f} is right", err=True)
        raise SystemExit(1)


def measure(place: Path, orders: int, days: int, sizes: Sequence[int], repeat: int) -> list[History]:
    """Build the warehouses, play an hour after the other on each in turn, and hold certified against the generator.

    Raises:
        CycleFailed: a gate refused an hour, or something else did not go through.
        WrongTotals: certified holds something else than was put in.
    """
    an_hour = max(round(orders / days / 24), 12)
    histories = [
        History(times, place / f"{times}x", Span.of_days(LAST_HOUR + HOUR, days * times, an_hour)) for times in sizes
    ]
    spans: dict[int, list[Span]] = {}
    for history in histories:
        name = f"{history.times}x: "
        spans[history.times] = [history.span]
        history.orders = history.span.hours * history.span.orders
        say(f"{name}filling raw with {history.orders:,} orders of {history.span.hours // 24:,} days")
        in_child(played_cycle.load, history.home, history.span)
        history.build = in_child(played_cycle.play, history.home, history.span)
        say(f"{name}built in {history.build.total_seconds:.0f} processor seconds")
        _hour(history, spans)
        in_child(played_cycle.repeat_records, history.home, history.span)
    for number in range(repeat + 1):
        for history in histories:
            played = _hour(history, spans, counting=not number)
            if number:
                history.hours.append(played)
            else:
                history.counted = played
            say(f"{history.times}x: an hour, {played.total_seconds:.1f} s")
    for history in histories:
        in_child(played_cycle.check_totals, history.home, spans[history.times])
        history.bytes = sum(file.stat().st_size for file in history.home.glob("INSIGHTMART.duckdb*"))
        say(f"{history.times}x: certified holds what was put in")
    return histories


def grown_reads(
    before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]
) -> list[tuple[str, str, int, int]]:
    """Table, statement and rows before and after of the reads that grew by more than a group of rows, most first."""
    found = [(*read, before.get(read, 0), rows) for read, rows in after.items()]
    return sorted((read for read in found if read[3] - read[2] > ROWS_A_GROUP), key=lambda read: read[2] - read[3])


COLUMNS = (
    "History", "Orders>", "Days>", "Rows scanned>", "Ratio>", "Hour s>", "Ratio>", "Limit", "Peak MB>", "Build s>",
    "Build peak MB>", "File GB>",
)  # fmt: skip


def _hour(history: History, spans: dict[int, list[Span]], counting: bool = False) -> Played:
    history.span = history.span.next()
    spans[history.times].append(history.span)
    in_child(played_cycle.load, history.home, history.span)
    return in_child(played_cycle.play, history.home, history.span, counting)


def _row(history: History, first: History) -> list[Any]:
    return [
        f"{history.times}x",
        history.orders,
        (history.span.start - history.span.begins).days,
        history.rows,
        f"{history.rows / first.rows:.2f}",
        spread([hour.total_seconds for hour in history.hours]),
        f"{history.seconds / first.seconds:.2f}",
        f"rows <= {ROWS_TOLERANCE:.2f}",
        f"{max(hour.peak_bytes for hour in history.hours) / MEGABYTE:,.0f}",
        f"{history.build.total_seconds:,.0f}",
        f"{history.build.peak_bytes / MEGABYTE:,.0f}",
        f"{history.bytes / 1e9:.2f}",
    ]


def _as_json(history: History) -> dict[str, Any]:
    tables: Counter[str] = Counter()
    for (table, _), rows in history.counted.rows.items():
        tables[table] += rows
    runs = {"build": history.build, "counted": history.counted}
    return {
        "times": history.times,
        "orders": history.orders,
        "rows": history.rows,
        "rows_by_table": dict(tables.most_common()),
        "bytes": history.bytes,
        **{name: asdict(run) | {"rows": None} for name, run in runs.items()},
        "hours": [asdict(hour) | {"rows": None} for hour in history.hours],
    }


def _plot(path: Path, measured: Sequence[History]) -> None:
    measures = {"rows": [float(item.rows) for item in measured], "seconds": [item.seconds for item in measured]}
    bars = [
        Bar(
            f"{item.orders / 1e6:.1f}M orders: {what}",
            value / values[0],
            f"{value / values[0]:.2f}  ({value:,.0f} {what})",
            group,
        )
        for group, (what, values) in enumerate(measures.items())
        for item, value in zip(measured, values, strict=True)
    ]
    write_chart(
        path, "The same hour after more history: rows scanned and processor seconds, ratio to 1x", bars, 1.0, "1x"
    )


if __name__ == "__main__":
    sys.exit(main())
