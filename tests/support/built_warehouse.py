"""Rows of every source that the whole project can be built from, and the copy of a project that a test may change."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ingestion.contracts import ENTITIES
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from tests.support.handmade_warehouse import AS_OF, START
from tests.support.ledger import sales_of

if TYPE_CHECKING:
    pass

STORES = {1: "America/New_York", 2: "Europe/Berlin", 3: "Asia/Tokyo"}
LOAD = "1772700000.1"


def raw_rows() -> dict[str, list[dict[str, Any]]]:
    """34 hours of three stores, an online shop and stock counts, with a few rows of every kind that is left out."""
    start, loaded = datetime(2026, 3, 5), {"_loaded_at": AS_OF, "_dlt_load_id": LOAD}
    rows: dict[str, list[dict[str, Any]]] = {item.table: [] for item in ENTITIES}
    for number in range(1, 103):
        at = start + timedelta(hours=(number - 1) // 3, minutes=11 * ((number - 1) % 3))
        order = {
            "order_id": number,
            "customer_id": number % 5 or None,
            "store_id": 1 + number % 3,
            "channel": "phone" if number % 10 == 0 else "store",
            "status": "cancelled" if number % 11 == 0 else "completed",
            "is_test": number == 50,
            "currency": "EUR" if number % 17 == 0 else "USD",
            "ordered_at": at,
            "discount_amount": Decimal("1.00"),
            "tax_amount": Decimal("0.50"),
            "shipping_amount": Decimal("0.00"),
            "total_amount": None if number == 7 else Decimal("18.75"),
            "updated_at": at,
        }
        line = {
            "order_id": number,
            "line_number": 1,
            "sku": f"SKU{number % 4}",
            "quantity": 2,
            "unit_price": Decimal("9.6255"),
            "discount_amount": Decimal("1.00"),
            "tax_amount": Decimal("0.50"),
            "updated_at": at,
        }
        rows["oltp_orders"] += [order | loaded] * (2 if number == 20 else 1)
        rows["oltp_order_lines"].append(line | loaded)
        if number % 13 == 0:
            rows["oltp_order_lines"].append(line | {"line_number": 2, "quantity": None} | loaded)
    for number in range(1, 11):
        at = start + timedelta(hours=20 + number)
        rows["oltp_refunds"].append(
            {
                "refund_id": number,
                "order_id": {8: 22, 10: None}.get(number, number * 3),  # 22 is cancelled
                "line_number": 1,
                "quantity": 1,
                "amount": Decimal("-1.0000") if number == 9 else Decimal("3.1255"),
                "reason": "damaged",
                "refunded_at": at,
                "updated_at": at,
            }
            | loaded
        )
    for number in range(1, 31):
        at = start + timedelta(hours=number, minutes=30)
        version = {"order_id": number, "order_updated_at": at}
        rows["shopify_orders"].append(
            {
                "order_id": number,
                "is_test": False,
                "currency": "CAD" if number == 4 else "USD",
                "financial_status": "PAID",
                "fulfillment_status": "UNFULFILLED",
                "created_at": at,
                "processed_at": at,
                "cancelled_at": at if number == 9 else None,
                "discount_amount": Decimal(0),
                "tax_amount": Decimal("0.70"),
                "shipping_amount": Decimal("4.95"),
                "total_amount": Decimal("15.65"),
                "updated_at": at,
            }
            | loaded
        )
        rows["shopify_order_lines"].append(
            version
            | {"line_item_id": number * 10, "line_position": 1, "sku": "SKU1", "quantity": 1, "unit_price": Decimal(10)}
            | {"discount_amount": Decimal(0), "tax_amount": Decimal("0.70")}
            | loaded
        )
    rows["shopify_refunds"].append(
        {
            "order_id": 12,
            "order_updated_at": start + timedelta(hours=12, minutes=30),
            "refund_id": 1,
            "refund_line_id": 1,
        }
        | {
            "line_item_id": 120,
            "sku": "SKU1",
            "quantity": 1,
            "subtotal_amount": Decimal(10),
            "tax_amount": Decimal("0.7"),
        }
        | {"shipping_amount": None, "refunded_at": start + timedelta(hours=20)}
        | loaded
    )
    online = [rows[f"shopify_{name}"] for name in ("orders", "order_lines", "refunds")]
    rows["shopify_sales"] += sales_of(*online)
    for hour in range(34):
        for store in STORES:
            at = start + timedelta(hours=hour, minutes=40)
            count = {"store_id": store, "sku": "SKU1", "on_hand": 10 + hour, "on_order": 0, "counted_at": at}
            place = {"file_name": f"inventory/{at:%Y/%m/%d/%H}/store_{store:03}.csv", "file_hash": "h"}
            earlier = count | {"counted_at": at - timedelta(minutes=20), "on_hand": 99}
            bad = count | {"sku": "SKU2", "on_hand": None}
            counts = enumerate((count, earlier, bad), 2)
            rows["stores_inventory"] += [row | place | {"file_line": line} | loaded for line, row in counts]
    for store, zone in STORES.items():
        reference = {"store_id": store, "name": f"Store {store}", "timezone": zone, "reference_date": START}
        rows["stores_reference"].append(reference | {"file_name": f"store_{store:03}.csv", "file_line": 2} | loaded)
    return rows


def fill(warehouse: Warehouse) -> None:
    create_tables(warehouse)
    for table, rows in raw_rows().items():
        warehouse.insert(f"raw.{table}", rows)
    for item in ENTITIES:
        mark = {
            "source": item.source,
            "entity": item.name,
            "covered_through": datetime(2026, 3, 6, 10),
            "load_id": LOAD,
        }
        if item.watermarked:
            warehouse.insert("ops.source_watermarks", [mark | {"updated_at": AS_OF}])
        count = warehouse.value(f"SELECT COUNT(*) FROM raw.{item.table}")
        load = {"load_id": LOAD, "source": item.source, "entity": item.name, "rows": count, "rejected_rows": 0}
        load |= {"source_count": count, "status": "loaded", "loaded_at": AS_OF, "started_at": AS_OF, "ended_at": AS_OF}
        warehouse.insert("ops.loads", [load])
