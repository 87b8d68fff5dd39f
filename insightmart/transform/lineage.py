"""Where a column comes from: followed through the models to the columns that other programs write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlmesh import Context


def origins(context: Context, layer: str = "certified") -> Mapping[str, tuple[str, ...]]:
    """``table.column`` of a layer -> the ``schema.table.column`` that its values are made of, in order.

    Filters and joins decide which rows there are, and are no origin of a value. A column that counts rows or is made up
    has none.
    """
    known: dict[tuple[str, str], frozenset[str]] = {}
    found = {}
    for name, model in context.models.items():
        table = model.fully_qualified_table
        if table.db.lower() == layer and not model.kind.is_external:
            for column in model.columns_to_types or {}:
                found[f"{table.name}.{column}".lower()] = tuple(sorted(_origins(context, name, column, known)))
    return found


def _origins(context: Context, name: str, column: str, known: dict[tuple[str, str], frozenset[str]]) -> frozenset[str]:
    from sqlmesh.core.lineage import column_dependencies

    if (name, column) not in known:
        model = context.get_model(name, raise_if_missing=True)
        if model.kind.is_external:
            table = model.fully_qualified_table
            known[name, column] = frozenset({f"{table.db}.{table.name}.{column}".lower()})
        else:
            parents = column_dependencies(context, name, column)
            known[name, column] = frozenset(
                origin
                for parent, columns in parents.items()
                for above in columns
                for origin in _origins(context, parent, above, known)
            )
    return known[name, column]
