"""Which certified columns a change reaches: from the columns that are made of something else now, down to certified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from insightmart.lineage.asked import followed
from insightmart.lineage.column_graph import ColumnGraph, column_graph, table_of
from insightmart.promotion.environments import Environments
from insightmart.transform.model_graph import short_name

if TYPE_CHECKING:
    from sqlmesh.core.snapshot import Snapshot


@dataclass(frozen=True)
class Reach:
    """A change and what of certified is made of it.

    Attributes:
        changed: a column that is made of something else now, or a table of which other rows may be there.
        columns: certified table -> its columns that are made of it, in order.
        tables: certified tables of which it decides the rows.
    """

    changed: str
    columns: dict[str, list[str]] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)


def reach_of(environments: Environments) -> list[Reach]:
    """What each column, or table, of the models that changed by themselves reaches; those first that changed."""
    before, after = _graph(environments.before.values()), _graph(environments.after.values())
    found = []
    for name in environments.changed:
        one, other = environments.before.get(name), environments.after.get(name)
        if one and other and one.fingerprint.data_hash == other.fingerprint.data_hash:
            continue  # something above it changed, which is followed from there
        table = short_name(name)
        if not table.startswith("gate."):
            found += [
                _reach(after if _is_in(after, place) else before, place) for place in _changed(before, after, table)
            ]
    return found


def _graph(snapshots: Iterable[Snapshot]) -> ColumnGraph:
    return column_graph(snapshot.model for snapshot in snapshots)


def _is_in(graph: ColumnGraph, place: str) -> bool:
    table = table_of(place)
    return table in graph.tables and (place == table or place.removeprefix(f"{table}.") in graph.tables[table].columns)


def _changed(before: ColumnGraph, after: ColumnGraph, table: str) -> list[str]:
    """The columns of a table that are made of something else now, and the table itself where its rows are decided anew.

    Where a definition changed and neither shows, as with a constant in a condition, it is the table's rows.
    """
    columns = [column for graph in (after, before) if table in graph.tables for column in graph.tables[table].columns]
    found = [
        f"{table}.{column}"
        for column in dict.fromkeys(columns)
        if _made(before, table, column) != _made(after, table, column)
    ]
    if before.above.get(table) != after.above.get(table) or not found:
        found.insert(0, table)
    return found


def _made(graph: ColumnGraph, table: str, column: str) -> object:
    """What decides over the values of a column; None where it is not there."""
    if not _is_in(graph, f"{table}.{column}"):
        return None
    facts = graph.tables[table].columns[column]
    return facts.type, facts.expressions, graph.above.get(f"{table}.{column}")


def _reach(graph: ColumnGraph, changed: str) -> Reach:
    columns: dict[str, set[str]] = {}
    tables = set()
    for step in followed(graph, changed, down=True).steps():
        table = table_of(step.name)
        if table.startswith("certified.") and "__" not in table:
            if step.name == table:
                tables.add(table)
            else:
                columns.setdefault(table, set()).add(step.name.removeprefix(f"{table}."))
    return Reach(changed, {table: sorted(columns[table]) for table in sorted(columns)}, sorted(tables))
