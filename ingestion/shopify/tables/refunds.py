"""Refunds of orders, as ``refunds``: a row for each line, and one for what was given back beyond them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INT, MONEY, TEXT, entity
from ingestion.shopify.client import SOURCE
from ingestion.shopify.tables.scalars import SUMMED, amounts, exact, ids, instants, part, raw_table, sums
from ingestion.shopify.tables.shapes import BAG, WHOLE, connection_of, record_of

_REFUND_LINE = record_of(
    id_=TEXT, quantity=WHOLE, lineItem=record_of(id=TEXT, sku_=TEXT), subtotalSet=BAG, totalTaxSet=BAG
)
_SHIPPING_LINE = record_of(subtotalAmountSet=BAG, taxAmountSet=BAG)
REFUND = record_of(
    id=TEXT,
    createdAt_=TEXT,
    note_=TEXT,
    totalRefundedSet=BAG,
    refundLineItems=connection_of(_REFUND_LINE),
    refundShippingLines=connection_of(_SHIPPING_LINE),
)


def refund_table(lists: pa.ListArray, order_ids: pa.Array, versions: pa.Array) -> pa.Table:
    """The refunds of each order as rows of ``refunds``.

    Args:
        lists: for each order its refunds, of the type ``REFUND``.
        order_ids: the orders.
        versions: when each of them was last changed.

    Raises:
        UnfitError: a refund does not fit the contract exactly.
    """
    refunds, of_order = lists.flatten(), lists.value_parent_indices()
    if not len(refunds):
        return pa.schema(entity(SOURCE, "refunds").columns).empty_table()
    given = {
        "order_id": order_ids.take(of_order),
        "order_updated_at": versions.take(of_order),
        "refund_id": ids(part(refunds, "id"), "Refund"),
        "note": part(refunds, "note"),
        "refunded_at": instants(part(refunds, "createdAt")),
    }
    lines = part(refunds, "refundLineItems", "nodes")
    of_refund, lines = lines.value_parent_indices(), lines.flatten()
    by_line = {name: values.take(of_refund) for name, values in given.items()} | {
        "refund_line_id": ids(part(lines, "id"), "RefundLineItem"),
        "line_item_id": ids(part(lines, "lineItem", "id"), "LineItem"),
        "sku": part(lines, "lineItem", "sku"),
        "quantity": exact(part(lines, "quantity"), INT),
        "subtotal_amount": amounts(lines, "subtotalSet"),
        "tax_amount": amounts(lines, "totalTaxSet"),
        "shipping_amount": pa.repeat(pa.scalar(0, MONEY), len(lines)),
    }
    beyond = _beyond_lines(refunds, lines, of_refund)
    without_line = {name: values.filter(beyond["has_any"]) for name, values in given.items()} | {
        name: values.filter(beyond["has_any"]) for name, values in beyond.items() if name != "has_any"
    }
    none = {
        column.name: pa.nulls(len(without_line["refund_id"]), column.type)
        for column in entity(SOURCE, "refunds").columns
        if column.name not in without_line
    }
    return pa.concat_tables([raw_table("refunds", by_line), raw_table("refunds", without_line | none)])


def _beyond_lines(refunds: pa.StructArray, lines: pa.StructArray, of_refund: pa.Array) -> dict[str, pa.Array]:
    """What each refund gives back beyond its lines, and whether that is anything.

    Money that was paid back (``totalRefundedSet``) and that neither lines nor shipping explain is a free amount. Less
    money than they say is none: the goods came back all the same (an order that was never paid, a fee that was kept).
    """
    shipping = part(refunds, "refundShippingLines", "nodes")
    of_shipping, shipping = shipping.value_parent_indices(), shipping.flatten()
    ships = amounts(shipping, "subtotalAmountSet", kind=SUMMED)
    ship_taxes = amounts(shipping, "taxAmountSet", kind=SUMMED)
    explained = [amounts(lines, name, kind=SUMMED) for name in ("subtotalSet", "totalTaxSet")] + [ships, ship_taxes]
    paid = amounts(refunds, "totalRefundedSet", kind=SUMMED)
    owners = [pa.array(np.arange(len(refunds))), *([of_refund] * 2), *([of_shipping] * 2)]
    free = sums(
        pa.concat_arrays([paid, *(pc.negate(values) for values in explained)]),
        pa.concat_arrays([owner.cast(INT) for owner in owners]),
        len(refunds),
    )
    zero = pa.scalar(0, free.type)
    found = {
        "subtotal_amount": pc.if_else(pc.greater(free, zero), free, zero),
        "tax_amount": sums(ship_taxes, of_shipping, len(refunds)),
        "shipping_amount": sums(ships, of_shipping, len(refunds)),
    }
    has_any = pa.repeat(pa.scalar(False), len(refunds))
    for values in found.values():
        has_any = pc.or_(has_any, pc.not_equal(values, zero))
    return {name: exact(values, MONEY) for name, values in found.items()} | {"has_any": has_any}
