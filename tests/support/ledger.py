"""The sales ledger of online orders as raw rows, for tests that state orders by their headers, lines and refunds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]
NONE = Decimal(0)


def sales_of(orders: Iterable[Row], lines: Iterable[Row], refunds: Iterable[Row] = ()) -> list[dict[str, Any]]:
    """Rows of ``raw.shopify_sales``: what each order was placed with, its shipping, and what came back.

    The tax of an order that its lines do not state is that of its shipping. Prices are without tax.
    """
    placed = list(orders)
    found = [_line(line) for line in lines]
    for order in placed:
        taxes = sum((sale["tax_amount"] for sale in found if sale["order_id"] == order["order_id"]), NONE)
        tax = (order.get("tax_amount") or NONE) - taxes
        shipping = order.get("shipping_amount") or NONE
        if shipping or tax:
            about = {"order_id": order["order_id"], "order_updated_at": order["updated_at"]} | _load(order)
            found.append(about | _sale(5, "ORDER", "SHIPPING", shipping + tax, tax))
    instants = {order["order_id"]: order.get("processed_at") or order.get("created_at") for order in placed}
    for sale in found:
        sale |= {"agreement_id": sale["order_id"], "reason": "ORDER", "happened_at": instants.get(sale["order_id"])}
    sales = found + [sale for number, refund in enumerate(refunds, 100) for sale in _refund(number, refund)]
    columns = dict.fromkeys(name for sale in sales for name in sale)
    return [{name: sale.get(name) for name in columns} for sale in sales]


def _line(line: Row) -> dict[str, Any]:
    quantity, price = line.get("quantity") or 0, line.get("unit_price") or NONE
    discount, tax = line.get("discount_amount") or NONE, line.get("tax_amount") or NONE
    about = {name: line[name] for name in ("order_id", "order_updated_at", "line_item_id")}
    sale = _sale(line["line_item_id"], "ORDER", "PRODUCT", quantity * price - discount + tax, tax)
    about |= {"sku": line.get("sku"), "quantity": line.get("quantity"), "discount_before_taxes": discount}
    return sale | about | _load(line)


def _refund(number: int, refund: Row) -> list[dict[str, Any]]:
    about = {name: refund[name] for name in ("order_id", "order_updated_at", "refund_id")} | _load(refund)
    about |= {"agreement_id": refund["refund_id"], "reason": "REFUND", "happened_at": refund["refunded_at"]}
    value, tax = refund.get("subtotal_amount") or NONE, refund.get("tax_amount") or NONE
    if refund.get("line_item_id") is None:
        sold = _sale(number, "RETURN", "SHIPPING", -(refund.get("shipping_amount") or NONE) - tax, -tax)
        more = [about | _sale(number + 1000, "RETURN", "ADJUSTMENT", -value, NONE)] if value else []
        return [about | sold, *more]
    goods = {name: refund.get(name) for name in ("line_item_id", "sku")} | {"quantity": -refund["quantity"]}
    return [about | _sale(number, "RETURN", "PRODUCT", -value - tax, -tax) | goods]


def _sale(number: int, action: str, kind: str, total: Decimal, tax: Decimal) -> dict[str, Any]:
    return {
        "sale_id": number,
        "action_type": action,
        "line_type": kind,
        "currency": None,
        "total_amount": total,
        "tax_amount": tax,
        "discount_before_taxes": NONE,
        "discount_after_taxes": NONE,
    }


def _load(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("_loaded_at", "_dlt_load_id") if name in row}
