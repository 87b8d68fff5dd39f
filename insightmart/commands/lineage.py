"""`insightmart lineage`: where a column comes from, and who is hit when it changes."""

from __future__ import annotations

import json
from itertools import groupby

import click
from rich.text import Text
from rich.tree import Tree

from insightmart.console_tables import print_tree, without_control
from insightmart.lineage.asked import LineageStep, followed, found, plain
from insightmart.lineage.column_graph import EXTERNAL, SOURCE, ColumnFacts, ColumnGraph, ColumnLink, table_of
from insightmart.lineage.derivation import COPIED, INDIRECT, Use
from insightmart.lineage.kept_graph import graph_of_files
from insightmart.settings import load_settings

LONGEST = 90  # characters of an expression in the tree


@click.command()
@click.argument("name", metavar="TABLE[.COLUMN]")
@click.option("--upstream", "only_up", is_flag=True, help="Only what it is made of, down to the sources.")
@click.option("--downstream", "only_down", is_flag=True, help="Only what is made of it, up to certified.")
@click.option("--depth", type=click.IntRange(min=1), help="How many steps from it at most (default: all).")
@click.option(
    "--values", "only_values", is_flag=True, help="Only what values are made of; no filters, joins, conditions."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: nodes, and edges from what is read to what is made.")
def lineage_command(
    name: str, only_up: bool, only_down: bool, depth: int | None, only_values: bool, as_json: bool
) -> None:
    """Tell where TABLE.COLUMN comes from, down to the field of a source, and what is made of it, up to certified.

    Read off the files of this checkout: no warehouse is opened. A column of certified, core, staging, raw or ops can be
    asked for, and a field of a source: oltp.TABLE.COLUMN (PostgreSQL), shopify.OBJECT.FIELD, stores.FILE.COLUMN (CSV).
    A schema that is left out is certified's, where there is such a table. Of a TABLE alone the tables are told.

    A line is a column and the SQL that makes it, where that is no plain copy. How a column is used is said as
    OpenLineage does, and nothing is said of a copy. DIRECT: values are made of it (TRANSFORMATION, AGGREGATION).
    INDIRECT: it decides which value (CONDITIONAL, WINDOW) or which rows there are (FILTER, JOIN, GROUP_BY, SORT). What
    decides over rows is told once a table, and its own origin when it is asked for. Downstream it hits whole tables.

    \b
    Examples:
      insightmart lineage certified.agg_sales_daily.net_sales --upstream
      insightmart lineage raw.oltp_orders.is_test --downstream
      insightmart lineage shopify.Order.totalPriceSet.shopMoney.amount --values
      insightmart lineage certified.fct_orders --depth 2 --json

    Exit codes: 0 done; 1 a model cannot be read; 2 there is no such table or column (close names are told).
    """
    load_settings()
    graph = graph_of_files()
    asked = found(graph, name)
    both = only_up == only_down
    up = followed(graph, asked, down=False, depth=depth, only_values=only_values) if both or only_up else None
    down = followed(graph, asked, down=True, depth=depth, only_values=only_values) if both or only_down else None
    if as_json:
        click.echo(json.dumps(plain(graph, asked, up, down), indent=2))
        return
    tree = Tree(Text(_line(graph, LineageStep(asked))))
    meaning = graph.tables[asked].meaning if asked in graph.tables else _column(graph, asked).meaning
    if meaning:
        tree.add(Text(meaning))
    if up:
        _grow(graph, tree.add(Text("comes from" if up.beyond else "comes from: no column of another table")), up)
    if down:
        _grow(graph, tree.add(Text("goes into" if down.beyond else "goes into: nothing")), down)
    print_tree(tree)


def _grow(graph: ColumnGraph, tree: Tree, step: LineageStep) -> None:
    for beyond in step.beyond:
        told = " (told elsewhere)" if beyond.is_told else ""
        _grow(graph, tree.add(Text(_line(graph, beyond) + told)), beyond)
    if step.rows:
        tree.add(Text(f"rows of {table_of(step.name)}: {_deciding(step.rows)}", style="dim"))


def _line(graph: ColumnGraph, step: LineageStep) -> str:
    """A column with what makes it, or a table, for people."""
    known = graph.tables[table_of(step.name)]
    spoken = _spoken(step.uses)
    used = f" [{spoken}]" if spoken else ""
    if step.name in graph.tables:
        return f"{step.name}{', its rows' if step.of_rows else ''}{used}"
    made = "; ".join(_column(graph, step.name).expressions)
    if known.kind == SOURCE:
        return f"{step.name} ({known.meaning}){used}"
    if known.kind == EXTERNAL and not graph.above.get(step.name):
        return f"{step.name} (written by {'the load' if step.name.startswith('raw.') else 'insightmart'}){used}"
    if not made and not graph.above.get(step.name):
        made = "NULL"
    if len(made) > LONGEST:
        made = f"{made[: LONGEST - 3]}..."
    return without_control(f"{step.name}{f' = {made}' if made else ''}{used}")


def _column(graph: ColumnGraph, name: str) -> ColumnFacts:
    table, column = _split(name)
    return graph.tables[table].columns[column]


def _spoken(uses: tuple[Use, ...]) -> str:
    """How a column is used; nothing where it is copied."""
    return ", ".join(f"{use.subtype}{', masked' if use.masking else ''}" for use in uses if use != COPIED)


def _deciding(links: tuple[ColumnLink, ...]) -> str:
    """What decides over rows, by how it does: ``FILTER staging._oltp_orders (is_counted, rule_ids); JOIN ...``."""
    told = sorted({(use.subtype, *_split(link.source)) for link in links for use in link.uses if use.type == INDIRECT})
    parts = []
    for subtype, of_subtype in groupby(told, key=lambda one: one[0]):
        tables = [
            f"{table} ({', '.join(column for *_, column in named)})"
            for table, named in groupby(of_subtype, key=lambda one: one[1])
        ]
        parts.append(f"{subtype} {', '.join(tables)}")
    return "; ".join(parts)


def _split(column: str) -> tuple[str, str]:
    """A column's table, and its name in it."""
    table = table_of(column)
    return table, column[len(table) + 1 :]
