"""`insightmart erase`: a customer asks to be forgotten."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from insightmart.commands.options import as_of_option
from insightmart.commands.session import acting_instant, writing
from insightmart.console_tables import print_table
from insightmart.erasure.customer import customer_of
from insightmart.erasure.erase import Found, begin, erased_at, finish_begun, look, refuse_telling_reason
from insightmart.errors import USAGE
from insightmart.runs import actor
from insightmart.settings import load_settings

NOTE = (
    "Orders, money and keys stay. Not reached from here: the source itself, backups of the warehouse, and on Snowflake"
    " Time Travel and Fail-safe (docs/retention.md)."
)


@click.command()
@click.argument("customer_id")
@click.option("--reason", required=True, help="Why, without personal data: it is kept with your name.")
@click.option("--yes", is_flag=True, help="Erase without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@as_of_option
def erase_command(customer_id: str, reason: str, yes: bool, as_json: bool, as_of: datetime | None) -> int:
    """Erase the personal data of a customer: name, e-mail, telephone, address, notes; everywhere, for good.

    CUSTOMER_ID is that of certified.dim_customers: 17 for a customer of the OLTP database, shopify:17 for one of the
    online shop (of whom only the id and notes on refunds are ever read). Nothing links the two: somebody who is both is
    erased twice.

    Shows what it would empty, and asks. Orders, money and keys stay: sales by date, store and channel and the rows of
    every table are compared in the transaction that empties the columns, which is taken back where they differ. What a
    source sends of the customer afterwards arrives empty. Killed, it is finished by the next `erase` or `cycle`.

    \b
    Examples:
      insightmart erase 17 --reason "request of March 5, ticket 4711"
      insightmart erase shopify:17 --reason "ticket 4712" --yes --json

    Exit codes: 0 erased, or it was already; 2 no such customer, or the answer was no; 75 a cycle is at work.
    """
    settings = load_settings()
    customer = customer_of(customer_id)
    now = acting_instant(settings, as_of)
    with writing(settings, "erase") as session:
        warehouse = session.warehouse
        found = look(warehouse, settings, customer)
        refuse_telling_reason(warehouse, customer, reason)
        done = erased_at(warehouse, customer)
        if done and found.is_empty:
            _show(
                found, as_json, f"Customer {customer} was erased on {done:%Y-%m-%d %H:%M} UTC: nothing is left to do."
            )
            return 0
        if not as_json:
            _show(found, False)
        if not yes and not click.confirm("Erase it for good?", err=as_json):
            return USAGE
        with session.recorded_run(now) as run:
            run.summary = {"customer": str(customer), "reason": reason.strip()}
            begin(warehouse, customer, reason.strip(), actor(settings), run.run_id, now)
            finish_begun(warehouse, settings, found)
            run.summary |= {"emptied": found.counts, "left": len(found.left)}
    _show(found, as_json, f"Customer {customer} is erased; every total is what it was.", with_table=as_json)
    return 0


def _show(found: Found, as_json: bool, said: str = "", *, with_table: bool = True) -> None:
    if as_json:
        answer: dict[str, Any] = {"customer": str(found.customer), "emptied": found.counts, "left": found.left}
        click.echo(json.dumps(answer | {"said": said}, indent=2))
        return
    if with_table and found.counts:
        print_table(
            f"Personal data of customer {found.customer}",
            ["where", "rows>"],
            [[where, rows] for where, rows in found.counts.items()],
            NOTE,
        )
        for line in found.left:
            click.echo(f"Left as it is: {line}.")
    if said:
        click.echo(said)
