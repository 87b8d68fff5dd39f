"""A condition of an outer join compares the joined table.

One that only speaks of the other side makes DuckDB loop over all pairs of rows, which an hour of many orders cannot
afford: docs/performance.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlglot import exp

if TYPE_CHECKING:
    from sqlmesh import Context

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 5, 10)


def one_sided(query: exp.Expression) -> set[str]:
    """Conditions of outer joins that do not name the table that is joined."""
    found = set()
    for join in query.find_all(exp.Join):
        condition, joined = join.args.get("on"), join.alias_or_name.upper()
        if join.side and condition is not None:
            for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
                columns = list(part.find_all(exp.Column))
                if columns and not any(column.table.upper() == joined for column in columns):
                    found.add(part.sql("snowflake"))
    return found


def test_every_condition_of_an_outer_join_names_the_joined_table(project: Context) -> None:
    from sqlmesh.core.model import SqlModel

    found = {
        model.name: conditions
        for model in project.models.values()
        if isinstance(model, SqlModel)
        and (
            conditions := one_sided(
                model.render_query_or_raise(start=START, end=START + timedelta(hours=1), execution_time=START)
            )
        )
    }
    assert found == {}
