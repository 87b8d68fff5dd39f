"""Orders with lines, refunds and agreements, as ``orders``, ``order_lines``, ``refunds`` and ``sales``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import FLAG, INT, MONEY, TEXT
from ingestion.shopify.tables.agreements import AGREEMENT, sale_table
from ingestion.shopify.tables.refunds import REFUND, refund_table
from ingestion.shopify.tables.scalars import SUMMED, amounts, exact, ids, instants, part, raw_table, starts, sums
from ingestion.shopify.tables.shapes import BAG, WHOLE, Record, connection_of, list_of, record_of, typed

LINE = record_of(
    id=TEXT,
    sku_=TEXT,
    title=TEXT,
    quantity=WHOLE,
    currentQuantity=WHOLE,
    originalUnitPriceSet=BAG,
    discountAllocations=list_of(record_of(allocatedAmountSet=BAG)),
    taxLines=list_of(record_of(priceSet=BAG)),
)
_HEADER: dict[str, pa.DataType] = {
    "id": TEXT,
    "name": TEXT,
    "createdAt": TEXT,
    "processedAt": TEXT,
    "updatedAt": TEXT,
    "cancelledAt_": TEXT,
    "test": FLAG,
    "currencyCode": TEXT,
    "displayFinancialStatus_": TEXT,
    "displayFulfillmentStatus": TEXT,
    "taxesIncluded": FLAG,
    "sourceName_": TEXT,
    "retailLocation_": record_of(id=TEXT, name=TEXT),
    "customer_": record_of(id=TEXT),
    "subtotalPriceSet_": BAG,
    "totalDiscountsSet_": BAG,
    "totalTaxSet_": BAG,
    "totalShippingPriceSet": BAG,
    "totalPriceSet": BAG,
    "originalTotalPriceSet": BAG,
    "currentTotalPriceSet": BAG,
    "totalCashRoundingAdjustment": record_of(paymentSet=BAG, refundSet=BAG),
}
_ROUNDED = ("paymentSet", "refundSet")
HEADER = record_of(**_HEADER)
ORDER = record_of(
    **_HEADER, lineItems=connection_of(LINE), refunds=list_of(REFUND), agreements=connection_of(AGREEMENT)
)


def flatten_orders(orders: Sequence[Record]) -> dict[str, pa.Table]:
    """Complete orders, as the queries return them, as ``orders``, ``order_lines``, ``refunds`` and ``sales``.

    A refund has a row for each of its lines. What it gives back beyond them is one row without a line: the shipping
    with its tax, and as subtotal what was paid back for no line at all (a free amount).

    Raises:
        UnfitError: an order does not fit the contract exactly.
    """
    rows = typed(orders, ORDER)
    headers = header_table(rows)
    order_ids, versions = headers["order_id"].combine_chunks(), headers["updated_at"].combine_chunks()
    lines = part(rows, "lineItems", "nodes")
    of_order = lines.value_parent_indices()
    places = np.arange(1, len(of_order) + 1) - starts(lines)[np.asarray(of_order)]
    return {
        "orders": headers,
        "order_lines": line_table(lines.flatten(), order_ids.take(of_order), versions.take(of_order), places),
        "refunds": refund_table(part(rows, "refunds"), order_ids, versions),
        "sales": sale_table(part(rows, "agreements", "nodes"), order_ids, versions),
    }


def header_table(rows: pa.StructArray) -> pa.Table:
    """Orders without their children, of the type ``HEADER``, as rows of ``orders``. Raises UnfitError."""
    columns = {
        "order_id": ids(part(rows, "id"), "Order"),
        "name": part(rows, "name"),
        "customer_id": ids(part(rows, "customer", "id"), "Customer"),
        "is_test": part(rows, "test"),
        "currency": part(rows, "currencyCode"),
        "financial_status": part(rows, "displayFinancialStatus"),
        "fulfillment_status": part(rows, "displayFulfillmentStatus"),
        "taxes_included": part(rows, "taxesIncluded"),
        "source_name": part(rows, "sourceName"),
        "retail_location_id": ids(part(rows, "retailLocation", "id"), "Location"),
        "retail_location_name": part(rows, "retailLocation", "name"),
        "created_at": instants(part(rows, "createdAt")),
        "processed_at": instants(part(rows, "processedAt")),
        "cancelled_at": instants(part(rows, "cancelledAt")),
        "subtotal_amount": amounts(rows, "subtotalPriceSet"),
        "discount_amount": amounts(rows, "totalDiscountsSet"),
        "tax_amount": amounts(rows, "totalTaxSet"),
        "shipping_amount": amounts(rows, "totalShippingPriceSet"),
        "total_amount": amounts(rows, "totalPriceSet"),
        "placed_total_amount": amounts(rows, "originalTotalPriceSet"),
        "current_total_amount": amounts(rows, "currentTotalPriceSet"),
        "cash_rounding_amount": _rounding(rows),
        "updated_at": instants(part(rows, "updatedAt")),
    }
    return raw_table("orders", columns)


def _rounding(rows: pa.StructArray) -> pa.Array:
    """What rounding to coins added to the money that was taken, less what it added to the money given back."""
    taken, given = (amounts(rows, "totalCashRoundingAdjustment", name, kind=SUMMED) for name in _ROUNDED)
    return exact(pc.subtract(taken, given), MONEY)


def line_table(lines: pa.StructArray, order_ids: pa.Array, versions: pa.Array, places: Any) -> pa.Table:
    """Order lines as rows of ``order_lines``.

    Args:
        lines: of the type ``LINE``.
        order_ids: the order of each line.
        versions: when that order was last changed.
        places: the place of each line in its order, from 1 on.

    Raises:
        UnfitError: a line does not fit the contract exactly.
    """
    # allocations, not totalDiscountSet: that one leaves out the share of discounts on the whole order
    discounts = part(lines, "discountAllocations")
    taxes = part(lines, "taxLines")
    columns = {
        "order_id": order_ids,
        "order_updated_at": versions,
        "line_item_id": ids(part(lines, "id"), "LineItem"),
        "line_position": pa.array(places, INT),
        "sku": part(lines, "sku"),
        "title": part(lines, "title"),
        "quantity": exact(part(lines, "quantity"), INT),
        "current_quantity": exact(part(lines, "currentQuantity"), INT),
        "unit_price": amounts(lines, "originalUnitPriceSet"),
        "discount_amount": _list_sums(discounts, "allocatedAmountSet"),
        "tax_amount": _list_sums(taxes, "priceSet"),
    }
    return raw_table("order_lines", columns)


def _list_sums(lists: pa.ListArray, name: str) -> pa.Array:
    parts = amounts(lists.flatten(), name, kind=SUMMED)
    return exact(sums(parts, lists.value_parent_indices(), len(lists)), MONEY)
