"""SQL that every source shares: when a raw row counts, whether it is still alive, and which rows of a load are new.

The models say the same of ``raw`` with macros (``macros/sql.py``); tests/models/test_rules_agree.py
holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingestion.contracts import Entity

# Where a source sends a version of a record twice the greatest values decide, so that it is the same one each time.
_TIES = {
    "orders": ("total_amount", "status"),
    "order_lines": ("quantity", "unit_price"),
    "refunds": ("amount",),
    "products": ("list_price",),
}


def believed(updated_at: str = "updated_at") -> str:
    """SQL for when a raw row was changed last, as far as it can be believed: not after the load that brought it."""
    return f"CASE WHEN {updated_at} > _loaded_at THEN _loaded_at ELSE {updated_at} END"


def event_instant(column: str, updated_at: str = "updated_at") -> str:
    """SQL for the instant a row counts at: its event, or when it was written where the event cannot be believed.

    An event cannot be believed when it is missing, before history or more than a day later than the row's last change,
    itself believed up to the load. ``:history_start`` is history's first instant.
    """
    changed = f"COALESCE({believed(updated_at)}, _loaded_at)"
    return (
        f"CASE WHEN {column} >= :history_start AND {column} <= {changed} + INTERVAL '1 DAY' THEN {column}"
        f" ELSE {not_before_history(changed)} END"
    )


def not_before_history(instant: str) -> str:
    """SQL for the instant, or ``:history_start`` where it is earlier or missing."""
    return f"CASE WHEN {instant} > :history_start THEN {instant} ELSE :history_start END"


def not_deleted(item: Entity, row: str) -> str:
    """SQL for whether a raw row is no tombstone and no earlier version of a record that has one.

    A row that was loaded after the tombstone is one of a record that came back. ``row`` is the alias of its table.
    """
    same = " AND ".join(f"d.{name} = {row}.{name}" for name in item.key)
    return (
        f"NOT EXISTS (SELECT 1 FROM raw.{item.table} AS d"
        f" WHERE {same} AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= {row}._dlt_load_id)"
    )


def is_latest_version(item: Entity, keyed: bool = False) -> str:
    """SQL, for QUALIFY, for whether a raw row is the latest version of its record: changed last, of these loaded last.

    The OLTP promises no key: rows without one are as many records as they have contents. ``keyed`` says that the
    statement leaves them out anyway.
    """
    key = [*item.key, *([_content_without_key(item)] if item.source == "oltp" and not keyed else [])]
    return f"ROW_NUMBER() OVER (PARTITION BY {', '.join(key)} ORDER BY {latest_first(item)}) = 1"


def latest_first(item: Entity) -> str:
    """SQL, for ORDER BY, that puts the latest version of a record first."""
    ties = "".join(f", {name} DESC NULLS LAST" for name in _TIES.get(item.name, ()) if item.source == "oltp")
    return f"{believed()} DESC NULLS LAST, _dlt_load_id DESC{ties}"


def _content_without_key(item: Entity) -> str:
    missing = " OR ".join(f"{name} IS NULL" for name in item.key)
    others = [column.name for column in item.columns if column.name not in item.key]
    content = " || '|' || ".join(f"COALESCE(CAST({name} AS VARCHAR), '')" for name in others)
    return f"CASE WHEN {missing} THEN MD5({content}) END"


def changed_rows(item: Entity, probe: str, beside: Sequence[str] = ()) -> str:
    """SQL for the business rows of the load that no recorded load brought before, tombstones included.

    A record that was deleted and came back is new again, even when it is the same as before.

    ``probe`` is the key column that earlier rows are looked up by. Rows without it are compared too: EXCEPT takes two
    NULLs as equal. Columns that stand ``beside`` a version change nothing: what they say when it is read first counts.
    """
    columns = ", ".join(column.name for column in (*item.columns, *item.deletion) if column.name not in beside)
    table = f"raw.{item.table}"
    returned = (
        f" AND {probe} NOT IN (SELECT {probe} FROM {table} WHERE _deleted_at IS NOT NULL)" if item.deletion else ""
    )
    loaded = f"SELECT {columns} FROM {table} WHERE _dlt_load_id = :load_id"
    earlier = f"SELECT {columns} FROM {table} WHERE _dlt_load_id IN (SELECT load_id FROM recorded)"
    return (
        f"WITH known AS (SELECT {probe} FROM {table} WHERE _dlt_load_id IN (SELECT load_id FROM recorded)"
        f" AND {probe} IN (SELECT {probe} FROM {table} WHERE _dlt_load_id = :load_id))"
        f" {loaded} AND {probe} IS NOT NULL AND {probe} NOT IN (SELECT {probe} FROM known)"  # most: nothing to compare
        f" UNION ALL ({loaded} AND ({probe} IS NULL OR {probe} IN (SELECT {probe} FROM known))"
        f" EXCEPT ({earlier} AND {probe} IN (SELECT {probe} FROM known){returned}"
        f" UNION ALL {earlier} AND {probe} IS NULL))"
    )
