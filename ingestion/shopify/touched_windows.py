"""Which hours of sales and of inventory levels a Shopify load touched after they had been given to the models."""

from __future__ import annotations

from datetime import datetime

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext
from ingestion.loading.correction_queue import Correction, released_corrections
from ingestion.loading.versions import changed_rows, event_instant, not_before_history

OF_SKU = ("sku_on_hand", "sku_on_order")  # as they stood when the level was read; its version is the same afterwards


def sales(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The sales hours a Shopify load touched: of changed orders and all their agreements, old places included."""
    return released_corrections(
        context,
        "shopify",
        "sales",
        load_id,
        released,
        f"""
        changed_orders AS ({changed_rows(entity("shopify", "orders"), "order_id")}),
        touched AS (
            SELECT {event_instant("COALESCE(processed_at, created_at)")} AS happened FROM raw.shopify_orders
            WHERE order_id IN (SELECT order_id FROM changed_orders)
            UNION ALL
            SELECT {event_instant("happened_at", "order_updated_at")} FROM raw.shopify_sales
            WHERE order_id IN (SELECT order_id FROM changed_orders)
        )
        """,
    )


def inventory(context: IngestContext, load_id: str, released: datetime | None) -> list[Correction]:
    """The hours of inventory levels that a Shopify load brought late."""
    return released_corrections(
        context,
        "shopify",
        "inventory",
        load_id,
        released,
        f"""
        changed_levels AS ({changed_rows(entity("shopify", "inventory"), "inventory_item_id", OF_SKU)}),
        touched AS (
            SELECT {not_before_history("updated_at")} AS happened FROM changed_levels
        )
        """,
    )
