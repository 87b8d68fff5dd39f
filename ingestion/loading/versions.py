"""SQL that every source shares: when a raw row counts, whether it is still alive, and which rows of a load are new.

The models say the same of ``raw`` with macros of their own (``macros/sql.py``).
"""

from __future__ import annotations

from ingestion.contracts import Entity


def event_instant(column: str, updated_at: str = "updated_at") -> str:
    """SQL for the instant a row counts at: its event, or when it was written where the event cannot be believed.

    An event cannot be believed when it is missing, before history or more than a day later than the row's last change.
    The models place rows by the same rule (macro ``event_instant``). ``:history_start`` is history's first instant.
    """
    changed = f"COALESCE({updated_at}, _loaded_at)"
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


def changed_rows(item: Entity, probe: str) -> str:
    """SQL for the business rows of the load that no recorded load brought before, tombstones included.

    A record that was deleted and came back is new again, even when it is the same as before.

    ``probe`` is the key column that earlier rows are looked up by. Rows without it are compared too: EXCEPT takes two
    NULLs as equal.
    """
    columns = ", ".join(column.name for column in (*item.columns, *item.deletion))
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
