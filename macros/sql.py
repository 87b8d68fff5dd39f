"""SQL that several models share, as macros."""

import typing as t

from sqlglot import exp
from sqlmesh import macro


@macro()
def believed(evaluator: t.Any, updated: exp.Expression, loaded: exp.Expression) -> str:
    """When a record was changed last, as far as it can be believed: a change cannot lie after the load that brought it.

    A clock that runs ahead would win over every later version until its time has come. NULL where no change is stated.
    """
    return _believed(updated.sql("snowflake"), loaded.sql("snowflake"))


def _believed(updated: str, loaded: str) -> str:
    return updated if updated == loaded else f"CASE WHEN {updated} > {loaded} THEN {loaded} ELSE {updated} END"


@macro()
def event_instant(evaluator: t.Any, stated: exp.Expression, updated: exp.Expression, loaded: exp.Expression) -> str:
    """The instant by which a record is assigned to its window, never NULL.

    The stated instant where it can be believed: not before the first day of history and at most a day after the
    record's last change, which is believed up to the load. Otherwise that change, so that the row still falls into a
    window and is quarantined there.
    Loads and reconciliation say the same in ingestion/loading/versions.py, as of ``ended_by`` (there ``not_deleted``)
    and ``is_latest_version``; tests/models/test_rules_agree.py holds the two against each other.
    """
    start = f"CAST('{evaluator.var('history_start')}' AS TIMESTAMP_NTZ)"
    load = loaded.sql("snowflake")
    changed = f"COALESCE({_believed(updated.sql('snowflake'), load)}, {load})"
    at = stated.sql("snowflake")
    return (
        f"CASE WHEN {at} >= {start} AND {at} <= DATEADD(DAY, 1, {changed}) THEN {at} "
        f"ELSE GREATEST({start}, {changed}) END"
    )


@macro()
def ended_by(evaluator: t.Any, tombstone: exp.Expression, row: exp.Expression, *key: exp.Expression) -> str:
    """Whether a row of a raw table, read as ``row``, is a tombstone or an earlier version of a record that has one.

    The condition of a LEFT JOIN to the table's tombstones, read as ``tombstone``: rows that it joins to none are alive.
    A record that was deleted at its source counts no more, up to its tombstone; what was loaded later has come back.
    """
    ended, by = row.sql("snowflake"), tombstone.sql("snowflake")
    same = " AND ".join(f"{by}.{column.name} = {ended}.{column.name}" for column in _listed(*key))
    return f"{same} AND NOT {by}._deleted_at IS NULL AND {by}._dlt_load_id >= {ended}._dlt_load_id"


@macro()
def is_latest_version(
    evaluator: t.Any,
    key: exp.Expression,
    updated: exp.Expression,
    load_id: exp.Expression,
    ties: t.Optional[exp.Expression] = None,
    content: t.Optional[exp.Expression] = None,
) -> str:
    """Whether a row is the latest version of its record, for QUALIFY: changed last, and of these the one loaded last.

    Args:
        key: one column or several in brackets.
        updated: when the version was changed at its source, believed up to ``_loaded_at`` beside it.
        load_id: the load that brought it.
        ties: columns, of which the greatest value decides between versions that a source sends twice.
        content: where the key may be missing the other columns: rows without a key are as many records as contents.
    """
    columns = [column.sql("snowflake") for column in _listed(key)]
    loaded = exp.column("_loaded_at", table=updated.args.get("table"))
    order = [f"{_believed(updated.sql('snowflake'), loaded.sql('snowflake'))} DESC NULLS LAST"]
    order.append(f"{load_id.sql('snowflake')} DESC")
    order += [f"{column.sql('snowflake')} DESC NULLS LAST" for column in _listed(*([ties] if ties else []))]
    if content:
        columns.append(_content_without(" OR ".join(f"{column} IS NULL" for column in columns), _listed(content)))
    return f"ROW_NUMBER() OVER (PARTITION BY {', '.join(columns)} ORDER BY {', '.join(order)}) = 1"


@macro()
def local_times(evaluator: t.Any, rows: exp.Expression, instant: exp.Expression, zones: exp.Expression) -> str:
    """A query of store_id, minute_at (UTC) and local_at: what the clock of a store showed in each minute of some rows.

    By the minute, because a local time costs more than all the rest of a row, and within a minute there is one: no zone
    has had an offset of seconds since 1972, and versions of stores begin at local midnight. Where no zone is known for
    a store it is that of the company.

    Args:
        rows: table or query of rows with a ``store_id``.
        instant: their column of an instant, UTC.
        zones: store_id, valid_from, valid_to, timezone.
    """
    at = instant.sql("snowflake")
    return (
        "SELECT m.store_id, m.minute_at, CONVERT_TIMEZONE('UTC',"
        f" COALESCE(z.timezone, '{evaluator.var('company_timezone')}'), m.minute_at) AS local_at"
        f" FROM (SELECT DISTINCT store_id, DATE_TRUNC('MINUTE', {at}) AS minute_at FROM {rows.sql('snowflake')}) AS m"
        f" LEFT JOIN {zones.sql('snowflake')} AS z"
        " ON z.store_id = m.store_id AND m.minute_at >= z.valid_from AND m.minute_at < z.valid_to"
    )


@macro()
def oltp_order_counts(evaluator: t.Any, status: exp.Expression, is_test: exp.Expression) -> str:
    """Whether an order of the OLTP counts: cancelled orders, tests and orders without a status count nowhere."""
    return (
        f"COALESCE(LOWER(TRIM({status.sql('snowflake')})) <> 'cancelled'"
        f" AND NOT COALESCE({is_test.sql('snowflake')}, FALSE), FALSE)"
    )


@macro()
def pos_store(evaluator: t.Any, source_name: exp.Expression, location: exp.Expression) -> str:
    """The store that a Shopify POS order was rung up at, 0 where its location stands for none, or it is no POS order.

    SHOPIFY_POS_STORES says which location (its number) is which store: ``LOCATION=STORE``, separated by commas.
    """
    pairs = [pair.split("=") for pair in str(evaluator.var("pos_stores") or "").split(",") if pair.strip()]
    known = " ".join(f"WHEN {int(place)} THEN {int(store)}" for place, store in pairs)
    if not known:
        return "0"
    at = location.sql("snowflake")
    return f"CASE WHEN LOWER(TRIM({source_name.sql('snowflake')})) = 'pos' THEN CASE {at} {known} ELSE 0 END ELSE 0 END"


@macro()
def row_without_key(evaluator: t.Any, missing: exp.Expression, *columns: exp.Expression) -> str:
    """A text that tells rows without a key apart by their content, so that each is kept; NULL for other rows."""
    return _content_without(missing.sql("snowflake"), _listed(*columns))


def _listed(*columns: exp.Expression) -> t.List[exp.Expression]:
    """Columns that are given one by one or in brackets."""
    return [
        name
        for column in columns
        for name in (
            column.expressions
            if isinstance(column, exp.Tuple)
            else [column.this if isinstance(column, exp.Paren) else column]
        )
    ]


def _content_without(missing: str, columns: t.List[exp.Expression]) -> str:
    content = " || '|' || ".join(f"COALESCE(CAST({column.sql('snowflake')} AS VARCHAR), '')" for column in columns)
    return f"CASE WHEN {missing} THEN MD5({content}) END"


@macro()
def text(evaluator: t.Any, name: exp.Expression) -> exp.Expression:
    """A blueprint's name as a text in lower case."""
    return exp.Literal.string(name.name.lower())
