"""Which sales hours an OLTP load touched after they had been given to the models."""

from __future__ import annotations

from datetime import datetime

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext
from ingestion.loading.correction_queue import Correction, released_corrections
from ingestion.loading.versions import believed, changed_rows, event_instant, not_before_history


def sales(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The hours an OLTP load touched: of changed orders, their lines and refunds, old places included.

    Args:
        context: the run.
        load_id: the load, in raw and not yet recorded.
        released: watermark that held before the load (``released_through``).
    """
    orders, lines, refunds = entity("oltp", "orders"), entity("oltp", "order_lines"), entity("oltp", "refunds")
    unknown = "NOT EXISTS (SELECT 1 FROM raw.oltp_orders WHERE oltp_orders.order_id = versions.order_id)"
    written = not_before_history(f"COALESCE({believed()}, _loaded_at)")
    return released_corrections(
        context,
        "oltp",
        "sales",
        load_id,
        released,
        f"""
        changed_orders AS ({changed_rows(orders, "order_id")}),
        changed_lines AS ({changed_rows(lines, "order_id")}),
        changed_refunds AS ({changed_rows(refunds, "refund_id")}),
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
