"""Which event windows a load of store files touched after the models had been given them.

Counts that came late or were rewritten touch the hours they stand in and the hours of the rows they replace. A time
zone that becomes known, or changes, moves business dates: it touches all hours of that store's sales and counts.
"""

from __future__ import annotations

from datetime import datetime

from ingestion.loading.context import IngestContext, Window
from ingestion.loading.correction_queue import Correction
from ingestion.loading.intervals import HOUR, merge_hours
from ingestion.loading.planning import released_through
from ingestion.loading.versions import event_instant
from ingestion.stores.content import current_loads
from ingestion.warehouse import bind

_RECORDED = "recorded AS (SELECT load_id FROM ops.loads WHERE source = 'stores' AND status = 'loaded')"


def inventory(
    context: IngestContext, load_id: str, released: datetime | None, rewritten: Window | None
) -> list[Correction]:
    """The released hours whose counts a load changes.

    Args:
        context: the run.
        load_id: the load, in raw and not yet recorded.
        released: watermark of the inventory before the load; None: nothing was released.
        rewritten: window that holds all counts of earlier loads of the load's files; None: there are none.
    """
    if released is None:
        return []
    superseded = rewritten or Window(context.history_start, context.history_start)
    columns = "file_name, store_id, sku, on_hand, on_order, counted_at"
    earlier, current = "_dlt_load_id <> :load_id", "(file_name, _dlt_load_id) IN"
    statement, params = bind(
        f"""
        WITH {_RECORDED},
        -- the files of the load: its own rows, and those of earlier loads which they may join or supersede
        counted AS (
            SELECT {columns}, file_hash, _dlt_load_id FROM raw.stores_inventory WHERE _dlt_load_id = :load_id
            UNION ALL
            SELECT {columns}, file_hash, _dlt_load_id FROM raw.stores_inventory
            WHERE counted_at >= :first AND counted_at < :last AND _dlt_load_id IN (SELECT load_id FROM recorded)
                AND file_name IN (SELECT file_name FROM raw.stores_inventory WHERE _dlt_load_id = :load_id)
        ),
        before AS (SELECT {columns} FROM counted WHERE {earlier} AND {current} ({current_loads("counted", earlier)})),
        after AS (SELECT {columns} FROM counted WHERE {current} ({current_loads("counted")})),
        touched AS (
            SELECT * FROM (SELECT * FROM after EXCEPT SELECT * FROM before) AS added
            UNION ALL
            SELECT * FROM (SELECT * FROM before EXCEPT SELECT * FROM after) AS removed
        )
        SELECT DATE_TRUNC('hour', counted_at) AS counted_hour, COUNT(*) AS row_versions
        FROM touched
        WHERE counted_at >= :history_start AND DATE_TRUNC('hour', counted_at) <= :last_released_hour
        GROUP BY 1
        """,
        load_id=load_id,
        first=superseded.start,
        last=superseded.end,
        history_start=context.history_start,
        last_released_hour=released - HOUR,
    )
    found = [(hour, rows) for hour, rows in context.warehouse.rows(statement, params)]
    reason = "store files came late or were rewritten after the hour had been released"
    return [Correction("stores", "inventory", window, load_id, rows, reason) for window, rows in merge_hours(found)]


def timezones(context: IngestContext, load_id: str) -> list[Correction]:
    """All released hours of the stores whose time zone a load makes known or changes, now or in the past.

    Args:
        context: the run.
        load_id: the load, in raw and not yet recorded.
    """
    before = _zone_versions("_dlt_load_id IN (SELECT load_id FROM recorded)")
    after = _zone_versions("(_dlt_load_id = :load_id OR _dlt_load_id IN (SELECT load_id FROM recorded))")
    moved = f"""
        {_RECORDED},
        moved AS (
            SELECT store_id FROM ({after} EXCEPT {before}) AS added
            UNION
            SELECT store_id FROM ({before} EXCEPT {after}) AS removed
        )
    """
    orders = "raw.oltp_orders WHERE store_id IN (SELECT store_id FROM moved)"
    sales = f"""
        SELECT {event_instant("ordered_at")} AS happened FROM {orders}
        UNION ALL
        SELECT {event_instant("refunded_at")} FROM raw.oltp_refunds WHERE order_id IN (SELECT order_id FROM {orders})
    """
    counts = "SELECT counted_at AS happened FROM raw.stores_inventory WHERE store_id IN (SELECT store_id FROM moved)"
    sales_released = released_through(context, "oltp", ("orders", "order_lines", "refunds"))
    counts_released = released_through(context, "stores", ("inventory",))
    return [
        *_whole_range(context, load_id, "oltp", "sales", sales_released, moved, sales),
        *_whole_range(context, load_id, "stores", "inventory", counts_released, moved, counts),
    ]


def _zone_versions(chosen: str) -> str:
    """SQL for the versions of the stores' time zones, as in ``core.dim_stores``; ``chosen`` says out of which rows."""
    newest = "PARTITION BY store_id, reference_date ORDER BY _dlt_load_id DESC, file_name DESC, file_line DESC"
    previous = "LAG(timezone) OVER (PARTITION BY store_id ORDER BY reference_date)"
    return f"""
        SELECT store_id, timezone, CASE WHEN {previous} IS NULL THEN DATE '1970-01-01' ELSE reference_date END AS since
        FROM (
            SELECT store_id, timezone, reference_date FROM raw.stores_reference
            WHERE {chosen} QUALIFY ROW_NUMBER() OVER ({newest}) = 1
        ) AS days
        QUALIFY {previous} IS NULL OR {previous} <> timezone
    """


def _whole_range(
    context: IngestContext, load_id: str, source: str, subject: str, released: datetime | None, moved: str, events: str
) -> list[Correction]:
    """One range from the first to the last released hour of the events of moved stores, if there are any."""
    if released is None:
        return []
    statement, params = bind(
        f"""
        WITH {moved}
        SELECT MIN(DATE_TRUNC('hour', happened)), MAX(DATE_TRUNC('hour', happened)), COUNT(*)
        FROM ({events}) AS events
        WHERE happened >= :history_start AND DATE_TRUNC('hour', happened) <= :last_released_hour
        """,
        load_id=load_id,
        history_start=context.history_start,
        last_released_hour=released - HOUR,
    )
    [(first, last, rows)] = context.warehouse.rows(statement, params)
    if not rows:
        return []
    reason = "the time zone of a store became known or changed: its business dates move"
    return [Correction(source, subject, Window(first, last + HOUR), load_id, rows, reason)]
