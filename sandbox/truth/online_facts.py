"""The facts of the online shop, out of its events."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sandbox.events.catalogue import Catalogue
from sandbox.events.draws import Integers
from sandbox.events.online_documents import financial_status, fulfillment_status
from sandbox.events.online_sales import OnlineDay
from sandbox.events.points_of_sale import POS_STORES
from sandbox.events.versions import (
    COMPLETED,
    NULL,
    ONLINE,
    PAID,
    PENDING,
    POS,
    SHIPPED,
    STORE,
)
from sandbox.truth.facts import ONLINE_STORE, SHOPIFY, Facts, columns, local_times, split_off, sums_by

# -- online sales ------------------------------------------------------------------------------------------------------


def online_facts(catalogue: Catalogue, days: list[OnlineDay], clock: int) -> Facts:
    """The online sales as they stand before an instant."""
    parts = [_online_day_facts(catalogue, day, clock) for day in days]
    orders, lines, refunds = (pd.concat([part[n] for part in parts], ignore_index=True) for n in range(3))
    quarantined = {}
    for entity in ("orders", "order_lines", "refunds"):
        rows = [part[3][entity].assign(row=part[3][entity]["row"] + n * 10**9) for n, part in enumerate(parts)]
        quarantined[f"shopify_{entity}"] = pd.concat(rows, ignore_index=True)
    return Facts(orders, lines, refunds, quarantined, pd.DataFrame({"lines": [], "rejected": []}))


def _online_day_facts(
    catalogue: Catalogue, day: OnlineDay, clock: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, pd.DataFrame]]:
    orders, lines, refunds = columns(day.orders), columns(day.lines), columns(day.refunds)
    there = (orders["created_at"] < clock) & (orders["deleted_at"] >= clock)
    of_line, of_refund = lines["position"], refunds["position"]
    with_order, done = lines["added_at"] == NULL, (refunds["created_at"] < clock) & there[of_refund]
    shown = there[of_line] & (lines["added_at"] < clock)  # NULL is before everything
    gross = lines["quantity"] * lines["unit_price"]
    of_placed = of_line[with_order]
    net = sums_by(of_placed, (gross - lines["discount"] + lines["tax"])[with_order], len(there))
    shipping = orders["shipping"] - orders["shipping_discount"]
    total = net + shipping + orders["tip"] + orders["gift_card"] + orders["duty"]

    order_rules = {
        "currency_foreign": there & (orders["currency"] != 0),
        "ordered_at_before_history": there & (orders["processed_at"] < catalogue.epoch),
    }
    order_ok, bad_orders = split_off(order_rules, total)
    counts = there & order_ok & (orders["cancelled_at"] >= clock) & (orders["is_test"] == 0)
    line_rules = {
        "order_quarantined": shown & ~order_ok[of_line],
        "quantity_not_positive": shown & (lines["quantity"] <= 0),
    }
    line_ok, bad_lines = split_off(line_rules, gross)
    refund_rules = {
        "amount_negative": done & (refunds["subtotal"] < 0),
        "order_quarantined": done & ~order_ok[of_refund],
    }
    refund_ok, bad_refunds = split_off(refund_rules, refunds["subtotal"])

    good = line_ok & counts[of_line] & shown
    placed = good & with_order
    store_id, channel = _places(orders["location"])
    order_columns = {
        "source": SHOPIFY,
        "is_order": np.ones(len(there), dtype=np.int64),
        "order_id": orders["order_id"],
        "customer_id": orders["customer_id"],
        "store_id": store_id,
        "channel": channel,
        "status": _online_status(day, clock),
        "event_at": orders["processed_at"],
        "local": local_times(catalogue, store_id, orders["processed_at"]),
        "line_count": sums_by(of_line[placed], np.ones(int(placed.sum()), dtype=np.int64), len(there)),
        "units": sums_by(of_line[placed], lines["quantity"][placed], len(there)),
        "gross_sales": sums_by(of_line[placed], gross[placed], len(there)),
        "discount_amount": sums_by(of_placed, lines["discount"][with_order], len(there)),
        "returned_amount": np.zeros(len(there), dtype=np.int64),
        "tax_amount": sums_by(of_placed, lines["tax"][with_order], len(there)),
        "shipping_amount": shipping,
        "duties_amount": orders["duty"],
        "tips_amount": orders["tip"],
        "gift_cards_amount": orders["gift_card"],
        "total_amount": total,
    }
    sold_at = np.where(with_order, orders["processed_at"][of_line], lines["added_at"])
    line_columns = {
        "source": SHOPIFY,
        "order_id": orders["order_id"][of_line],
        "line_number": lines["line_id"],
        "sku": lines["product"],
        "store_id": store_id[of_line],
        "channel": channel[of_line],
        "event_at": sold_at,
        "local": local_times(catalogue, store_id[of_line], sold_at),
        "added": (~with_order).astype(np.int64),
        "quantity": lines["quantity"],
        "unit_price": lines["unit_price"],
        "gross_sales": gross,
        "discount_amount": lines["discount"],
        "tax_amount": lines["tax"],
    }
    has_line = refunds["line"] != NULL
    line = np.where(has_line, refunds["line"], 0)
    refund_columns = {
        "source": SHOPIFY,
        "refund_id": refunds["refund_id"],
        "line_number": np.where(has_line, lines["line_id"][line], NULL),
        "order_id": orders["order_id"][of_refund],
        "sku": np.where(has_line, lines["product"][line], NULL),
        "store_id": store_id[of_refund],
        "channel": channel[of_refund],
        "event_at": refunds["created_at"],
        "local": local_times(catalogue, store_id[of_refund], refunds["created_at"]),
        "quantity": refunds["quantity"],
        "refund_amount": refunds["subtotal"] + refunds["adjustment"],
        "adjustment_amount": refunds["adjustment"],
        "tax_amount": refunds["tax"],
        "shipping_amount": refunds["shipping"],
    }
    kept_refunds = refund_ok & done & counts[of_refund]
    return (
        pd.DataFrame(order_columns)[counts],
        pd.DataFrame(line_columns)[good],
        pd.DataFrame(refund_columns)[kept_refunds],
        {"orders": bad_orders, "order_lines": bad_lines, "refunds": bad_refunds},
    )


def _places(location: Integers) -> tuple[Integers, Integers]:
    """Store and channel of every order: those of the store that a location of Shopify POS stands for, if it does."""
    store_id, channel = np.full(len(location), ONLINE_STORE), np.full(len(location), ONLINE)
    for number, store in POS_STORES.items():
        here = location == number
        store_id[here] = store or ONLINE_STORE
        channel[here] = STORE if store else POS
    return store_id, channel


def _online_status(day: OnlineDay, clock: int) -> Integers:
    """order_status of every order: what its payment says, unless its delivery says more."""
    paid = np.where(financial_status(day.orders, day.refunds, day.lines, clock) < 2, PENDING, PAID)
    fulfilled = fulfillment_status(day.orders, clock)
    return np.where(fulfilled == 3, COMPLETED, np.where(fulfilled > 0, SHIPPED, paid))
