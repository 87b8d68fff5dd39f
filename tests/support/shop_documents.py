"""Documents of a small shop, as the simulated shop keeps them, and what has landed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingestion.loading.context import IngestContext, LoadResult

if TYPE_CHECKING:
    pass


def line(line_id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": line_id,
        "productId": 1,
        "variantId": 1,
        "sku": f"SKU-{line_id}",
        "title": "Mug",
        "quantity": 2,
        "currentQuantity": 2,
        "unitPrice": "12.34",
        "discount": "1.00",
        "tax": "0.55",
    } | changes


def order(order_id: int, updated: str = "2026-03-05T09:10:00Z", **changes: Any) -> dict[str, Any]:
    return {
        "id": order_id,
        "name": f"#{order_id}",
        "createdAt": "2026-03-05T09:00:00Z",
        "processedAt": "2026-03-05T09:00:01Z",
        "updatedAt": updated,
        "cancelledAt": None,
        "cancelReason": None,
        "test": False,
        "currencyCode": "USD",
        "customerId": 77,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "shipping": "5.00",
        "lineItems": [line(order_id * 1000 + 1)],
        "refunds": [],
    } | changes


def refund(refund_id: int, lines: list[dict[str, Any]], shipping: str = "0.00") -> dict[str, Any]:
    return {"id": refund_id, "createdAt": "2026-03-05T09:05:00Z", "note": None, "lines": lines, "shipping": shipping}


def refund_line(line_id: int, of_line: int) -> dict[str, Any]:
    return {"id": line_id, "lineItemId": of_line, "quantity": 1, "subtotal": "11.34", "tax": "0.27"}


def level(item: int, updated: str = "2026-03-05T09:10:00Z", available: int = 3) -> dict[str, Any]:
    return {
        "inventoryItemId": item,
        "locationId": 1,
        "sku": f"SKU-{item}",
        "available": available,
        "onHand": available + 1,
        "incoming": 10,
        "updatedAt": updated,
    }


def product(product_id: int, variants: int = 1) -> dict[str, Any]:
    return {
        "id": product_id,
        "title": "Mug",
        "vendor": "Clay & Co",
        "productType": "Kitchen",
        "status": "ACTIVE",
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-03-01T00:00:00Z",
        "variants": [
            {
                "id": product_id * 1000 + number,
                "sku": f"SKU-{number}",
                "title": f"No {number}",
                "price": "12.34",
                "cost": "6.10",
                "inventoryItemId": product_id * 1000 + number,
                "updatedAt": "2026-03-02T00:00:00Z",
            }
            for number in range(variants)
        ],
    }


def by_entity(results: list[LoadResult]) -> dict[str, LoadResult]:
    return {result.entity: result for result in results}


def raw(context: IngestContext, table: str, columns: str) -> list[tuple[Any, ...]]:
    return context.warehouse.rows(f"SELECT {columns} FROM raw.shopify_{table} ORDER BY ALL")
