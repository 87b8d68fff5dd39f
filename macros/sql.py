"""SQL that several models share, as macros."""

import typing as t

from sqlglot import exp
from sqlmesh import macro


@macro()
def event_instant(evaluator: t.Any, stated: exp.Expression, updated: exp.Expression, loaded: exp.Expression) -> str:
    """The instant by which a record is assigned to its window, never NULL.

    The stated instant where it can be believed: not before the first day of history and at most a day after the
    record's last change. Otherwise the last change, so that the row still falls into a window and is quarantined there.
    """
    start = f"CAST('{evaluator.var('history_start')}' AS TIMESTAMP_NTZ)"
    changed = f"COALESCE({updated.sql('snowflake')}, {loaded.sql('snowflake')})"
    at = stated.sql("snowflake")
    return (
        f"CASE WHEN {at} >= {start} AND {at} <= DATEADD(DAY, 1, {changed}) THEN {at} "
        f"ELSE GREATEST({start}, {changed}) END"
    )


@macro()
def oltp_order_counts(evaluator: t.Any, status: exp.Expression, is_test: exp.Expression) -> str:
    """Whether an order of the OLTP counts: cancelled orders, tests and orders without a status count nowhere."""
    return (
        f"COALESCE(LOWER(TRIM({status.sql('snowflake')})) <> 'cancelled'"
        f" AND NOT COALESCE({is_test.sql('snowflake')}, FALSE), FALSE)"
    )


@macro()
def row_without_key(evaluator: t.Any, missing: exp.Expression, *columns: exp.Expression) -> str:
    """A text that tells rows without a key apart by their content, so that each is kept; NULL for other rows."""
    listed = [
        name for column in columns for name in (column.expressions if isinstance(column, exp.Tuple) else [column])
    ]
    content = " || '|' || ".join(f"COALESCE(CAST({column.sql('snowflake')} AS VARCHAR), '')" for column in listed)
    return f"CASE WHEN {missing.sql('snowflake')} THEN MD5({content}) END"


@macro()
def text(evaluator: t.Any, name: exp.Expression) -> exp.Expression:
    """A blueprint's name as a text in lower case."""
    return exp.Literal.string(name.name.lower())
