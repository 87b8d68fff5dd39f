"""Local DuckDB: what a merge replaces is looked for where it may be, as a model's ``merge_filter`` says."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from sqlglot import exp
from sqlmesh.core.engine_adapter.base import MERGE_SOURCE_ALIAS, MERGE_TARGET_ALIAS
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter

Operation = Callable[..., Any]


def where_it_may_be(merge: Operation) -> Operation:
    """DuckDB knows ``merge_filter``: each of its alternatives is a DELETE of its own, so that each reads what it names.

    Why: SQLMesh's DuckDB adapter deletes by the key of every row there is, and refuses a filter. A condition on the
    target leaves blocks out, unless an alternative of the source stands beside it.

    Test: tests/insightmart/transform/test_merges.py
    """

    @functools.wraps(merge)
    def run(
        self: DuckDBEngineAdapter,
        target_table: Any,
        source_table: Any,
        target_columns_to_types: Any,
        unique_key: Sequence[exp.Expr],
        when_matched: Any = None,
        merge_filter: exp.Expr | None = None,
        source_columns: Any = None,
        **others: Any,
    ) -> None:
        if merge_filter is None or when_matched is not None:
            merge(
                self,
                target_table,
                source_table,
                target_columns_to_types,
                unique_key,
                when_matched,
                merge_filter,
                source_columns,
                **others,
            )
            return
        columns = target_columns_to_types or self.columns(target_table)
        merged = self._get_temp_table(target_table)
        self.ctas(merged, source_table, target_columns_to_types=columns, exists=False, source_columns=source_columns)
        try:
            for alternative in merge_filter.unnest().flatten() if _is(merge_filter, exp.Or) else [merge_filter]:
                keys = exp.select(*unique_key).from_(merged).where(*_conditions(alternative, MERGE_SOURCE_ALIAS))
                is_replaced = exp.In(this=exp.Tuple(expressions=list(unique_key)), query=keys.subquery())
                self.delete_from(target_table, exp.and_(*_conditions(alternative, MERGE_TARGET_ALIAS), is_replaced))
            rows = self._select_columns(columns).from_(merged).distinct(*unique_key)
            self.execute(exp.insert(rows, target_table, columns=list(columns)), track_rows_processed=True)
        finally:
            self.drop_table(merged)

    return run


def _is(condition: exp.Expr, kind: type[exp.Expr]) -> bool:
    return isinstance(condition.unnest(), kind)


def _conditions(alternative: exp.Expr, side: str) -> list[exp.Expr]:
    """Those parts of an alternative that are about one side, without its name."""
    parts = alternative.unnest().flatten() if _is(alternative, exp.And) else [alternative]
    found = [part.copy() for part in parts if any(column.table == side for column in part.find_all(exp.Column))]
    for column in (column for part in found for column in part.find_all(exp.Column)):
        if column.table != side:
            raise ValueError(f"a part of a merge_filter compares both sides: {alternative.sql()}")
        column.set("table", None)
    return found
