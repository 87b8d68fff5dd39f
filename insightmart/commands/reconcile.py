"""`insightmart reconcile`: tie control totals from the sources to the certified tables, and to the stores' tills."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, writing
from insightmart.console_tables import print_table
from insightmart.errors import FAILED
from insightmart.purged import refuse_purged
from insightmart.reconciliation.reconcile import reconcile
from insightmart.reconciliation.result import DIFFERS, ControlSummary, ReconcileResult
from insightmart.settings import load_settings

SHOWN = 40  # differences listed on a terminal


@click.command()
@click.option(
    "--from", "date_from", type=click.DateTime(["%Y-%m-%d"]), help="First business date (default: a week back)."
)
@click.option("--to", "date_to", type=click.DateTime(["%Y-%m-%d"]), help="Last business date (default: today).")
@as_of_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile_command(
    date_from: datetime | None, date_to: datetime | None, as_of: datetime | None, as_json: bool
) -> int:
    """Tie control totals from the sources through raw and core to the certified tables, and to the stores' tills.

    Every comparison is kept in ops.reconciliations. A difference is explained when its window waits to be restated,
    when exactly the rows in quarantine are missing, or when a till file has not come.

    Exit codes: 0 nothing differs without an explanation; 1 something does; 75 a cycle is at work.
    """
    if date_from and date_to and date_to < date_from:
        raise click.UsageError("--to must not be earlier than --from")
    settings = load_settings()
    now = acting_instant(settings, as_of)
    today = now + timedelta(hours=14)  # in the zone that is furthest ahead
    if date_from and date_from > today:
        raise click.UsageError(f"--from lies in the future: it is {now:%Y-%m-%d %H:%M} UTC")
    if date_to and date_to < settings.history_start - timedelta(days=1):
        raise click.UsageError(f"--to lies before the first day of history, {settings.start} (INSIGHTMART_START)")
    date_from = max(date_from, settings.history_start - timedelta(days=1)) if date_from else None
    date_to = min(date_to, today) if date_to else None
    with writing(settings, "reconcile") as session, session.recorded_run(now) as run:
        if date_from:
            refuse_purged(session.warehouse, date_from, f"the business date {date_from:%Y-%m-%d}")
        result = reconcile(session.warehouse, settings, now, run.run_id, _date(date_from), _date(date_to))
        run.fail(result.problems)
        run.summary = dict(result.statuses)
    if as_json:
        payload = asdict(result) | {"differences": result.differences, "summary": result.summary}
        click.echo(json.dumps(payload, default=str, indent=2))
    else:
        _print(result)
    return FAILED if result.differences else 0


def _date(given: datetime | None) -> date | None:
    return given.date() if given else None


def _print(result: ReconcileResult) -> None:
    if result.controls:
        print_table(
            f"Control totals, business dates {result.date_from} to {result.date_to}",
            ["control", "entity", "measure", "source>", "raw>", "core>", "certified>", "excluded>", "quarantined>",
             "difference>", "comparisons>"],
            [[*_totals(control), control.comparisons] for control in result.controls],
        )  # fmt: skip
    failed = [difference for difference in result.unmatched if difference.status == DIFFERS]
    if failed:
        print_table(
            "\nDifferences without an explanation",
            ["control", "entity", "date", "store>", "measure", "source>", "raw>", "core>", "certified>", "difference>"],
            [
                [d.control, d.entity, d.business_date, _plain(d.store_id), d.measure, *map(_amount, (
                    d.source_total, d.raw_total, d.core_total, d.certified_total, d.difference))]
                for d in failed[:SHOWN]
            ],
            f"{len(failed) - SHOWN} more; --json shows all." if len(failed) > SHOWN else "",
        )  # fmt: skip
    explained = Counter(
        (d.control, d.entity, d.business_date, d.status) for d in result.unmatched if d.status != DIFFERS
    )
    if explained:
        print_table(
            "\nExplained",
            ["control", "entity", "date", "because", "comparisons>"],
            [[*key, count] for key, count in sorted(explained.items(), key=str)],
        )
    for line in result.skipped:
        click.echo(f"not compared yet: {line}")
    click.echo(f"{result.summary}.")


def _totals(control: ControlSummary) -> list[Any]:
    amounts = (
        control.source_total,
        control.raw_total,
        control.core_total,
        control.certified_total,
        control.excluded_total,
        control.quarantined_total,
        control.difference,
    )
    return [control.control, control.entity, control.measure, *map(_amount, amounts)]


def _amount(value: Decimal | None) -> Decimal | int | None:
    """Counts without decimals."""
    return int(value) if value is not None and value == value.to_integral_value() else value


def _plain(store_id: int | None) -> str | None:
    return None if store_id is None else str(store_id)
