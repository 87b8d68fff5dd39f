"""`insightmart retention`: what is older than it may be, what holds it back, and its deletion."""

from __future__ import annotations

import json
from datetime import datetime

import click

from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, writing
from insightmart.console_tables import print_table
from insightmart.progress import step
from insightmart.retention.purge import Survey, apply, survey
from insightmart.runs import actor
from insightmart.settings import load_settings


@click.command()
@click.option("--apply", "applying", is_flag=True, help="Delete it; without, it is only shown.")
@click.option(
    "--give-up-rejects",
    metavar="REASON",
    help="Rejected records and files that nobody replayed may go; why is kept with your name.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def retention_command(applying: bool, give_up_rejects: str | None, as_json: bool, as_of: datetime | None) -> int:
    """Show what is older than it may be, and with --apply delete it.

    Single records (raw, staging, facts, rejects, kept originals) are kept RETENTION_RAW, certified aggregates
    RETENTION_AGGREGATES, evidence RETENTION_EVIDENCE. A month that finance has not closed, an open correction, a
    question about deletions, an unfinished backfill or a rejected record that could be replayed hold back everything
    from their instant on. Hours whose raw is gone are computed no more, whoever asks: they keep what was published.

    Killed, it is finished by the next `insightmart retention --apply`. Every deletion is an entry of the ledger.

    \b
    Examples:
      insightmart retention
      insightmart retention --apply
      insightmart retention --apply --give-up-rejects "unreadable since 2026, ticket 4713"

    Exit codes: 0 done, also where nothing is old enough; 2 the periods make no sense; 75 a cycle is at work.
    """
    settings = load_settings()
    now = acting_instant(settings, as_of)
    if give_up_rejects is not None and not give_up_rejects.strip():
        raise click.UsageError("--give-up-rejects must say why")
    with writing(settings, "retention") as session:
        found = survey(session.warehouse, settings, now, give_up_rejects is not None)
        deleted: dict[str, int] = {}
        if applying:
            with session.recorded_run(now) as run, step("Deleting") as progress:
                deleted = apply(session.warehouse, settings, found, now, run.run_id, actor(settings), progress.say)
                run.summary = {"rows": sum(deleted.values()), "horizons": found.horizons}
                run.summary |= {"held_back": [hold.what for hold in found.holds]}
                run.summary |= {"gave_up_rejects": give_up_rejects} if give_up_rejects else {}
                progress.outcome = f"{sum(deleted.values()):,} rows"
    if as_json:
        click.echo(json.dumps(found.as_json() | {"applied": applying, "deleted": deleted}, default=str, indent=2))
    else:
        _show(found, applying)
    return 0


def _show(found: Survey, applied: bool) -> None:
    lines = [line for line in found.lines if line.rows or line.kept]
    if lines:
        print_table(
            "Deleted" if applied else "What would go (nothing is deleted without --apply)",
            ["table", "class", "before (UTC)", "rows>", "bytes, about>", "kept all the same>", "oldest after it"],
            [
                [line.table, line.what, line.before, line.rows, line.bytes, line.kept or None, line.oldest_kept]
                for line in lines
            ],
            "Kept all the same: a later line, refund or movement needs them, they were loaded in the last 30 days, or"
            " their source does not say when they changed.",
        )
    else:
        click.echo("Nothing is older than it may be.")
    for name, wanted in (("raw", found.wanted.raw), ("aggregates", found.wanted.aggregates)):
        if found.horizons[name] < wanted:
            click.echo(
                f"Held back: {name} may go up to {wanted:%Y-%m-%d}, and goes up to {found.horizons[name]:%Y-%m-%d}."
            )
    for hold in found.holds:
        click.echo(f"Needed {hold.line}.")
