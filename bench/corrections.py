"""`python -m bench.corrections`: what an hour costs that late corrections came with, window by window."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench import played_cycle
from bench.ingestion.costs import in_child
from bench.ingestion.results import MEGABYTE, machine
from bench.played_cycle import CycleFailed, Played, WrongTotals
from bench.raw_rows import HOUR, Span
from bench.shown import Bar, say, spread, write_chart
from insightmart.console_tables import print_table

LAST_HOUR = datetime(2026, 3, 5, 5)  # of history: sixteen hours are left on its day, none of which sweeps
REACH = 144  # hours that corrections are spread over: corrections come within a week
AIM = 1.0  # of what a steady hour costs, for each window


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--orders", type=click.IntRange(1), default=200_000, show_default=True, help="Store orders of history.")
@click.option("--days", type=click.IntRange(8), default=30, show_default=True, help="Days of history.")
@click.option("--windows", type=click.IntRange(1, REACH), multiple=True, default=(1, 4, 16), show_default=True,
              help="Hours that corrections touch in one cycle; may be repeated.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 4), default=3, show_default=True, help="Cycles of each.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a chart here, as SVG.")
def main(
    orders: int, days: int, windows: Sequence[int], repeat: int, json_file: Path | None, plot: Path | None
) -> None:
    """Measure what late corrections cost: cycles that bring changes to 1, 4, 16 hours of the last days, and none.

    A tenth of the orders of an hour change their status, as a load would bring it, spread over six days. Each cycle is
    an hour of business later than the one before, in a process of its own; cycles of all kinds take turns. Statements
    are counted, processor seconds are of the cycle without imports. Beside them stands what an hour without corrections
    costs: a window shall cost no more than that. At the end certified must hold exactly what was put in.

    \b
    Examples:
      python -m bench.corrections                            10 minutes
      python -m bench.corrections --orders 20000 --windows 2 --repeat 1
    """
    try:
        with tempfile.TemporaryDirectory(prefix="bench-corrections-") as directory:
            measured = measure(Path(directory), orders, days, [0, *sorted(set(windows))], repeat)
    except (CycleFailed, WrongTotals, BrokenProcessPool) as error:
        click.echo(f"bench: {error}", err=True)
        raise SystemExit(1) from None
    facts = machine()
    print_table(
        f"Late corrections in one cycle: median of {repeat} (lowest-highest), processor seconds",
        COLUMNS,
        [_row(number, played, measured[0]) for number, played in measured.items()],
        f"{facts['processor']}, {facts['cores']} cores; load average {facts['load_average']} at the end",
    )
    if json_file:
        runs = {number: [asdict(run) | {"rows": None} for run in played] for number, played in measured.items()}
        json_file.write_text(json.dumps({"machine": facts, "orders": orders, "windows": runs}, indent=1) + "\n")
    if plot:
        bars = [
            Bar(
                f"{number or 'no'} windows",
                _seconds(played),
                f"{_seconds(played):.1f} s, {_statements(played):,.0f} statements",
                int(number > 0),
            )
            for number, played in measured.items()
        ]
        steady = _seconds(measured[0])
        write_chart(plot, "A cycle with late corrections: processor seconds", bars, steady, "an hour without")


def measure(place: Path, orders: int, days: int, windows: Sequence[int], repeat: int) -> dict[int, list[Played]]:
    """Play cycles with so many corrected windows each, in turn.

    Raises:
        CycleFailed: a gate refused an hour, or a correction stayed open.
        WrongTotals: certified holds something else than was put in.
    """
    home = place / "home"
    span = Span.of_days(LAST_HOUR + HOUR, days, max(round(orders / days / 24), 12))
    spans = [span]
    say(f"building {span.hours * span.orders:,} orders of {days} days")
    in_child(played_cycle.load, home, span)
    in_child(played_cycle.play, home, span)
    measured: dict[int, list[Played]] = {number: [] for number in windows}
    for turn in range(repeat + 1):
        for number in windows if turn else [0]:  # the first cycle after a build has more to do: it is left out
            span = span.next()
            spans.append(span)
            if number:
                in_child(played_cycle.correct, home, span, corrected(span, number))
            in_child(played_cycle.load, home, span)
            played = in_child(played_cycle.play, home, span)
            if played.corrections != number:
                raise CycleFailed(f"{number} windows were to be corrected, {played.corrections} were")
            if turn:
                measured[number].append(played)
            say(f"{number} windows: {played.total_seconds:.1f} s")
    in_child(played_cycle.check_totals, home, spans)
    say("certified holds what was put in")
    return measured


def corrected(span: Span, number: int) -> list[datetime]:
    """So many hours of the last days, apart from each other."""
    return [span.start - (2 + place * REACH // number) * HOUR for place in range(number)]


COLUMNS = (
    "Windows>", "Of a steady hour each>", "Aim", "CPU s>", "More than none>", "A window>", "Of it corrections>",
    "Statements>", "A window>", "Evaluations>", "Peak MB>",
)  # fmt: skip


def _row(number: int, played: Sequence[Played], none: Sequence[Played]) -> list[Any]:
    more = _seconds(played) - _seconds(none)
    statements = _statements(played) - _statements(none)
    return [
        number,
        f"{more / number / _seconds(none):.2f}" if number else "",
        f"<= {AIM:g}" if number else "",
        spread([run.total_seconds for run in played]),
        f"{more:.1f}" if number else "",
        f"{more / number:.2f}" if number else "",
        f"{median(run.seconds['corrections'] for run in played):.1f}",
        f"{_statements(played):,.0f}",
        f"{statements / number:,.1f}" if number else "",
        f"{median(run.evaluations for run in played):.0f}",
        f"{max(run.peak_bytes for run in played) / MEGABYTE:,.0f}",
    ]


def _seconds(played: Sequence[Played]) -> float:
    return median(run.total_seconds for run in played)


def _statements(played: Sequence[Played]) -> float:
    return median(sum(run.statements.values()) for run in played)


if __name__ == "__main__":
    sys.exit(main())
