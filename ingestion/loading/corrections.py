"""Which event windows a load touched after the models had been given them: the queue ``ops.correction_windows``.

A load reads changes (``updated_at``), the models compute events (``ordered_at``, ``refunded_at``). A row that is new or
changed touches the hour its event stands in now and every hour an earlier version of it stood in. Hours that were not
released yet (at or after the watermark that held before the load) need nothing: the models have not seen them.

The work is SQL on the warehouse and follows the size of the load: history is only probed with the keys of changed rows.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.contracts import Entity, entity
from ingestion.loading.package import IngestContext, Window, watermarks

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Correction:
    """A range of whole UTC hours to restate.

    ``source`` is ``oltp``, ``shopify`` or ``stores``; ``entity`` is what to restate, ``sales`` or ``inventory``;
    ``rows`` counts the row versions whose events stand in the window.
    """

    source: str
    entity: str
    window: Window
    load_id: str
    rows: int
    reason: str


def event_instant(column: str, updated_at: str = "updated_at") -> str:
    """SQL for the instant a row counts at: its event, or when it was written where the event cannot be believed.

    An event cannot be believed when it is missing, before history or more than a day later than the row's last change.
    The models place rows by the same rule (macro ``event_instant``). ``:history_start`` is history's first instant.
    """
    changed = f"COALESCE({updated_at}, _loaded_at)"
    return (
        f"CASE WHEN {column} >= :history_start AND {column} <= {changed} + INTERVAL '1 DAY' THEN {column}"
        f" ELSE {_not_before_history(changed)} END"
    )


def _not_before_history(instant: str) -> str:
    return f"CASE WHEN {instant} > :history_start THEN {instant} ELSE :history_start END"


def released_through(context: IngestContext, source: str, entities: Sequence[str]) -> datetime | None:
    """The latest watermark of these entities: hours before it may have been given to the models. None: none was."""
    known = watermarks(context.warehouse) if context.released is None else context.released
    return max((known[source, name] for name in entities if (source, name) in known), default=None)


def merge_hours(hours: Iterable[tuple[datetime, int]]) -> list[tuple[Window, int]]:
    """Adjacent hours (start, rows) as ranges with the rows added up, in order of time."""
    merged: list[tuple[Window, int]] = []
    for hour, rows in sorted(hours):
        if merged and merged[-1][0].end == hour:
            window, count = merged.pop()
            merged.append((Window(window.start, hour + HOUR), count + rows))
        else:
            merged.append((Window(hour, hour + HOUR), rows))
    return merged


def queue(context: IngestContext, corrections: Iterable[Correction]) -> int:
    """Queue corrections as open; one that is open already for the same hours is left out. Returns how many were queued.

    Call it inside the transaction that records the load.
    """
    queued = 0
    for correction in corrections:
        found = context.warehouse.value(
            "SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'open' AND source = ? AND entity = ?"
            " AND window_start = ? AND window_end = ?",
            [correction.source, correction.entity, correction.window.start, correction.window.end],
        )
        if not found:
            context.warehouse.insert("ops.correction_windows", [_queue_row(context, correction)])
            queued += 1
    return queued


def _queue_row(context: IngestContext, correction: Correction) -> dict[str, Any]:
    return {
        "window_id": uuid.uuid4().hex,
        "source": correction.source,
        "entity": correction.entity,
        "window_start": correction.window.start,
        "window_end": correction.window.end,
        "reason": correction.reason,
        "load_id": correction.load_id,
        "rows": correction.rows,
        "queued_at": context.as_of,
        "status": "open",
        "attempts": 0,
    }


# --- which hours -------------------------------------------------------------------------------------------------


def oltp_sales(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The sales hours an OLTP load touched: of changed orders, their lines and refunds, old places included.

    Args:
        context: the run.
        load_id: the load, in raw and not yet recorded.
        released: watermark that held before the load (``released_through``).
    """
    orders, lines, refunds = entity("oltp", "orders"), entity("oltp", "order_lines"), entity("oltp", "refunds")
    unknown = "NOT EXISTS (SELECT 1 FROM raw.oltp_orders WHERE oltp_orders.order_id = versions.order_id)"
    written = _not_before_history("COALESCE(updated_at, _loaded_at)")
    return _corrections(
        context,
        "oltp",
        "sales",
        load_id,
        released,
        f"""
        changed_orders AS ({_changed(orders, "order_id")}),
        changed_lines AS ({_changed(lines, "order_id")}),
        changed_refunds AS ({_changed(refunds, "refund_id")}),
        new_order_ids AS (
            SELECT order_id FROM changed_orders
            EXCEPT SELECT order_id FROM raw.oltp_orders WHERE _dlt_load_id IN (SELECT load_id FROM recorded)
                AND order_id IN (SELECT order_id FROM changed_orders)
        ),
        -- orders without a key, and lines of orders nobody knows, stand for themselves
        keyless AS (
            SELECT {event_instant("ordered_at")} AS happened
            FROM (SELECT *, :as_of AS _loaded_at FROM changed_orders) AS changes WHERE order_id IS NULL
            UNION ALL SELECT {event_instant("refunded_at")}
            FROM (SELECT *, :as_of AS _loaded_at FROM changed_refunds) AS changes WHERE refund_id IS NULL
            UNION ALL SELECT {written}
            FROM (SELECT *, :as_of AS _loaded_at FROM changed_lines) AS changes WHERE order_id IS NULL
            UNION ALL SELECT {written} FROM raw.oltp_order_lines AS versions
            WHERE order_id IN (SELECT order_id FROM changed_lines) AND {unknown}
        ),
        touched AS (
            SELECT happened FROM keyless
            UNION ALL SELECT {event_instant("ordered_at")} FROM raw.oltp_orders
            WHERE order_id IN (SELECT order_id FROM changed_orders UNION SELECT order_id FROM changed_lines)
            UNION ALL SELECT {event_instant("refunded_at")} FROM raw.oltp_refunds
            WHERE refund_id IN (SELECT refund_id FROM changed_refunds)
            -- a refund takes store and channel from its order, and the product from the order's line
            UNION ALL SELECT {event_instant("refunded_at")} FROM raw.oltp_refunds
            WHERE order_id IN (SELECT order_id FROM changed_orders UNION SELECT order_id FROM changed_lines)
            UNION ALL SELECT {written} FROM raw.oltp_order_lines
            WHERE order_id IN (SELECT order_id FROM new_order_ids)
                AND _dlt_load_id <> :load_id
        )
        """,
    )


def shopify_sales(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The sales hours a Shopify load touched: of changed orders and of their refunds, old places included."""
    return _corrections(
        context,
        "shopify",
        "sales",
        load_id,
        released,
        f"""
        changed_orders AS ({_changed(entity("shopify", "orders"), "order_id")}),
        touched AS (
            SELECT {event_instant("COALESCE(processed_at, created_at)")} AS happened FROM raw.shopify_orders
            WHERE order_id IN (SELECT order_id FROM changed_orders)
            UNION ALL
            SELECT {event_instant("refunded_at", "order_updated_at")} FROM raw.shopify_refunds
            WHERE order_id IN (SELECT order_id FROM changed_orders)
        )
        """,
    )


def shopify_inventory(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The hours of inventory levels that a Shopify load brought late."""
    return _corrections(
        context,
        "shopify",
        "inventory",
        load_id,
        released,
        f"""
        changed_levels AS ({_changed(entity("shopify", "inventory"), "inventory_item_id")}),
        touched AS (
            SELECT {_not_before_history("updated_at")} AS happened FROM changed_levels
        )
        """,
    )


def _corrections(
    context: IngestContext, source: str, subject: str, load_id: str, released: datetime | None, tables: str
) -> list[Correction]:
    """Corrections for the released hours of ``touched``, the last of the given common table expressions."""
    if released is None:
        return []
    statement, params = bind(
        f"""
        WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = :source AND status = 'loaded'), {tables}
        SELECT DATE_TRUNC('hour', happened) AS hour, COUNT(*) AS row_versions
        FROM touched
        WHERE happened >= :history_start AND DATE_TRUNC('hour', happened) <= :last_released_hour
        GROUP BY 1
        """,
        source=source,
        load_id=load_id,
        as_of=context.as_of,
        history_start=context.history_start,
        last_released_hour=released - HOUR,
    )
    found = [(hour, rows) for hour, rows in context.warehouse.rows(statement, params)]
    reason = "rows new or changed after the hour had been released"
    return [Correction(source, subject, window, load_id, rows, reason) for window, rows in merge_hours(found)]


def not_deleted(item: Entity, row: str) -> str:
    """SQL for whether a raw row is no tombstone and no earlier version of a record that has one.

    A row that was loaded after the tombstone is one of a record that came back. ``row`` is the alias of its table.
    """
    same = " AND ".join(f"d.{name} = {row}.{name}" for name in item.key)
    return (
        f"NOT EXISTS (SELECT 1 FROM raw.{item.table} AS d"
        f" WHERE {same} AND d._deleted_at IS NOT NULL AND d._dlt_load_id >= {row}._dlt_load_id)"
    )


def _changed(item: Entity, probe: str) -> str:
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


def bind(sql: str, **values: Any) -> tuple[str, list[Any]]:
    """A statement with ``:name`` marks as one with ``?`` marks, which both engines take, and its values in order.

    Instants are cast, so that both engines know their type. Raises KeyError for a mark without a value.
    """
    order: list[Any] = []

    def mark(match: re.Match[str]) -> str:
        value = values[match[1]]
        order.append(value)
        return "CAST(? AS TIMESTAMP_NTZ)" if isinstance(value, datetime) else "?"

    return re.sub(r"(?<!:):([a-z_]+)", mark, sql), order
