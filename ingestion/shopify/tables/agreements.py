"""The sales ledger of orders, as ``sales``: a row for each sale of each agreement, signed as Shopify states it."""

from __future__ import annotations

import pyarrow as pa

from ingestion.contracts import INT, TEXT, entity
from ingestion.shopify.client import SOURCE
from ingestion.shopify.tables.scalars import amounts, exact, ids, instants, numbers, part, raw_table
from ingestion.shopify.tables.shapes import BAG, WHOLE, connection_of, record_of

SALE = record_of(
    id=TEXT,
    actionType=TEXT,
    lineType=TEXT,
    quantity_=WHOLE,
    totalAmount=record_of(shopMoney=record_of(amount=TEXT, currencyCode=TEXT)),
    totalTaxAmount=BAG,
    totalDiscountAmountBeforeTaxes=BAG,
    totalDiscountAmountAfterTaxes=BAG,
    lineItem_=record_of(id=TEXT, sku_=TEXT),
)
_EVENT: dict[str, pa.DataType] = {
    "id": TEXT,
    "happenedAt": TEXT,
    "reason": TEXT,
    "refund_": record_of(id=TEXT, note_=TEXT),
}
EVENT = record_of(**_EVENT)
AGREEMENT = record_of(**_EVENT, sales=connection_of(SALE))


def sale_table(lists: pa.ListArray, order_ids: pa.Array, versions: pa.Array) -> pa.Table:
    """The sales of the agreements of each order as rows of ``sales``.

    Args:
        lists: for each order its agreements, of the type ``AGREEMENT``.
        order_ids: the orders.
        versions: when each of them was last changed.

    Raises:
        UnfitError: an agreement or a sale does not fit the contract exactly.
    """
    agreements, of_order = lists.flatten(), lists.value_parent_indices()
    if not len(agreements):
        return pa.schema(entity(SOURCE, "sales").columns).empty_table()
    sales = part(agreements, "sales", "nodes")
    of_agreement = sales.value_parent_indices()
    events = event_columns(agreements) | {
        "order_id": order_ids.take(of_order),
        "order_updated_at": versions.take(of_order),
    }
    given = {name: values.take(of_agreement) for name, values in events.items()}
    return raw_table("sales", given | sale_columns(sales.flatten()))


def event_columns(agreements: pa.StructArray) -> dict[str, pa.Array]:
    """What a sale has of its agreement, of the type ``EVENT`` or ``AGREEMENT``. Raises UnfitError."""
    return {
        "agreement_id": numbers(part(agreements, "id")),
        "happened_at": instants(part(agreements, "happenedAt")),
        "reason": part(agreements, "reason"),
        "refund_id": ids(part(agreements, "refund", "id"), "Refund"),
        "note": part(agreements, "refund", "note"),
    }


def sale_columns(sales: pa.StructArray) -> dict[str, pa.Array]:
    """What sales say of themselves, of the type ``SALE``. Raises UnfitError."""
    return {
        "sale_id": numbers(part(sales, "id")),
        "action_type": part(sales, "actionType"),
        "line_type": part(sales, "lineType"),
        "line_item_id": ids(part(sales, "lineItem", "id"), "LineItem"),
        "sku": part(sales, "lineItem", "sku"),
        "quantity": exact(part(sales, "quantity"), INT),
        "currency": part(sales, "totalAmount", "shopMoney", "currencyCode"),
        "total_amount": amounts(sales, "totalAmount"),
        "tax_amount": amounts(sales, "totalTaxAmount"),
        "discount_before_taxes": amounts(sales, "totalDiscountAmountBeforeTaxes"),
        "discount_after_taxes": amounts(sales, "totalDiscountAmountAfterTaxes"),
    }
