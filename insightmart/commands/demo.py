"""`insightmart demo`: four days of a simulated business, with what goes wrong in it, tied to the truth at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ingestion.warehouse import Warehouse
from insightmart.commands.cycle import CycleResult, open_cycles
from insightmart.errors import FAILED, InsightMartError
from insightmart.gateway import open_warehouse
from insightmart.kept_private import make_home
from insightmart.progress import console as progress_console
from insightmart.progress import step
from insightmart.runs import ProblemKind
from insightmart.settings import PROJECT, Settings, load_settings
from insightmart.tie_out import Tie, tie_out

# Hours of simulated time at which a cycle runs: sparse while nothing happens, dense around the incidents.
CYCLES = (24, 40, 41, 46, 56, 60, 72, 96)
MINUTES_PAST = timedelta(minutes=5)


@dataclass
class Story:
    """What happened over the cycles, for the closing table and to see that the demo showed what it promises."""

    loaded: int = 0
    corrected: int = 0
    cycles: int = 0
    held_back: list[datetime] = field(default_factory=list)
    source_down: list[datetime] = field(default_factory=list)
    asked: list[datetime] = field(default_factory=list)
    hidden: list[datetime] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def add(self, result: CycleResult) -> None:
        """Take one cycle in."""
        self.cycles += 1
        self.loaded += result.rows_loaded
        self.corrected += result.corrections_closed
        if any(problem.subject.startswith("gate.") for problem in result.problems):
            self.held_back.append(result.as_of)
        if any(problem.subject == "shopify" for problem in result.problems):
            self.source_down.append(result.as_of)
        if any(problem.kind is ProblemKind.DELETIONS for problem in result.problems):
            self.asked.append(result.as_of)
        if any(problem.kind is ProblemKind.SOURCE and problem.subject == "oltp" for problem in result.problems):
            self.hidden.append(result.as_of)
        self.mails += result.mails


@click.command()
@click.option(
    "--size", default="demo", show_default=True, help="Size of the simulated business: tiny, demo or a factor."
)
@click.option("--home", type=click.Path(path_type=Path), help="Where to play (default: demo/ under INSIGHTMART_HOME).")
@click.option("--keep", is_flag=True, help="Leave the sandbox running afterwards.")
def demo(size: str, home: Path | None, keep: bool) -> int:
    """Play four simulated days on a sandbox of real services, then tie every certified total to the truth.

    Bad rows go to quarantine, an hour is held back by the gate and published after its repair at the source, late
    corrections are restated, Shopify is down for hours and catches up, rows of PostgreSQL are hidden for an hour and
    none is taken for deleted. Every run starts afresh and gives the same figures.
    """
    started = time.monotonic()
    home = (home or load_settings().home / "demo").resolve()
    with _sandbox(home, size, keep):
        settings = load_settings()
        story = _play(settings)
        truth = json.loads(_call(home, "truth", "--json"))
        with open_warehouse(settings) as warehouse:
            ties = tie_out(warehouse, truth)
            quarantined = _quarantined(warehouse)
    out = Console()
    out.print(_story_table(story, truth, quarantined))
    out.print(_tie_table(ties))
    failures = [tie for tie in ties if not tie.exact]
    missing = _missing(story, quarantined)
    _say_where(out, home, settings)
    verdict = "every total exact" if not failures else f"{len(failures)} totals DIFFER"
    out.print(f"{verdict}, {story.cycles} cycles in {time.monotonic() - started:.0f} s")
    for line in missing:
        out.print(f"the demo did not show: {line}")
    return FAILED if failures or missing else 0


@contextmanager
def _sandbox(home: Path, size: str, keep: bool) -> Iterator[None]:
    """A fresh home with a running sandbox, and this process pointed at it."""
    if (home / "sandbox").exists():
        _call(home, "down")
    if home.exists():
        if not (home / "sandbox").exists() and not (home / "INSIGHTMART.duckdb").exists() and any(home.iterdir()):
            raise InsightMartError(f"{home} holds something else than a demo", "Give an empty directory with --home")
        shutil.rmtree(home)
    make_home(home.parent)
    make_home(home)
    first = str(CYCLES[0])
    parent = "0" if keep else str(os.getpid())
    with step("Starting PostgreSQL, S3, Shopify and a mail inbox") as progress:
        _call(home, "up", "--size", size, "--preload-hours", first, "--parent", parent)
        progress.outcome = f"{first} hours of business"
    os.environ.update(json.loads(_call(home, "env", "--json")))
    os.environ.pop("INSIGHTMART_AS_OF", None)
    os.environ["KEPT_URL"] = ""  # its home keeps it all, whatever .env says
    try:
        yield
    finally:
        if not keep:
            _call(home, "down")


def _play(settings: Settings) -> Story:
    story, clock = Story(), CYCLES[0]
    with open_cycles(settings) as cycle:
        for hour in CYCLES:
            if hour > clock:
                with step(f"{hour - clock} hours of business"):
                    _call(settings.home, "advance", "--hours", str(hour - clock))
                clock = hour
            as_of = settings.history_start + timedelta(hours=hour) + MINUTES_PAST
            progress_console.rule(f"cycle as of {as_of:%Y-%m-%d %H:%M} UTC")
            result = cycle(as_of)
            story.add(result)
            for line in result.errors:
                progress_console.print(f"  {line}", markup=False, style="yellow")
    return story


def _call(home: Path, *arguments: str) -> str:
    """Run the sandbox's own command; what it says on failure is passed on."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=PROJECT,
        env={**os.environ, "INSIGHTMART_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InsightMartError(f"the sandbox failed: {said[-1] if said else arguments[0]}")
    return done.stdout


def _quarantined(warehouse: Warehouse) -> int:
    entities = warehouse.rows(
        "SELECT LOWER(table_name) FROM information_schema.tables WHERE table_schema IN ('QUARANTINE', 'quarantine')"
    )
    return sum(warehouse.value(f"SELECT COUNT(*) FROM quarantine.{name}") for (name,) in entities)


def _missing(story: Story, quarantined: int) -> list[str]:
    """What the demo promises to show and did not."""
    promises = {
        "rows in quarantine": quarantined > 0,
        "an hour held back by the gate and published later": bool(story.held_back),
        "late corrections restated": story.corrected > 0,
        "a source that was down and caught up": bool(story.source_down),
        "rows that a policy hides, and none of them deleted": bool(story.hidden),
        "an empty table that is asked about": bool(story.asked),
    }
    return [promise for promise, kept in promises.items() if not kept]


# --- output ------------------------------------------------------------------------------------------------------


def _story_table(story: Story, truth: Mapping[str, Any], quarantined: int) -> Table:
    table = Table(title="What happened")
    table.add_column("What")
    table.add_column("How much", justify="right")
    table.add_row("rows loaded", f"{story.loaded:,}")
    table.add_row("faults planted in the sources", f"{len(truth['planted']):,}")
    table.add_row("rows in quarantine now", f"{quarantined:,}")
    table.add_row("cycles with sales held back by the gate", _instants(story.held_back))
    table.add_row("cycles without Shopify", _instants(story.source_down))
    table.add_row("cycles in which PostgreSQL hid rows", _instants(story.hidden))
    table.add_row("cycles with a question about rows that vanished", _instants(story.asked))
    table.add_row("windows restated for late corrections", f"{story.corrected:,}")
    table.add_row("mails sent", f"{len(story.mails):,}")
    return table


def _instants(instants: list[datetime]) -> str:
    return ", ".join(f"{instant:%m-%d %H:%M}" for instant in instants) or "none"


def _tie_table(ties: list[Tie]) -> Table:
    table = Table(title="Certified against the truth (computed from the events, not by the pipeline)")
    table.add_column("Total")
    table.add_column("Truth", justify="right")
    table.add_column("Certified", justify="right")
    table.add_column("")
    for tie in ties:
        table.add_row(
            tie.what, _number(tie.truth), _number(tie.certified), "exact" if tie.exact else "[red]DIFFERS[/red]"
        )
    return table


def _number(value: Any) -> str:
    return f"{value:,.4f}" if isinstance(value, Decimal) and value % 1 else f"{value:,.0f}"


def _say_where(out: Console, home: Path, settings: Settings) -> None:
    end = settings.history_start + timedelta(hours=CYCLES[-1]) + MINUTES_PAST
    out.print(f"warehouse    {home / 'INSIGHTMART.duckdb'}", soft_wrap=True)
    out.print(f"mails        {home / 'sandbox' / 'inbox'}", soft_wrap=True)
    out.print(f"status page  {home / 'status' / 'index.html'}", soft_wrap=True)
    out.print(
        f"look at it   export INSIGHTMART_HOME={home} INSIGHTMART_START={settings.start}"
        f" INSIGHTMART_AS_OF={end:%Y-%m-%dT%H:%M}",
        soft_wrap=True,
    )
