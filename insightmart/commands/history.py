"""`insightmart history`: when a published figure changed, from what to what, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

import click

from insightmart.console_tables import print_table
from insightmart.errors import ConfigurationError
from insightmart.journal.figures import HEADLINE, FigureChange, changes, followed, life
from insightmart.read_only import answer
from insightmart.settings import load_settings

SHOWN = 200  # lines of a table on a terminal


@click.command()
@click.argument("table")
@click.option("--where", help="Which cells: a SQL condition on columns of certified.published_changes.")
@click.option("--measure", "measures", multiple=True, help="Only this measure; can be given again (default: all).")
@click.option("--all", "with_all", is_flag=True, help=f"Print all lines, not the last {SHOWN} alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; decimals are texts, so that they stay exact.")
def history_command(table: str, where: str | None, measures: tuple[str, ...], with_all: bool, as_json: bool) -> None:
    """Tell the life of the figures of TABLE: when each was published, what it was before, and why it changed.

    TABLE is agg_sales_daily (by date, store and channel) or agg_inventory_daily (by date and store) of certified.
    The reasons: first (never shown before), new hours (the day went on), late rows (a load changed hours that had been
    shown), released (a load replayed out of quarantine), restated (somebody built hours again), changed rule or model,
    and unexplained. Instants are UTC.

    \b
    Examples:
      insightmart history agg_sales_daily --where "business_date = DATE '2026-03-05' AND store_id = 1"
      insightmart history agg_sales_daily --measure net_sales --where "cause = 'late rows'" --json

    Exit codes: 0 done; 1 the warehouse refused the condition; 2 the journal does not follow TABLE.
    """
    one = followed(table)
    if unknown := sorted(set(measures) - set(one.measures)):
        raise ConfigurationError(
            f"certified.{one.table} has no measure {unknown[0]}", f"It has {', '.join(one.measures)}"
        )
    names, rows, _ = answer(load_settings(), life(one, where), None)
    found = changes(one, [dict(zip(names, row, strict=True)) for row in rows], measures or one.measures)
    if as_json:
        click.echo(json.dumps([asdict(change) for change in found], default=_plain, indent=2))
        return
    shown = found if with_all else found[-SHOWN:]
    left_out = len(found) - len(shown)
    print_table(
        f"certified.{one.table}",
        ["published (UTC)", "date", "store>", "channel", "measure", "before>", "after>", "why"],
        [
            [
                f"{change.published_at:%Y-%m-%d %H:%M}",
                change.business_date,
                change.store_id,
                change.channel or "",
                change.measure,
                "" if change.before is None else change.before,
                "" if change.after is None else change.after,
                _why(change),
            ]
            for change in shown
        ],
        f"{len(found):,} changes"
        + (f", the last {len(shown)} are shown (--all; --measure {HEADLINE[one.table]})" if left_out else ""),
    )


def _why(change: FigureChange) -> str:
    """The reason in a few words, with what it can be looked up by."""
    if change.cause == "changed rule or model":
        return f"{change.cause}: commit {(change.git_sha or 'unknown')[:10]}, plan {(change.plan_id or '')[:8]}"
    if change.loads:
        return f"{change.cause}: load {change.loads}"
    return f"{change.cause}: plan {change.plan_id[:8]}" if change.plan_id else change.cause


def _plain(value: object) -> str:
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
