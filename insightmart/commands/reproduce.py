"""`insightmart reproduce`: a published figure computed again, and compared with what was shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from functools import partial

import click

from insightmart.commands.options import Instant, has_been
from insightmart.commands.session import reading
from insightmart.console_tables import print_table
from insightmart.errors import FAILED
from insightmart.reproducing.reproduction import Computation, Reproduction, reproduce
from insightmart.settings import load_settings

SHOWN = 50  # rows that differ, on a terminal


@click.command()
@click.argument("table")
@click.option(
    "--as-published",
    "instant",
    type=Instant(),
    callback=has_been,
    required=True,
    help="As it was shown at this UTC instant.",
)
@click.option("--where", help="Which cells: a SQL condition on the columns of TABLE (of a fact: part, event_hour).")
@click.option("--commit", help="Use this commit, not the one that published it.")
@click.option("--this-lock", is_flag=True, help="Use the packages of this environment, not those of that commit.")
@click.option("--whole-history", "whole", is_flag=True, help="Take all that was loaded, not only what is needed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; decimals are texts, so that they stay exact.")
def reproduce_command(
    table: str,
    instant: datetime,
    where: str | None,
    commit: str | None,
    this_lock: bool,
    whole: bool,
    as_json: bool,
) -> int:
    """Compute figures of TABLE again as they were published at an instant, and compare them with the journal.

    TABLE is agg_sales_daily or agg_inventory_daily, cell by cell, or fct_orders, fct_order_lines, fct_refunds or
    fct_inventory, hour by hour by digests of their rows. The rows that had been loaded by then are copied into a
    warehouse of its own, the models of the commit that published them are built on it, with the packages of that
    commit's lock, and nothing of today's certified or SQLMesh's state is used. Reads only.

    \b
    Examples:
      insightmart reproduce agg_sales_daily --as-published 2026-03-06T10:05 --where "business_date = DATE '2026-03-05'"
      insightmart reproduce fct_orders --as-published 2026-03-06T10:05 --where "event_hour >= '2026-03-05 10:00'" --json

    Exit codes: 0 everything is equal; 1 something differs, or nothing was shown then; 2 there is no such table,
    condition or commit.
    """
    settings = load_settings()
    found = reproduce(
        partial(reading, settings, is_whole=True),
        settings,
        table,
        instant,
        where,
        commit=commit,
        this_lock=this_lock,
        whole=whole,
    )
    if as_json:
        told = asdict(found) | {"equal": found.is_equal}
        click.echo(json.dumps(told, default=_plain, indent=2))
    else:
        _show(found)
    return 0 if found.is_equal else FAILED


def _show(found: Reproduction) -> None:
    for step in found.steps:
        click.echo(_line(step))
    what = "cells" if found.table.startswith("agg_") else "hours"
    at = f"certified.{found.table} as published at {found.asked_at:%Y-%m-%d %H:%M} UTC"
    if found.is_equal:
        click.echo(f"{at}: all {found.compared:,} {what} are equal.")
        return
    shown = found.differing[:SHOWN]
    left_out = len(found.differing) - len(shown)
    print_table(
        f"{at}: {len(found.differing):,} of {found.compared:,} {what} differ",
        [f"{name}>" if name.endswith(("_published", "_again")) else name for name in found.columns],
        shown,
        f"{left_out:,} more: --json" if left_out else "",
    )


def _line(step: Computation) -> str:
    """What a computation stood on, for people."""
    code = {
        True: "whose models are those that published it",
        False: "whose models are OTHER ones than those that published it",
        None: "of which the journal kept no fingerprint",
    }[step.is_same_code]
    dirty = "; it was published from a tree with changes that no commit has" if step.was_dirty else ""
    rows = sum(step.copied.rows.values())
    return (
        f"As of {step.published_at:%Y-%m-%d %H:%M} UTC: {rows:,} raw rows of {step.copied.loads:,} loads"
        f" (the last one {step.copied.last_load}), commit {step.commit[:10]}, {code}{dirty}."
    )


def _plain(value: object) -> str:
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
