"""Orders for bulk operations, and what such operations are doing at the shop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ingestion.loading.context import IngestContext, Window
from ingestion.shopify import queries as shopify_queries
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.source import ShopifySource

if TYPE_CHECKING:
    pass


At = Callable[[str], IngestContext]

DAY = Window(datetime(2026, 3, 5), datetime(2026, 3, 6))
TABLES = ("orders", "order_lines", "refunds", "sales")
OPEN = ("CREATED", "RUNNING", "CANCELING")


def order(number: int, updated: str | None = None, **changes: Any) -> dict[str, Any]:
    lines = [
        {"id": number * 1000 + place, "productId": 1, "variantId": 1, "sku": f"SKU-{place}", "title": "Mug"}
        | {"quantity": 2, "currentQuantity": 2, "unitPrice": "12.34", "discount": "1.00", "tax": "0.55"}
        for place in range(1 + number % 3)
    ]
    return {
        "id": number,
        "name": f"#{number}",
        "createdAt": "2026-03-05T08:00:00Z",
        "processedAt": "2026-03-05T08:00:01Z",
        "updatedAt": updated or f"2026-03-05T09:{number:02d}:00Z",
        "cancelledAt": None,
        "cancelReason": None,
        "test": False,
        "currencyCode": "USD",
        "customerId": 77,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "shipping": "5.00",
        "lineItems": lines,
        "refunds": [],
    } | changes


def refund(number: int, of_line: int, shipping: str = "0.00") -> dict[str, Any]:
    line = {"id": number * 10, "lineItemId": of_line, "quantity": 1, "subtotal": "11.34", "tax": "0.27"}
    return {"id": number, "createdAt": "2026-03-05T08:30:00Z", "note": None, "lines": [line], "shipping": shipping}


def ids(context: IngestContext) -> list[int]:
    return [row[0] for row in context.warehouse.rows("SELECT order_id FROM raw.shopify_orders ORDER BY ALL")]


def operations(source: ShopifySource) -> list[dict[str, Any]]:
    """All bulk operations of the shop, the latest first."""
    with ShopifyClient(source) as client:
        found: list[dict[str, Any]] = client.query(shopify_queries.BULK_OPERATIONS)["bulkOperations"]["nodes"]
    return found


def told(context: IngestContext) -> tuple[IngestContext, list[str]]:
    """The context, and what it is told."""
    lines: list[str] = []
    return replace(context, progress=lines.append), lines


def start_foreign(source: ShopifySource, count: int) -> set[str]:
    """Operations that somebody else runs with the same token."""
    query = "{ products { edges { node { id } } } }"
    with ShopifyClient(source) as client:
        started = [client.query(shopify_queries.BULK_RUN, {"query": query}) for _ in range(count)]
    return {answer["bulkOperationRunQuery"]["bulkOperation"]["id"] for answer in started}
