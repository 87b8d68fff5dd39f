"""A question about a column or a table: which one is meant, and what is above or below it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from ingestion.warehouse import DATABASE
from insightmart.errors import ConfigurationError
from insightmart.lineage.column_graph import SOURCE, ColumnGraph, ColumnLink, table_of
from insightmart.lineage.derivation import DIRECT, INDIRECT, Use

LONGEST_NAME = 200  # characters of a name that anything is looked for by
LAYERS = ("certified", "core", "staging", "quarantine", "raw", "ops", "gate")


@dataclass
class LineageStep:
    """A column or table on the way, and what comes next.

    Attributes:
        name: of the column or table.
        uses: how the column is used on the way to the step before; none between tables.
        of_rows: whether it decides over rows of the step before, or (downward) rows of this table are decided.
        rows: what decides over the rows of its table, where this is the first column of it on the way.
        beyond: the steps that follow.
        is_told: whether what follows stands elsewhere in the tree.
    """

    name: str
    uses: tuple[Use, ...] = ()
    of_rows: bool = False
    rows: tuple[ColumnLink, ...] = ()
    beyond: list[LineageStep] = field(default_factory=list)
    is_told: bool = False

    def steps(self) -> Iterator[LineageStep]:
        """This step and all that follow."""
        yield self
        for step in self.beyond:
            yield from step.steps()


def found(graph: ColumnGraph, asked: str) -> str:
    """The column or table that a name means: ``TABLE.COLUMN`` or ``TABLE``, with or without its schema.

    Raises:
        ConfigurationError: there is none, or more than one; the names that come close are named.
    """
    name = asked.strip().replace('"', "").lower().removeprefix(f"{DATABASE.lower()}.")[:LONGEST_NAME]
    names = _names(graph)
    if name in names:
        return names[name]
    shorter = [known for short, known in names.items() if name and short.endswith(f".{name}")]
    same = [known for known in shorter if table_of(known) == known or known.count(".") == name.count(".") + 1]
    for layer in LAYERS:  # a schema that was left out is that of whom asks: readers know certified
        if own := [known for known in same if known.startswith(f"{layer}.")]:
            same = own
            break
    if len(same) == 1:
        return same[0]
    shown = asked if len(asked) <= LONGEST_NAME else f"{asked[:LONGEST_NAME]}..."
    if same or shorter:
        raise ConfigurationError(
            f"{shown!r} may be {_listed(sorted(same or shorter))}", "Name it with its schema and table"
        )
    table = next((known for known in graph.tables if name.startswith(f"{known.lower()}.")), None)
    if table is not None:
        column = name[len(table) + 1 :]
        near = difflib.get_close_matches(column, graph.tables[table].columns, n=3, cutoff=0.5)
        cure = f"Did you mean {_listed([f'{table}.{one}' for one in near])}?" if near else ""
        has = f"It has {', '.join(graph.tables[table].columns)}"
        raise ConfigurationError(f"{table} has no column {column!r}", cure or has)
    near = [names[one] for one in difflib.get_close_matches(name, names, n=3, cutoff=0.6)]
    cure = f"Did you mean {_listed(near)}?" if near else "Name it as in certified.agg_sales_daily.net_sales"
    raise ConfigurationError(f"there is no table or column {shown!r}", cure)


def _names(graph: ColumnGraph) -> dict[str, str]:
    """Everything that can be asked for, by its name in lower case."""
    columns = [f"{name}.{column}" for name, table in graph.tables.items() for column in table.columns]
    return {name.lower(): name for name in [*graph.tables, *columns]}


def _listed(names: list[str]) -> str:
    shown = names[:5]
    return " or ".join(shown) + (f" or one of {len(names) - 5} others" if len(names) > 5 else "")


def followed(
    graph: ColumnGraph, start: str, *, down: bool, depth: int | None = None, only_values: bool = False
) -> LineageStep:
    """What a column or table is made of, or with ``down`` what is made of it.

    Args:
        graph: the project's.
        start: a column or table that is in it.
        down: towards certified instead of the sources.
        depth: how many steps at most; None for all.
        only_values: leave out columns that only decide which value or which row there is.
    """
    first = LineageStep(start)
    told = {start}
    seen_tables: set[str] = set()
    waiting = [(first, 0)]
    while waiting:
        step, steps = waiting.pop(0)
        if not down and step.name != table_of(step.name) and not only_values:
            table = table_of(step.name)
            if table not in seen_tables:
                seen_tables.add(table)
                step.rows = tuple(graph.above.get(table, ()))
        if (depth is not None and steps >= depth) or (steps and _is_gate(step.name)):
            continue  # a gate looks at tables and lets them pass: nothing comes out of it
        for beyond in _next(graph, step.name, down, only_values):
            step.beyond.append(beyond)
            if beyond.name in told:
                beyond.is_told = not _is_gate(beyond.name) and bool(_next(graph, beyond.name, down, only_values))
            else:
                told.add(beyond.name)
                waiting.append((beyond, steps + 1))
    return first


def _next(graph: ColumnGraph, name: str, down: bool, only_values: bool) -> list[LineageStep]:
    if name == table_of(name):
        tables = graph.readers.get(name, []) if down else graph.tables[name].reads
        return [LineageStep(table) for table in sorted(tables, key=lambda table: (_is_gate(table), table))]
    links = graph.below.get(name, []) if down else graph.above.get(name, [])
    steps = [
        LineageStep(link.target if down else link.source, uses, link.target == table_of(link.target))
        for link in links
        if (uses := tuple(use for use in link.uses if use.type == DIRECT or not only_values))
    ]
    return sorted(steps, key=lambda step: (step.of_rows, all(use.type == INDIRECT for use in step.uses), step.name))


def _is_gate(table: str) -> bool:
    return table.startswith("gate.")


def plain(graph: ColumnGraph, asked: str, up: LineageStep | None, down: LineageStep | None) -> dict[str, Any]:
    """The answer for JSON: ``asked``, ``nodes`` and ``edges``, which go from what is read to what is made of it."""
    edges: dict[tuple[str, str], tuple[Use, ...]] = {}
    for first, is_down in ((up, False), (down, True)):
        for step in first.steps() if first else ():
            for link in step.rows:
                edges[link.source, link.target] = link.uses
            for beyond in step.beyond:
                pair = (step.name, beyond.name) if is_down else (beyond.name, step.name)
                edges[pair] = beyond.uses
    names = {asked, *(name for pair in edges for name in pair)}
    return {
        "asked": asked,
        "nodes": [_node(graph, name) for name in sorted(names)],
        "edges": [
            {"from": source, "to": target, "uses": [asdict(use) for use in uses]}
            for (source, target), uses in sorted(edges.items())
        ],
    }


def _node(graph: ColumnGraph, name: str) -> dict[str, Any]:
    table = graph.tables[table_of(name)]
    node: dict[str, Any] = {"name": name, "table": table_of(name), "kind": table.kind}
    if name == table_of(name):
        return node | {"meaning": table.meaning, "owner": table.owner}
    column = table.columns[name[len(table_of(name)) + 1 :]]
    node |= {"column": name[len(table_of(name)) + 1 :], "type": column.type, "meaning": column.meaning}
    if table.kind == SOURCE:
        node["meaning"] = table.meaning
    return node | {"expressions": list(column.expressions)}
