"""Where the columns of a layer come from: followed through the models to the columns that other programs write."""

from __future__ import annotations

from collections.abc import Mapping

from insightmart.lineage.column_graph import EXTERNAL, ColumnGraph, table_of


def origins(graph: ColumnGraph, layer: str = "certified") -> Mapping[str, tuple[str, ...]]:
    """``table.column`` of a layer -> the ``schema.table.column`` that its values are made of, in order.

    Filters and joins decide which rows there are, and are no origin of a value. A column that counts rows or is made up
    has none.
    """
    known: dict[str, frozenset[str]] = {}
    return {
        f"{name.split('.')[1]}.{column}": tuple(sorted(_origins(graph, f"{name}.{column}", known)))
        for name, table in graph.tables.items()
        if name.startswith(f"{layer}.")
        for column in table.columns
    }


def _origins(graph: ColumnGraph, column: str, known: dict[str, frozenset[str]]) -> frozenset[str]:
    if column not in known:
        known[column] = frozenset({column})
        if graph.tables[table_of(column)].kind != EXTERNAL:
            above = [_origins(graph, link.source, known) for link in graph.above.get(column, ())]
            known[column] = frozenset().union(*above)
    return known[column]
