"""`python -m bench.volume`: an hour at design volume against the same hour in hand-written DuckDB."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench import plain_warehouse, played_cycle
from bench.ingestion.costs import Cost, in_child
from bench.ingestion.results import MEGABYTE, machine
from bench.played_cycle import PHASE_NAMES, CycleFailed, Played, WrongTotals
from bench.raw_rows import HOUR, Span
from bench.shown import Bar, say, spread, write_chart
from insightmart.console_tables import print_table

LAST_HOUR = datetime(2026, 3, 5, 8)
HISTORY_DAYS = 1
PRODUCTS = 40_000
AVERAGE, PEAK = 30_000, 1_600_000  # orders an hour: 250 million a year, and the design volume
RATIO_AIM, SECONDS_AIM = 2.0, 300.0


@dataclass
class Profile:
    """An hour of so many orders, by hand and by us."""

    name: str
    span: Span
    parquet_bytes: int = 0
    plain: list[Cost] = field(default_factory=list)
    ours: list[Played] = field(default_factory=list)

    @property
    def plain_seconds(self) -> float:
        """Median of the processor seconds by hand."""
        return median(cost.cpu_seconds for cost in self.plain)

    @property
    def our_seconds(self) -> float:
        """Median of our processor seconds."""
        return median(played.total_seconds for played in self.ours)

    @property
    def evidence_seconds(self) -> float:
        """Median of the seconds of it that are spent on evidence."""
        return median(sum(played.evidence.values()) for played in self.ours)

    @property
    def ratio(self) -> float:
        """Ours by the one by hand."""
        return self.our_seconds / self.plain_seconds


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--scale", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True,
              help="Part of the design volume. Small ones show what a cycle costs beside its rows.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Runs of each, in turn.")
@click.option("--only", type=click.Choice(["average", "peak"]), multiple=True, help="Just this hour; may be repeated.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every run here.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a chart here, as SVG.")
def main(scale: float, repeat: int, only: Sequence[str], json_file: Path | None, plot: Path | None) -> None:
    """Measure an hour at design volume over a warehouse with history, beside hand-written DuckDB.

    \b
    average   30,000 store orders in the hour, 60,000 lines, 60,000 counts: 250 million orders a year
    peak      1.6 million orders, 3.2 million lines, 34,000 online orders, 3.2 million counts: 625 MB as a source sends
    by hand   COPY of the rows from parquet, and plain SQL that builds the same facts, customers and aggregates
    ours      COPY of the same files into raw, then the cycle: staging with all rules, core, audits, gates by Soda,
              certified, reconciliation, page. What the sources are read with is measured by `python -m bench.ingestion`

    History is a day of average hours in both. Each run begins with a copy of the same warehouse, in a process of its
    own. Processor seconds are of the work, without imports. At the end both must hold the same totals, table by table.
    Exit code 1: they do not.

    \b
    Examples:
      python -m bench.volume                       half an hour, 10 GB below TMPDIR
      python -m bench.volume --scale 0.01 --repeat 1
    """
    try:
        with tempfile.TemporaryDirectory(prefix="bench-volume-") as directory:
            measured = measure(Path(directory), scale, repeat, only or ("average", "peak"))
    except (CycleFailed, WrongTotals, BrokenProcessPool) as error:
        click.echo(f"bench: {error}", err=True)
        raise SystemExit(1) from None
    facts = machine()
    print_table(
        f"One hour at scale {scale:g}: median of {repeat} (lowest-highest), processor seconds",
        COLUMNS,
        [_row(profile) for profile in measured],
        f"{facts['processor']}, {facts['cores']} cores; load average {facts['load_average']} at the end",
    )
    print_table(
        "Of ours by phase, processor seconds",
        ("Hour", *(f"{phase}>" for phase in PHASE_NAMES), "of it evidence>", "part>"),
        [
            [
                profile.name,
                *(f"{median(played.seconds[phase] for played in profile.ours):.1f}" for phase in PHASE_NAMES),
                f"{profile.evidence_seconds:.1f}",
                f"{profile.evidence_seconds / profile.our_seconds:.1%}",
            ]
            for profile in measured
        ],
    )
    if json_file:
        runs = [{"ratio": item.ratio, **asdict(item), "ours": [asdict(one) | {"rows": None} for one in item.ours]}
                for item in measured]  # fmt: skip
        json_file.write_text(
            json.dumps({"machine": facts, "scale": scale, "hours": runs}, indent=1, default=str) + "\n"
        )
    if plot:
        bars = [
            Bar(
                f"{item.name}: {who}",
                seconds / item.plain_seconds,
                f"{seconds / item.plain_seconds:.2f}  ({seconds:.1f} s)",
                group,
            )
            for group, item in enumerate(measured)
            for who, seconds in (("by hand", item.plain_seconds), ("ours", item.our_seconds))
        ]
        write_chart(plot, "An hour against hand-written DuckDB: processor seconds, ratio", bars, RATIO_AIM, "aim")


def measure(place: Path, scale: float, repeat: int, names: Sequence[str]) -> list[Profile]:
    """Build both warehouses, and play the hours on copies of them, by hand and by us in turn.

    Raises:
        CycleFailed: a gate refused an hour, or something else did not go through.
        WrongTotals: the two do not hold the same.
    """
    an_hour = max(round(AVERAGE * scale), 12)
    history = Span.of_days(LAST_HOUR, HISTORY_DAYS, an_hour, products=PRODUCTS)
    settling = history.next()
    home, by_hand = place / "home", place / "plain.duckdb"
    say(f"building {history.hours * an_hour:,} orders of history, by us and by hand")
    for span in (history, settling):  # the first cycle after a build has more to do than the next ones
        files = place / f"{span.start:%d%H}"
        in_child(plain_warehouse.write_parquet, files, span)
        in_child(played_cycle.play, home, span, files=files)
        in_child(plain_warehouse.build, by_hand, files, span.as_of - span.hours * HOUR)
        shutil.rmtree(files)
    orders = {"average": an_hour, "peak": max(round(PEAK * scale), 12)}
    return [
        _profile(place, Profile(name, settling.next(orders=orders[name])), home, by_hand, repeat)
        for name in orders
        if name in names
    ]


COLUMNS = (
    "Hour", "Orders>", "Parquet MB>", "Ratio>", "Aim", "Met", "By hand CPU s>", "Ours CPU s>", "By hand s>", "Ours s>",
    "Aim", "Met", "By hand MB>", "Ours MB>",
)  # fmt: skip


def _profile(place: Path, profile: Profile, home: Path, by_hand: Path, repeat: int) -> Profile:
    files, span = place / f"{profile.name}-files", profile.span
    profile.parquet_bytes = in_child(plain_warehouse.write_parquet, files, span)
    for _ in range(repeat):
        own_home, own_file = place / "own", place / "own.duckdb"
        shutil.copytree(home, own_home)
        shutil.copy(by_hand, own_file)
        profile.plain.append(in_child(plain_warehouse.build, own_file, files, span.as_of))
        profile.ours.append(in_child(played_cycle.play, own_home, span, files=files))
        theirs = in_child(plain_warehouse.totals, own_file)
        ours = in_child(plain_warehouse.totals_of_ours, own_home, span)
        if theirs != ours:
            different = {name: (ours[name], theirs[name]) for name in theirs if ours[name] != theirs[name]}
            raise WrongTotals(f"we and the one by hand differ: {different}")
        seconds = f"by hand {profile.plain[-1].cpu_seconds:.1f} s, ours {profile.ours[-1].total_seconds:.1f} s"
        say(f"{profile.name}: {seconds} of the processor, the same totals")
        shutil.rmtree(own_home)
        own_file.unlink()
    shutil.rmtree(files)
    return profile


def _row(profile: Profile) -> list[Any]:
    seconds = median(played.elapsed for played in profile.ours)
    return [
        profile.name,
        profile.span.orders,
        f"{profile.parquet_bytes / MEGABYTE:,.0f}",
        f"{profile.ratio:.2f}",
        f"<= {RATIO_AIM:g}",
        profile.ratio <= RATIO_AIM,
        spread([cost.cpu_seconds for cost in profile.plain]),
        spread([played.total_seconds for played in profile.ours]),
        f"{median(cost.seconds for cost in profile.plain):.1f}",
        f"{seconds:.1f}",
        f"< {SECONDS_AIM:.0f} s",
        seconds < SECONDS_AIM,
        f"{max(cost.peak_bytes for cost in profile.plain) / MEGABYTE:,.0f}",
        f"{max(played.peak_bytes for played in profile.ours) / MEGABYTE:,.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
