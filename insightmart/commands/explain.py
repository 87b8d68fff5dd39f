"""`insightmart explain`: where a figure, an order or the state of a store comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path

import click
from rich.text import Text
from rich.tree import Tree

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.commands.session import reading
from insightmart.console_tables import print_tree
from insightmart.errors import ConfigurationError
from insightmart.explaining.figure import cells_query, explain_figures
from insightmart.explaining.node import Node
from insightmart.explaining.order import explain_order
from insightmart.explaining.store import explain_store
from insightmart.read_only import answer
from insightmart.settings import load_settings
from insightmart.status.page_file import replace_page
from insightmart.status.rendering import render

TABLE = "certified.agg_sales_daily"


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="WHAT...")
@click.option("--where", help=f"Which cells of {TABLE}: a SQL condition on its columns.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; decimals are texts, so that they stay exact.")
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page: one HTML file, to keep or send."
)
def explain_command(what: tuple[str, ...], where: str | None, as_json: bool, page: Path | None) -> None:
    """Explain WHAT: a figure, an order, or a store on a date. Reads only.

    A figure: the orders, edits and refunds that it is the sum of, the loads they came with, what waits in quarantine
    and may belong to it, the checks that let it through, corrections, when it was published as what. An order: every
    version that a source sent, what became of it, the figures it counts in. A store: what it sold against the same
    weekday of four weeks before, its files that are missing, late or rejected, and its till.

    \b
    Examples:
      insightmart explain agg_sales_daily --where "business_date = DATE '2026-03-05' AND store_id = 17"
      insightmart explain order 1010000027
      insightmart explain store 17 2026-03-05 --json
      insightmart explain order 1010000027 --page order.html

    Exit codes: 0 done; 1 there is no such thing; 2 it is not one of these.
    """
    settings = load_settings()
    explained: Callable[[Warehouse], Sequence[Node]]
    match what:
        case (table,) if table.lower().removeprefix("certified.") == TABLE.removeprefix("certified."):
            names, rows, _ = answer(settings, cells_query(where), None)
            cells = [dict(zip(names, row, strict=True)) for row in rows]
            explained = partial(explain_figures, cells=cells)
        case ("order", number) if where is None:
            explained = partial(explain_order, number=number)
        case ("store", store, day) if where is None and store.isascii() and store.isdigit():
            explained = partial(explain_store, store_id=int(store), day=_date(day))
        case _:
            raise ConfigurationError(
                f"{' '.join(what)} cannot be explained", f"Name {TABLE} with --where, order NUMBER, or store ID DATE"
            )
    with reading(settings, is_whole=True) as warehouse:
        nodes = explained(warehouse)
    if page:
        subject = " ".join([*what, where or ""]).strip()
        text = render("explanation.html.j2", subject=subject, nodes=nodes, read_at=utc_now())
        click.echo(replace_page(page, text, 0o600))
        return
    if as_json:
        click.echo(json.dumps([node.plain() for node in nodes], indent=2))
        return
    for node in nodes:
        print_tree(_grown(node))


def _date(text: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise ConfigurationError(f"{text!r} is no date", "Write it as in 2026-03-05") from None


def _grown(node: Node) -> Tree:
    tree = Tree(Text(node.line))
    for below in node.behind:
        tree.children.append(_grown(below))
    return tree
