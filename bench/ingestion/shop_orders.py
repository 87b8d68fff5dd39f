"""The hour's orders of the online shop, as documents of the sandbox's shop, the same ones every time.

The size at scale 1 makes 45 MB of JSON, 136 pages of 250 orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bench.ingestion.hours import BEFORE, EARLIER, NOW
from sandbox.shopify.shop import Shop

ORDERS = 34_000  # at scale 1; two lines each, a refund to every twentieth
EARLIER_ORDERS = 100  # at any scale

Document = dict[str, Any]


def fill(shop: Shop, scale: float) -> dict[str, int]:
    """Fill an empty shop with the hour and with what came before it; the rows the hour must bring, by raw table."""
    shop.upsert_orders(_orders(1_000_000, EARLIER_ORDERS, *BEFORE))
    orders = list(_orders(5_000_000, max(round(ORDERS * scale), 10), EARLIER, NOW))
    shop.upsert_orders(orders)
    lines = sum(len(order["lineItems"]) for order in orders)
    refunded = sum(len(refund["lines"]) for order in orders for refund in order["refunds"])
    shipped = sum(Decimal(order["shipping"]) != 0 for order in orders)
    return {
        "shopify_orders": len(orders),
        "shopify_order_lines": lines,
        "shopify_refunds": refunded,
        "shopify_sales": lines + refunded + shipped,  # the ledger states each by itself
    }


def _orders(first: int, count: int, start: datetime, end: datetime) -> Iterator[Document]:
    for number in range(count):
        changed = start + (end - start) * (number / count)
        yield _order(first + number, number, changed)


def _order(order_id: int, number: int, changed: datetime) -> Document:
    placed = changed - timedelta(days=1 + number % 6 if number % 40 == 0 else 0, seconds=number % 1500)
    lines = [_line(order_id, number, place) for place in range(1 + number % 3)]
    refund = {
        "id": order_id * 10,
        "createdAt": _text(changed),
        "note": "wrong size" if number % 3 else None,
        "lines": [
            {"id": order_id * 10 + 1, "lineItemId": lines[0]["id"], "quantity": 1, "subtotal": "9.95", "tax": "0.81"}
        ],
        "shipping": "0.00",
    }
    return {
        "id": order_id,
        "name": f"#{order_id}",
        "createdAt": _text(placed),
        "processedAt": _text(placed),
        "updatedAt": _text(changed),
        "cancelledAt": _text(changed) if number % 100 == 99 else None,
        "cancelReason": "CUSTOMER" if number % 100 == 99 else None,
        "test": number % 997 == 0,
        "currencyCode": "USD",
        "customerId": None if number % 9 == 0 else 70_000_000 + number * 7919 % 900_000,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "FULFILLED" if number % 4 else "UNFULFILLED",
        "shipping": "4.95",
        "lineItems": lines,
        "refunds": [refund] if number % 20 == 0 else [],
    }


def _line(order_id: int, number: int, place: int) -> Document:
    product = (number * 31 + place * 977) % 5_000
    return {
        "id": order_id * 10 + place,
        "productId": product,
        "variantId": product,
        "sku": f"SKU-{product:07d}",
        "title": f"Enamel mug No {product}, dishwasher safe",
        "quantity": 1 + number % 4,
        "currentQuantity": 1 + number % 4,
        "unitPrice": f"{10 + product % 90}.{number % 100:02d}",
        "discount": "1.50" if number % 5 == 0 else "0.00",
        "tax": f"{1 + number % 7}.{product % 100:02d}",
    }


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
