"""`insightmart close`: a month of figures frozen for finance; what changes since is an adjustment."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

import click

from insightmart.certification.observations import existing_tables
from insightmart.closing.close import ClosedMonth, close, closed_months, reopen
from insightmart.closing.month import month_of
from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, reading, writing
from insightmart.console_tables import print_table
from insightmart.errors import FAILED
from insightmart.runs import actor
from insightmart.settings import load_settings


@click.command()
@click.argument("month", required=False)
@click.option("--override", metavar="REASON", help="Close though something is open; why is kept with your name.")
@click.option("--reopen", "reopening", metavar="REASON", help="Open a closed month again; why is kept with your name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def close_command(
    month: str | None, override: str | None, reopening: str | None, as_json: bool, as_of: datetime | None
) -> int:
    """Close MONTH (2026-03): freeze the sales figures that were published of it. Without MONTH: list the closed ones.

    A month can be closed when its last business date has ended in every time zone and nothing of it is open: all
    certified, no correction waiting, no store file missing, no total that differs, no question about deletions. What
    was closed is certified.finance_close; each change since is a row of certified.finance_adjustments with its reason;
    both together are what certified says now. The last publication before the close decides what was closed.

    \b
    Examples:
      insightmart close 2026-03
      insightmart close 2026-03 --override "store 17 burnt down, its last counts will not come"
      insightmart close 2026-03 --reopen "March is reported anew"
      insightmart close --json

    Exit codes: 0 done; 1 something is open, or closed and adjustments are not what is certified; 75 a cycle is at work.
    """
    settings = load_settings()
    if month is None:
        if override or reopening:
            raise click.UsageError("which month? For example: insightmart close 2026-03 --override REASON")
        with reading(settings) as warehouse:
            months = closed_months(warehouse) if "ops.closes" in existing_tables(warehouse) else []
        _show(months, as_json)
        return 0 if all(one.agrees for one in months) else FAILED
    wanted = month_of(month)
    if override and reopening:
        raise click.UsageError("--override and --reopen exclude each other")
    now = acting_instant(settings, as_of)
    with writing(settings, "close") as session, session.recorded_run(now) as run:
        who = actor(settings)
        if reopening:
            reopen(session.warehouse, wanted, now, run.run_id, who, reopening)
            run.summary = {"reopened": str(wanted), "reason": reopening}
            found = []
        else:
            found = close(session.warehouse, wanted, now, run.run_id, who, override)
            run.summary = {"closed": str(wanted), "reason": override, "open": [one.what for one in found]}
        months = [one for one in closed_months(session.warehouse) if one.month == wanted.first]
    for one in found:
        click.echo(f"open all the same: {one.what}", err=True)
    if reopening and not as_json:
        click.echo(f"{wanted} is open again.")
    else:
        _show(months, as_json)
    return 0


def _show(months: list[ClosedMonth], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(one) | {"agrees": one.agrees} for one in months], default=str, indent=2))
        return
    if not months:
        click.echo("No month is closed.")
        return
    print_table(
        "Closed months: net sales",
        ["month", "closed (UTC)", "by", "closed>", "adjusted>", "now>", "changes>", "agrees", "reason"],
        [
            [
                f"{one.month:%Y-%m}",
                one.closed_at,
                one.closed_by,
                one.closed,
                one.adjusted,
                one.current,
                one.adjustments,
                one.agrees,
                one.reason or "",
            ]
            for one in months
        ],
    )
