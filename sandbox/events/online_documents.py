"""Online orders and products as the shop's API shows them, at an instant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sandbox.events.catalogue import Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import iso
from sandbox.events.online_sales import FIRST_ORDER, FIRST_PRODUCT, FIRST_VARIANT, UNTITLED, OnlineDay
from sandbox.events.online_stock import FIRST_INVENTORY_ITEM, second_item, shared_product
from sandbox.events.versions import NULL

FINANCIAL = ("PENDING", "AUTHORIZED", "PAID", "PARTIALLY_REFUNDED", "REFUNDED", "VOIDED")
FULFILLMENT = ("UNFULFILLED", "IN_PROGRESS", "PARTIALLY_FULFILLED", "FULFILLED")
CURRENCIES = ("USD", "CAD")


def financial_status(orders: pd.DataFrame, refunds: pd.DataFrame, lines: pd.DataFrame, clock: int) -> Integers:
    """Index into FINANCIAL of every order as it stands before an instant."""
    status = np.where(orders["paid_at"].to_numpy() < clock, 2, orders["first_status"].to_numpy())
    sold, returned = np.zeros(len(orders), dtype=np.int64), np.zeros(len(orders), dtype=np.int64)
    np.add.at(sold, lines["position"].to_numpy(), lines["quantity"].to_numpy())
    done = refunds[(refunds["created_at"].to_numpy() < clock)]
    pieces = np.where(done["quantity"].to_numpy() == NULL, 0, done["quantity"].to_numpy())
    np.add.at(returned, done["position"].to_numpy(), pieces)
    status = np.where(returned > 0, np.where(returned >= sold, 4, 3), status)
    voided = (orders["cancelled_at"].to_numpy() < clock) & (returned == 0)
    return np.where(voided, 5, status)


def fulfillment_status(orders: pd.DataFrame, clock: int) -> Integers:
    """Index into FULFILLMENT of every order as it stands before an instant."""
    started = orders["started_at"].to_numpy() < clock
    status = np.where(started, 1 + orders["partly"].to_numpy(), 0)
    return np.where(orders["fulfilled_at"].to_numpy() < clock, 3, status)


def order_documents(catalogue: Catalogue, day: OnlineDay, positions: Integers, clock: int) -> list[dict[str, Any]]:
    """The shop's documents of some orders of a day as they stand before an instant."""
    financial = financial_status(day.orders, day.refunds, day.lines, clock)
    fulfillment = fulfillment_status(day.orders, clock)
    refunds_by_order: dict[int, list[dict[str, int]]] = {}
    wanted = np.isin(day.refunds["position"].to_numpy(), positions) & (day.refunds["created_at"].to_numpy() < clock)
    for row in day.refunds[wanted].to_dict("records"):
        refunds_by_order.setdefault(row["position"], []).append(row)
    line_position = day.lines["position"].to_numpy()
    first = np.searchsorted(line_position, positions, side="left").tolist()
    end = np.searchsorted(line_position, positions, side="right").tolist()
    orders = day.orders.iloc[positions].to_dict("records")
    lines = day.lines.to_dict("list")
    return [
        _order_document(order, FINANCIAL[financial[position]], FULFILLMENT[fulfillment[position]], clock)
        | {
            "updatedAt": iso(_last_change(order, refunds_by_order.get(position, []), clock)),
            "lineItems": [
                *_line_documents(
                    catalogue, order, lines, range(start, stop), refunds_by_order.get(position, []), clock
                ),
                *_charged_lines(order),
            ],
            "refunds": _refund_documents(order, lines, refunds_by_order.get(position, [])),
            "edits": _edit_documents(lines, range(start, stop), refunds_by_order.get(position, [])),
        }
        for position, order, start, stop in zip(positions.tolist(), orders, first, end, strict=True)
    ]


def _last_change(order: dict[str, int], refunds: list[dict[str, int]], clock: int) -> int:
    moments = [order[column] for column in ("created_at", "paid_at", "started_at", "fulfilled_at", "cancelled_at")]
    return max(moment for moment in [*moments, *(refund["created_at"] for refund in refunds)] if moment < clock)


def _order_document(order: dict[str, int], financial: str, fulfillment: str, clock: int) -> dict[str, Any]:
    cancelled = order["cancelled_at"] < clock
    return {
        "id": order["order_id"],
        "name": f"#{order['order_id'] - FIRST_ORDER + 1001}",
        "createdAt": iso(order["created_at"]),
        "processedAt": iso(order["processed_at"]),
        "cancelledAt": iso(order["cancelled_at"]) if cancelled else None,
        "cancelReason": "CUSTOMER" if cancelled else None,
        "test": bool(order["is_test"]),
        "currencyCode": CURRENCIES[order["currency"]],
        "customerId": None if order["customer_id"] == NULL else order["customer_id"],
        "displayFinancialStatus": financial,
        "displayFulfillmentStatus": fulfillment,
        "shipping": money(order["shipping"]),
        "shippingDiscount": money(order["shipping_discount"]),
        "taxesIncluded": bool(order["included"]),
        **_place(order["location"]),
        "charges": [{"type": "DUTY", "amount": money(order["duty"])}] if order["duty"] else [],
    }


def _place(location: int) -> dict[str, Any]:
    """Where an order was rung up, if not in the online shop."""
    if not location:
        return {}
    return {"sourceName": "pos", "retailLocation": {"id": location, "name": f"Counter {location}"}}


def _charged_lines(order: dict[str, int]) -> list[dict[str, Any]]:
    """A gift card and a tip are lines of an order, too."""
    nothing = {"productId": None, "variantId": None, "sku": None, "discount": "0.00", "tax": "0.00"}
    return [
        {"id": order["order_id"] * 10 + place, "kind": kind, "title": kind.capitalize(), "quantity": 1}
        | {"currentQuantity": 1, "unitPrice": money(order[name])}
        | nothing
        for place, (name, kind) in enumerate((("gift_card", "GIFT_CARD"), ("tip", "TIP")))
        if order[name]
    ]


def _edit_documents(lines: dict[str, list[int]], rows: range, refunds: list[dict[str, int]]) -> list[dict[str, Any]]:
    """An edit as its sales: what it took off, and the lines it added."""
    documents = []
    for taken in (row for row in refunds if row["edit"]):
        value, tax = -taken["subtotal"], -taken["tax"]
        off = {"action": "RETURN", "type": "PRODUCT", "lineItemId": lines["line_id"][taken["line"]]}
        sales = [off | {"quantity": -1, "total": money(value + tax), "tax": money(tax)}]
        for row in (row for row in rows if lines["added_at"][row] == taken["created_at"]):
            total = lines["quantity"][row] * lines["unit_price"][row] + lines["tax"][row]
            on = {"action": "ORDER", "type": "PRODUCT", "lineItemId": lines["line_id"][row]}
            sales.append(
                on | {"quantity": lines["quantity"][row], "total": money(total), "tax": money(lines["tax"][row])}
            )
        documents.append({"id": taken["refund_id"], "at": iso(taken["created_at"]), "sales": sales})
    return documents


def _line_documents(
    catalogue: Catalogue,
    order: dict[str, int],
    lines: dict[str, list[int]],
    rows: range,
    refunds: list[dict[str, int]],
    clock: int,
) -> list[dict[str, Any]]:
    documents = []
    for row in rows:
        if lines["added_at"][row] >= clock:
            continue
        product, quantity = lines["product"][row], lines["quantity"][row]
        back = sum(refund["quantity"] for refund in refunds if refund["line"] == row)
        documents.append(
            {
                "id": lines["line_id"][row],
                "productId": None if product == UNTITLED else FIRST_PRODUCT + product,
                "variantId": None if product == UNTITLED else FIRST_VARIANT + product,
                "sku": None if product == UNTITLED else catalogue.skus[product],
                "title": "Gift note" if product == UNTITLED else catalogue.product_name(product),
                "quantity": quantity,
                "currentQuantity": max(0, quantity - back),
                "unitPrice": money(lines["unit_price"][row] + (lines["tax"][row] if order["included"] else 0)),
                "discount": money(lines["discount"][row]),
                "tax": money(lines["tax"][row]),
            }
            | ({} if lines["added_at"][row] == NULL else {"addedBy": "an edit"})
        )
    return documents


def _refund_documents(
    order: dict[str, int], lines: dict[str, list[int]], rows: list[dict[str, int]]
) -> list[dict[str, Any]]:
    documents: dict[int, dict[str, Any]] = {}
    for row in (row for row in rows if not row["edit"]):
        refund = documents.setdefault(
            row["refund_id"],
            {
                "id": row["refund_id"],
                "createdAt": iso(row["created_at"]),
                "note": None,
                "lines": [],
                "shipping": "0.00",
            },
        )
        if row["adjustment"]:
            refund["amount"] = money(row["adjustment"])
        if row["line"] == NULL:
            refund["shipping"] = money(row["shipping"])
        else:
            refund["lines"].append(
                {
                    "id": row["refund_line_id"],
                    "lineItemId": lines["line_id"][row["line"]],
                    "quantity": row["quantity"],
                    # As prices are stated, so are the subtotals of what comes back: with their tax, or without it.
                    "subtotal": money(row["subtotal"] + (row["tax"] if order["included"] else 0)),
                    "tax": money(row["tax"]),
                }
            )
    return list(documents.values())


def money(amount: int) -> str:
    """Ten-thousandths as a decimal string: two digits after the point, four where they are needed."""
    sign, (whole, rest) = "-" if amount < 0 else "", divmod(abs(int(amount)), 10_000)
    return f"{sign}{whole}.{rest // 100:02d}" if rest % 100 == 0 else f"{sign}{whole}.{rest:04d}"


# -- products and stock of the online location -------------------------------------------------------------------------


def product_documents(catalogue: Catalogue, products: Integers, day: int, updated_at: Integers) -> list[dict[str, Any]]:
    """The shop's documents of some products with their prices of a day; one has two variants with one sku."""
    prices, costs = catalogue.list_prices(day), catalogue.unit_costs()
    shared = shared_product(catalogue)
    return [
        {
            "id": FIRST_PRODUCT + product,
            "title": catalogue.product_name(product),
            "vendor": catalogue.product_brand(product),
            "productType": catalogue.product_category(product),
            "status": "ACTIVE",
            "createdAt": iso(catalogue.first_listed_at(product)),
            "updatedAt": iso(moment),
            "variants": [
                {
                    "id": FIRST_VARIANT + item,
                    "sku": catalogue.skus[product],
                    "title": "Default Title",
                    "price": money(int(prices[product])),
                    "cost": money(int(costs[product])),
                    "inventoryItemId": FIRST_INVENTORY_ITEM + item,
                    "updatedAt": iso(moment),
                }
                for item in ([product, second_item(catalogue)] if product == shared else [product])
            ],
        }
        for product, moment in zip(products.tolist(), updated_at.tolist(), strict=True)
    ]
