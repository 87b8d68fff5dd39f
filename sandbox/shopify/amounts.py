"""The amounts that Shopify states about an order, out of its lines and refunds."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sandbox.shopify.agreements import agreements, charged
from sandbox.shopify.request import Field
from sandbox.shopify.shop import Document

# --- money -------------------------------------------------------------------------------------------------------


def bag(amount: Decimal | str, currency: str) -> dict[str, Any]:
    """A MoneyBag: the amount in the currency of the shop, which is also what the customer sees."""
    money = {"amount": amount if isinstance(amount, str) else f"{amount:f}", "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}


def _sum(values: Any) -> Decimal:
    return sum((Decimal(value) for value in values), Decimal(0))


def gross(order: Document) -> Decimal:
    """Quantity times price of all lines."""
    return sum((line["quantity"] * Decimal(line["unitPrice"]) for line in order["lineItems"]), Decimal(0))


def discounts(order: Document) -> Decimal:
    """Discounts of all lines and of the shipping."""
    return line_discounts(order) + Decimal(order.get("shippingDiscount", "0"))


def line_discounts(order: Document) -> Decimal:
    """Discounts of all lines."""
    return _sum(line["discount"] for line in order["lineItems"])


def tax(order: Document) -> Decimal:
    """Tax of all lines and of the shipping."""
    return _sum(line["tax"] for line in order["lineItems"]) + Decimal(order.get("shippingTax", "0"))


def refunded(refund: Document) -> Decimal:
    """What a refund, with its order, paid back in all."""
    return (
        _sum(line["subtotal"] for line in refund["lines"])
        + (Decimal(0) if refund["order"].get("taxesIncluded") else _sum(line["tax"] for line in refund["lines"]))
        + Decimal(refund["shipping"])
        + Decimal(refund.get("amount", "0"))  # paid back for neither
    )


def total(order: Document) -> Decimal:
    """What the customer was charged, edits included, before anything came back."""
    return charged(order, "ORDER", "ORDER_EDIT")


def tips(order: Document) -> Decimal:
    """What of it was a tip."""
    return sum(
        (sale["total"] for agreement in agreements(order) for sale in agreement["sales"] if sale["lineType"] == "TIP"),
        Decimal(0),
    )


def refunded_lines(order: Document, name: str) -> Decimal:
    """Sum of a measure of all refunded lines of an order."""
    return _sum(line[name] for refund in order["refunds"] for line in refund["lines"])


def _refunded_gross(order: Document) -> Decimal:
    prices = {line["id"]: Decimal(line["unitPrice"]) for line in order["lineItems"]}
    returned = (line for refund in order["refunds"] for line in refund["lines"])
    return sum((line["quantity"] * prices[line["lineItemId"]] for line in returned), Decimal(0))


def refunded_shipping(order: Document) -> Decimal:
    """Shipping paid back."""
    return _sum(refund["shipping"] for refund in order["refunds"])


def current_discounts(order: Document) -> Decimal:
    """What is left of the discounts: a returned piece takes its share along."""
    return discounts(order) - (_refunded_gross(order) - refunded_lines(order, "subtotal"))


def current_subtotal(order: Document) -> Decimal:
    """What is left of the goods after discounts and refunds."""
    return gross(order) - line_discounts(order) - refunded_lines(order, "subtotal")


def of_order(amount: Callable[[Document], Decimal]) -> Field:
    """A field of an order that is one of these amounts."""
    return lambda order, _, __: bag(amount(order), order["currencyCode"])


def shipping_lines(refund: Document) -> list[Document]:
    """A refund as its one shipping line, where it paid back shipping."""
    return [] if Decimal(refund["shipping"]) == 0 else [refund]


def refund_lines(refund: Document) -> list[Document]:
    """The lines of a refund, each with the line of the order it is of."""
    lines = {line["id"]: line for line in refund["order"]["lineItems"]}
    currency = refund["order"]["currencyCode"]
    return [{**line, "lineItem": lines[line["lineItemId"]], "currency": currency} for line in refund["lines"]]
