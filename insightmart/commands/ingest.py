"""`insightmart ingest`: load what is new at the sources. One source's failure does not stop the others."""

from __future__ import annotations

from datetime import datetime

import click

from ingestion.contracts import SOURCES
from insightmart.commands.options import Instant, as_of_option, window_of
from insightmart.commands.session import acting_clocks, writing
from insightmart.errors import FAILED
from insightmart.purged import refuse_purged
from insightmart.runs import problem_lines
from insightmart.settings import load_settings
from insightmart.sources import check_as_of, ingest


@click.command()
@click.argument("sources", nargs=-1, type=click.Choice(SOURCES))
@click.option("--from", "start", type=Instant(), help="Read the window from this UTC instant again.")
@click.option("--to", "end", type=Instant(), help="End of the window (exclusive).")
@as_of_option
def ingest_command(
    sources: tuple[str, ...], start: datetime | None, end: datetime | None, as_of: datetime | None
) -> int:
    """Load what is new at SOURCES (default: all) into raw, without running any model.

    Safe to repeat: raw is append-only, and the models keep the latest version of every record. With --from and --to
    that window of changes is read again; the hours it corrects are queued for the next cycle.

    \b
    Examples:
      insightmart ingest
      insightmart ingest oltp --from 2026-03-05 --to 2026-03-06
    """
    if (start is None) != (end is None):
        raise click.UsageError("--from and --to belong together")
    settings = load_settings()
    now, clocks = acting_clocks(settings, as_of)
    window = window_of(start, end, now) if start and end else None
    with writing(settings, "ingest") as session:
        if window is None:
            check_as_of(session.warehouse, now)
        else:
            refuse_purged(session.warehouse, window.start, f"the window from {window.start:%Y-%m-%d %H:%M}")
        with session.recorded_run(now) as run:
            own = clocks.by_source if clocks else None
            results = ingest(session.warehouse, settings, now, sources or SOURCES, window, own)
            run.fail(problem for result in results for problem in result.problems)
            notices = [notice for result in results for notice in result.notices]
            run.note(notices := [*(clocks.problems if clocks else ()), *notices])
            run.summary = {result.source: {"rows": result.rows, "rejected": result.rejected} for result in results}
    click.echo(f"{sum(result.rows for result in results):,} rows in raw")
    for line in problem_lines(notices):
        click.echo(line, err=True)
    return FAILED if any(result.problems for result in results) else 0
