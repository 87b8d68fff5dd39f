"""The sales ledger of an order as Shopify states it: what was agreed when, out of the order's document.

An order's own agreement has a sale for each line that was there when it was placed, one for its shipping and one for
each other charge. Then comes an agreement for every edit and every refund, in the order of their instants. A refund
reverses the value of what came back; what was paid beyond or below that is an adjustment. Amounts of a sale: total
after taxes and discounts, tax, discount before taxes and discount with its tax; a return is negative in all of them.

What a document may say beside its lines, shipping and refunds, all of it optional: `taxesIncluded` (prices, discounts
and shipping are with tax), `shippingTax`, `shippingDiscount`, `charges` (type, amount with tax, tax, currency), `edits`
(id, at, sales), `cashRounding`, `sourceName`, `retailLocation`; of a line `kind` (PRODUCT, GIFT_CARD, TIP),
`discountTax` (the tax within its discount), `addedBy` (the edit that added it); of a refund `amount` (paid beyond lines
and shipping), `shippingTax`. Sales of edits name their line, action, quantity and amounts themselves.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.shopify.shop import Document

SALES_AN_ORDER = 100_000  # ids of sales: so many for each order
TYPES = {
    "PRODUCT": "ProductSale",
    "GIFT_CARD": "GiftCardSale",
    "TIP": "TipSale",
    "SHIPPING": "ShippingLineSale",
    "DUTY": "DutySale",
    "FEE": "FeeSale",
    "ADDITIONAL_FEE": "AdditionalFeeSale",
    "ADJUSTMENT": "AdjustmentSale",
    "UNKNOWN": "UnknownSale",
}
ZERO = Decimal(0)


def agreements(order: Document) -> list[dict[str, Any]]:
    """All agreements of an order with their sales, as the API shows them; money is Decimal. Kept with the document."""
    if "ledger" not in order:
        order["ledger"] = _ledger(order)
    found: list[dict[str, Any]] = order["ledger"]
    return found


def _ledger(order: Document) -> list[dict[str, Any]]:
    placed = [*_line_sales(order), *_shipping_sales(order), *map(_charge_sale, order.get("charges", ()))]
    later = [_edit(order, edit) for edit in order.get("edits", ())]
    later += [_refund(order, refund) for refund in order["refunds"]]
    found = [_agreement("OrderAgreement", "ORDER", order["id"], order["processedAt"], placed)]
    found += sorted(later, key=lambda agreement: agreement["happenedAt"])
    number = order["id"] * SALES_AN_ORDER
    for agreement in found:
        for sale in agreement["sales"]:
            number += 1
            sale["id"], sale["currency"] = number, sale.get("currency", order["currencyCode"])
    return found


def charged(order: Document, *reasons: str) -> Decimal:
    """What the agreements of some reasons, or of all, come to."""
    return sum(
        (
            sale["total"]
            for agreement in agreements(order)
            for sale in agreement["sales"]
            if not reasons or agreement["reason"] in reasons
        ),
        ZERO,
    )


def _agreement(kind: str, reason: str, number: int, at: str, sales: list[Document]) -> dict[str, Any]:
    return {"__typename": kind, "id": number, "reason": reason, "happenedAt": at, "sales": sales}


def _sale(
    action: str, kind: str, quantity: int | None, total: Decimal, tax: Decimal, discount: Decimal, after: Decimal
) -> Document:
    return {
        "__typename": TYPES[kind],
        "actionType": action,
        "lineType": kind,
        "quantity": quantity,
        "total": total,
        "tax": tax,
        "discountBefore": discount,
        "discountAfter": after,
    }


def _line_sales(order: Document) -> list[Document]:
    return [_line_sale(order, line) for line in order["lineItems"] if "addedBy" not in line]


def _line_sale(order: Document, line: Document) -> Document:
    discount, tax = Decimal(line["discount"]), Decimal(line["tax"])
    total = line["quantity"] * Decimal(line["unitPrice"]) - discount
    of_discount = Decimal(line.get("discountTax", "0"))
    if order.get("taxesIncluded"):
        before, after = discount - of_discount, discount
    else:
        total, before, after = total + tax, discount, discount + of_discount
    sale = _sale("ORDER", line.get("kind", "PRODUCT"), line["quantity"], total, tax, before, after)
    return sale | {"lineItem": line}


def _shipping_sales(order: Document) -> list[Document]:
    price, tax = Decimal(order["shipping"]), Decimal(order.get("shippingTax", "0"))
    discount = Decimal(order.get("shippingDiscount", "0"))
    if not price and not discount:
        return []
    total = price - discount + (ZERO if order.get("taxesIncluded") else tax)
    return [_sale("ORDER", "SHIPPING", None, total, tax, discount, discount)]


def _charge_sale(charge: Document) -> Document:
    sale = _sale("ORDER", charge["type"], 1, Decimal(charge["amount"]), Decimal(charge.get("tax", "0")), ZERO, ZERO)
    return sale | ({"currency": charge["currency"]} if "currency" in charge else {})


def _edit(order: Document, edit: Document) -> dict[str, Any]:
    lines = {line["id"]: line for line in order["lineItems"]}
    sales = []
    for one in edit["sales"]:
        discount = Decimal(one.get("discount", "0"))
        total, tax = Decimal(one["total"]), Decimal(one["tax"])
        sale = _sale(one["action"], one["type"], one.get("quantity"), total, tax, discount, discount)
        sales.append(sale | ({"lineItem": lines[one["lineItemId"]]} if "lineItemId" in one else {}))
    return _agreement("OrderEditAgreement", "ORDER_EDIT", edit["id"], edit["at"], sales)


def _refund(order: Document, refund: Document) -> dict[str, Any]:
    lines = {line["id"]: line for line in order["lineItems"]}
    sales = []
    for back in refund["lines"]:
        line, tax, subtotal = lines[back["lineItemId"]], Decimal(back["tax"]), Decimal(back["subtotal"])
        share = Decimal(back["quantity"]) / line["quantity"] if line["quantity"] else ZERO
        discount = (Decimal(line["discount"]) - Decimal(line.get("discountTax", "0"))) * share
        discount = discount.quantize(Decimal("0.01"))
        total = -subtotal if order.get("taxesIncluded") else -subtotal - tax
        kind = line.get("kind", "PRODUCT")
        sale = _sale("RETURN", kind, -back["quantity"], total, -tax, -discount, -discount)
        sales.append(sale | {"lineItem": line})
    shipping, tax = Decimal(refund["shipping"]), Decimal(refund.get("shippingTax", "0"))
    if shipping:
        total = -shipping - (ZERO if order.get("taxesIncluded") else tax)
        sales.append(_sale("RETURN", "SHIPPING", None, total, -tax, ZERO, ZERO))
    if adjusted := Decimal(refund.get("amount", "0")):
        sales.append(_sale("RETURN", "ADJUSTMENT", None, -adjusted, ZERO, ZERO, ZERO))
    agreement = _agreement("RefundAgreement", "REFUND", refund["id"], refund["createdAt"], sales)
    return agreement | {"refund": {**refund, "order": order}}
