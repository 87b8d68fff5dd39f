"""`python -m bench.evidence`: which part of the processor time of a cycle evidence takes, in one run."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import click

from bench.business import PRELOADED, as_of, open_business
from insightmart.console_tables import print_table

LIMIT = 0.10  # of a cycle
JOURNAL, LEDGER, RECORDS = "journal and digests", "ledger", "records of runs, models and checks"
KEPT = ("ops.run_intervals", "ops.check_results", "ops.runs", "ops.run_problems")


@contextmanager
def counted_evidence() -> Iterator[dict[str, float]]:
    """Processor seconds of all that is written for an auditor alone, by what it is, while this is open.

    Not in it: the mark that each certified part leaves before it is written (one INSERT of four a cycle), and
    ``ops.loads``, which the pipeline works by.
    """
    from ingestion.warehouse import Warehouse
    from insightmart.commands import session
    from insightmart.journal import publish

    seconds = dict.fromkeys((JOURNAL, LEDGER, RECORDS), 0.0)
    under_way: list[str] = []
    changed: list[tuple[Any, str, Any]] = []

    def measured(what: str, run: Callable[..., Any], applies: Callable[..., bool] = lambda *_: True) -> Any:
        def measuring(*arguments: Any, **named: Any) -> Any:
            if under_way or not applies(*arguments):
                return run(*arguments, **named)
            under_way.append(what)
            before = _processor_seconds()
            try:
                return run(*arguments, **named)
            finally:
                seconds[what] += _processor_seconds() - before
                under_way.pop()

        return measuring

    def change(place: Any, name: str, what: str, applies: Callable[..., bool] = lambda *_: True) -> None:
        changed.append((place, name, getattr(place, name)))
        setattr(place, name, measured(what, getattr(place, name), applies))

    change(publish, "publish", JOURNAL)
    change(session, "enter", LEDGER)
    change(session, "keep_head", LEDGER)
    change(Warehouse, "insert", RECORDS, lambda _, table, *__: table in KEPT)
    try:
        yield seconds
    finally:
        for place, name, before in changed:
            setattr(place, name, before)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--hours", type=click.IntRange(1), default=4, show_default=True, help="Hours of business, a cycle each.")
@click.option("--size", default="tiny", show_default=True, help="Size of the simulated business.")
@click.option(
    "--of", "instant", type=click.DateTime(), hidden=True, help="Play this cycle here, and print what it took."
)
def main(hours: int, size: str, instant: datetime | None) -> int:
    """Measure evidence as a part of the cycle that it is of: cycles over a small sandbox, each in a process of its own.

    Exit code 1: in the median of the hours it takes more than a tenth of the cycle.
    """
    if instant:
        click.echo(json.dumps(_played(instant)))
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-evidence-") as home, open_business(Path(home), size) as business:
        found = []
        for hour in range(PRELOADED, PRELOADED + hours + 1):
            if hour > PRELOADED:
                business.advance()
            command = [sys.executable, "-m", "bench.evidence", "--of", f"{as_of(hour):%Y-%m-%dT%H:%M:%S}"]
            done = subprocess.run(command, env=business.environment, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    rows = [_row("first" if place == 0 else f"hour {place}", one) for place, one in enumerate(found)]
    share = median(_share(one) for one in found[1:])
    print_table(
        "Evidence as a part of its cycle, processor seconds",
        ("Cycle", "All>", *(f"{name[0].upper()}{name[1:]}>" for name in (JOURNAL, LEDGER, RECORDS)), "Part>"),
        rows,
        f"In the median of the hours: {share:.1%}; the limit is {LIMIT:.0%}",
    )
    return 0 if share <= LIMIT else 1


def _played(instant: datetime) -> dict[str, float]:
    """One cycle in this process: seconds by what it is, and of all, imports included."""
    from insightmart.commands.cycle import open_cycles
    from insightmart.logs import configure_logging
    from insightmart.settings import load_settings

    configure_logging(False)
    with open_cycles(load_settings()) as run, counted_evidence() as seconds:
        run(instant)
    return {**seconds, "all": _processor_seconds()}


def _share(found: Mapping[str, float]) -> float:
    return (found[JOURNAL] + found[LEDGER] + found[RECORDS]) / found["all"]


def _row(name: str, found: Mapping[str, float]) -> list[str]:
    parts = [f"{found[what]:.2f}" for what in (JOURNAL, LEDGER, RECORDS)]
    return [name, f"{found['all']:.1f}", *parts, f"{_share(found):.1%}"]


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    raise SystemExit(main(standalone_mode=False))
