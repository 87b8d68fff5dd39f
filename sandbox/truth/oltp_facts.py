"""What of the sales counts: the rules the pipeline must apply, applied to the generator's own events.

An implementation of its own, on purpose: it shares no code and no SQL with the pipeline, and all arithmetic is on whole
ten-thousandths of a dollar.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sandbox.events.catalogue import CENT, Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import DAY, HOUR
from sandbox.events.versions import (
    CANCELLED,
    COMPLETED,
    NULL,
    PAID,
    PENDING,
    PHONE,
    SHIPPED,
    STORE,
    UNKNOWN,
    SalesVersions,
    latest,
    visible,
)
from sandbox.truth.facts import (
    OLTP,
    UNKNOWN_STORE,
    Facts,
    Mask,
    columns,
    is_null,
    local_times,
    negative,
    or_zero,
    split_off,
    sums_by,
)

STOCK_ADJUSTMENT, ORDER_DELETED = "stock_adjustment", "order_deleted"  # what makes no order wait and no hour bad

# -- store and phone sales ---------------------------------------------------------------------------------------------


def store_facts(catalogue: Catalogue, versions: SalesVersions, clock: int, intended: bool = False) -> Facts:
    """The store and phone sales as they stand before an instant.

    `intended` takes every line at the price it ought to have, which is what the stores' own tills know.
    """
    orders = columns(latest("orders", visible(versions.orders, clock)))
    lines = columns(latest("order_lines", visible(versions.order_lines, clock)))
    refunds = columns(latest("refunds", visible(versions.refunds, clock)))
    marked = ~is_null(orders["deleted_at"])
    gone = orders["order_id"][marked]
    orders = {name: values[~marked] for name, values in orders.items()}
    if intended:
        struck = lines["intended_price"] != lines["unit_price"]
        lines["unit_price"] = np.where(
            struck & negative(lines["unit_price"]), lines["intended_price"], lines["unit_price"]
        )

    order_rules = _order_rules(catalogue, orders)
    by_itself = ~np.logical_or.reduce(list(order_rules.values()))
    of_line, line_known = _positions(orders["order_id"], lines["order_id"])
    gross = or_zero(lines["quantity"]) * or_zero(lines["unit_price"])
    line_rules = _line_rules(lines, gross, line_known, ~by_itself[of_line], np.isin(lines["order_id"], gone))
    alone = ~np.logical_or.reduce(list(line_rules.values()))
    faulty = np.logical_or.reduce(
        [broken for rule, broken in line_rules.items() if rule not in (STOCK_ADJUSTMENT, ORDER_DELETED)]
    )
    whole = _whole_order_rules(orders, lines, of_line, line_known, alone, faulty)
    order_rules |= {rule: by_itself & broken for rule, broken in whole.items()}
    order_ok, bad_orders = split_off(order_rules, or_zero(orders["total_amount"]))
    counts = order_ok & (orders["status"] != CANCELLED) & (orders["is_test"] == 0)
    line_rules["order_quarantined"] |= alone & line_known & ~order_ok[of_line]
    line_ok, bad_lines = split_off(line_rules, gross)
    faulty |= alone & ~line_ok
    of_refund, refund_known = _positions(orders["order_id"], refunds["order_id"])
    refund_rules = _refund_rules(refunds, refund_known & ~order_ok[of_refund], np.isin(refunds["order_id"], gone))
    refund_ok, bad_refunds = split_off(refund_rules, or_zero(refunds["amount"]))

    accepted = np.flatnonzero(line_ok)
    accepted = accepted[counts[of_line[accepted]]]
    good, back = accepted[lines["quantity"][accepted] > 0], accepted[lines["quantity"][accepted] < 0]
    facts_of_orders = _order_facts(catalogue, orders, counts, of_line[good], {k: v[good] for k, v in lines.items()})
    facts_of_lines = _line_facts(facts_of_orders, orders, of_line[good], {k: v[good] for k, v in lines.items()})
    returned = _returned_facts(facts_of_orders, of_line[back], {k: v[back] for k, v in lines.items()})
    _take_back(facts_of_orders, orders, counts, of_line[back], returned, {k: v[back] for k, v in lines.items()})
    facts_of_refunds = _refund_facts(catalogue, orders, lines, counts, {k: v[refund_ok] for k, v in refunds.items()})
    facts_of_refunds = pd.concat([facts_of_refunds, returned], ignore_index=True)
    quarantined = {"oltp_orders": bad_orders, "oltp_order_lines": bad_lines, "oltp_refunds": bad_refunds}
    stated, changed = orders["ordered_at"], orders["updated_at"]
    believable = (stated >= catalogue.epoch) & (stated <= changed + DAY)  # NULL is before everything
    event_at = np.where(believable, stated, changed)
    hour = np.where(line_known, event_at[of_line], lines["updated_at"]) // HOUR
    hours = pd.DataFrame({"hour": hour, "lines": 1, "rejected": faulty.astype(np.int64)}).groupby("hour").sum()
    placed = {"hour": event_at // HOUR, "orders": 1, "rejected_orders": (~order_ok).astype(np.int64)}
    hours = hours.join(pd.DataFrame(placed).groupby("hour").sum(), how="outer").fillna(0).astype(np.int64)
    return Facts(facts_of_orders, facts_of_lines, facts_of_refunds, quarantined, hours)


def _order_rules(catalogue: Catalogue, orders: dict[str, Integers]) -> dict[str, Mask]:
    ordered_at = orders["ordered_at"]
    dated = ~is_null(ordered_at)
    amounts = [orders[f"{name}_amount"] for name in ("discount", "shipping")]
    return {
        "order_id_missing": is_null(orders["order_id"]),
        "ordered_at_missing": ~dated,
        "ordered_at_in_future": dated & (ordered_at > orders["updated_at"] + DAY),
        "ordered_at_before_history": dated & (ordered_at < catalogue.epoch),
        "store_id_missing": is_null(orders["store_id"]),
        "store_id_reserved": ~is_null(orders["store_id"]) & (orders["store_id"] <= 0),
        "channel_unknown": ~np.isin(orders["channel"], [STORE, PHONE]),
        "status_unknown": ~np.isin(orders["status"], [PENDING, PAID, SHIPPED, COMPLETED, CANCELLED]),
        "currency_foreign": orders["currency"] != 0,
        "amount_negative": np.logical_or.reduce([negative(amount) for amount in amounts]),
    }


def _line_rules(
    lines: dict[str, Integers], gross: Integers, known: Mask, order_bad: Mask, order_gone: Mask
) -> dict[str, Mask]:
    quantity, price, discount = lines["quantity"], lines["unit_price"], lines["discount_amount"]
    sold, back = quantity > 0, (quantity < 0) & ~is_null(quantity)
    priced = (price != NULL) & (price >= 0) & (sold | back)
    return {
        "key_missing": is_null(lines["order_id"]) | is_null(lines["line_number"]),
        "order_unknown": ~is_null(lines["order_id"]) & ~known & ~order_gone,
        ORDER_DELETED: order_gone,
        "order_quarantined": known & order_bad,
        "quantity_missing": is_null(quantity),
        STOCK_ADJUSTMENT: (quantity == 0) | (back & (price == 0)),
        "unit_price_missing": is_null(price),
        "unit_price_negative": negative(price),
        "discount_invalid": (sold & negative(discount)) | (priced & (np.abs(or_zero(discount)) > np.abs(gross))),
        "tax_negative": sold & negative(lines["tax_amount"]),
    }


def _whole_order_rules(
    orders: dict[str, Integers],
    lines: dict[str, Integers],
    of_line: Integers,
    known: Mask,
    accepted: Mask,
    faulty: Mask,
) -> dict[str, Mask]:
    """What an order breaks with its lines: a half order never counts as if it were whole."""
    count = len(orders["order_id"])

    def sums(values: Integers, chosen: Mask) -> Integers:
        return sums_by(of_line[chosen], values[chosen], count)

    def header(column: str, of_lines: Integers) -> Integers:
        stated = orders[column]
        return np.where(is_null(stated) | (stated == 0), of_lines, stated)

    quantity, value = lines["quantity"], or_zero(lines["quantity"]) * or_zero(lines["unit_price"])
    discount, tax = or_zero(lines["discount_amount"]), or_zero(lines["tax_amount"])
    ones = np.ones(len(quantity), dtype=np.int64)
    sold, back = known & accepted & (quantity > 0), known & accepted & (quantity < 0)
    returned = sums(np.abs(value) - np.abs(discount), back)
    taxes = sums(tax, sold) - sums(np.abs(tax), back)
    goods = sums(value, sold) - header("discount_amount", sums(discount, sold)) - returned
    parts = goods + header("tax_amount", taxes) + or_zero(orders["shipping_amount"])
    total, stated = or_zero(orders["total_amount"]), ~is_null(orders["total_amount"])
    gap = np.abs(total - parts)
    off = stated & (gap > 5 * CENT) & (gap * 100 > np.maximum(np.abs(total), np.abs(parts)))
    rejected = sums(ones, known & faulty) > 0
    has_lines = sums(ones, known) > 0
    beside_goods = or_zero(orders["tax_amount"]) + or_zero(orders["shipping_amount"])
    bare_gap = np.abs(total + or_zero(orders["discount_amount"]) - beside_goods)
    below_zero = negative(orders["tax_amount"]) | negative(orders["total_amount"])
    return {
        "line_quarantined": has_lines & rejected & (off | ~stated),
        "total_contradicts_lines": has_lines & ~rejected & off,
        "negative_without_return": has_lines & below_zero & (returned == 0),
        "lines_missing": ~has_lines & stated & (bare_gap > 5 * CENT),
    }


def _refund_rules(refunds: dict[str, Integers], order_bad: Mask, order_gone: Mask) -> dict[str, Mask]:
    refunded_at = refunds["refunded_at"]
    return {
        "refund_id_missing": is_null(refunds["refund_id"]),
        "refunded_at_missing": is_null(refunded_at),
        "refunded_at_in_future": ~is_null(refunded_at) & (refunded_at > refunds["updated_at"] + DAY),
        "amount_missing": is_null(refunds["amount"]),
        "amount_negative": negative(refunds["amount"]),
        "order_quarantined": order_bad,
        ORDER_DELETED: order_gone,
    }


def _positions(ids: Integers, wanted: Integers) -> tuple[Integers, Mask]:
    """Where each wanted id stands in `ids` (each there once, but for NULL), and whether it is there at all."""
    order = np.argsort(ids, kind="stable")
    if not len(ids):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    found = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    position = order[found]
    return position, (ids[position] == wanted) & (wanted != NULL)


def _order_facts(
    catalogue: Catalogue, orders: dict[str, Integers], counts: Mask, of_line: Integers, lines: dict[str, Integers]
) -> pd.DataFrame:
    """Orders that count, with the sums of their good lines; indexed by their position among all orders."""
    total = len(counts)

    def sums(values: Integers) -> Integers:
        return sums_by(of_line, values, total)[counts]

    def header(column: str) -> Integers:
        stated = orders[column][counts]
        return np.where(is_null(stated) | (stated == 0), sums(or_zero(lines[column])), stated)

    store_id = orders["store_id"][counts]
    return pd.DataFrame(
        {
            "source": OLTP,
            "order_id": orders["order_id"][counts],
            "customer_id": orders["customer_id"][counts],
            "store_id": store_id,
            "channel": orders["channel"][counts],
            "status": orders["status"][counts],
            "event_at": orders["ordered_at"][counts],
            "local": local_times(catalogue, store_id, orders["ordered_at"][counts]),
            "line_count": sums(np.ones(len(of_line), dtype=np.int64)),
            "units": sums(lines["quantity"]),
            "gross_sales": sums(lines["quantity"] * lines["unit_price"]),
            "discount_amount": header("discount_amount"),
            "tax_amount": header("tax_amount"),
            "shipping_amount": or_zero(orders["shipping_amount"][counts]),
            "total_amount": or_zero(orders["total_amount"][counts]),
        },
        index=np.flatnonzero(counts),
    )


def _returned_facts(order_facts: pd.DataFrame, of_line: Integers, lines: dict[str, Integers]) -> pd.DataFrame:
    """Goods given back on an order itself: refunds of that moment, whose tax stands with the order."""
    own = order_facts.loc[of_line]
    zeros = np.zeros(len(of_line), dtype=np.int64)
    paid = np.abs(lines["quantity"]) * lines["unit_price"] - np.abs(or_zero(lines["discount_amount"]))
    return pd.DataFrame(
        {
            "source": OLTP,
            "refund_id": lines["order_id"],
            "line_number": lines["line_number"],
            "order_id": lines["order_id"],
            "sku": lines["sku"],
            "store_id": own["store_id"].to_numpy(),
            "channel": own["channel"].to_numpy(),
            "event_at": own["event_at"].to_numpy(),
            "local": own["local"].to_numpy(),
            "quantity": np.abs(lines["quantity"]),
            "refund_amount": paid,
            "tax_amount": zeros,
            "shipping_amount": zeros,
        }
    )


def _take_back(
    order_facts: pd.DataFrame,
    orders: dict[str, Integers],
    counts: Mask,
    of_line: Integers,
    returned: pd.DataFrame,
    lines: dict[str, Integers],
) -> None:
    """Take what was given back on the orders into account: its value, and its tax where the header states none."""
    back = sums_by(of_line, returned["refund_amount"].to_numpy(), len(counts))[counts]
    tax = sums_by(of_line, np.abs(or_zero(lines["tax_amount"])), len(counts))[counts]
    stated = orders["tax_amount"][counts]
    order_facts["returned_amount"] = back
    order_facts["tax_amount"] -= np.where(is_null(stated) | (stated == 0), tax, 0)
    order_facts["is_order"] = ((order_facts["line_count"] > 0) | (back == 0)).astype(np.int64)


def _line_facts(
    order_facts: pd.DataFrame, orders: dict[str, Integers], of_line: Integers, lines: dict[str, Integers]
) -> pd.DataFrame:
    own = order_facts.loc[of_line]
    gross = lines["quantity"] * lines["unit_price"]
    return pd.DataFrame(
        {
            "source": OLTP,
            "order_id": lines["order_id"],
            "line_number": lines["line_number"],
            "sku": lines["sku"],
            "store_id": own["store_id"].to_numpy(),
            "channel": own["channel"].to_numpy(),
            "event_at": own["event_at"].to_numpy(),
            "local": own["local"].to_numpy(),
            "quantity": lines["quantity"],
            "unit_price": lines["unit_price"],
            "gross_sales": gross,
            "discount_amount": or_zero(lines["discount_amount"]),
            "tax_amount": or_zero(lines["tax_amount"]),
        }
    )


def _refund_facts(
    catalogue: Catalogue,
    orders: dict[str, Integers],
    lines: dict[str, Integers],
    counts: Mask,
    refunds: dict[str, Integers],
) -> pd.DataFrame:
    """Good refunds of orders that count, and those whose order nobody knows."""
    position, known = _positions(orders["order_id"], refunds["order_id"])
    chosen = ~known | counts[position]
    refunds = {name: values[chosen] for name, values in refunds.items()}
    position, known = position[chosen], known[chosen]
    store_id = np.where(known, orders["store_id"][position], UNKNOWN_STORE)
    zeros = np.zeros(len(store_id), dtype=np.int64)
    return pd.DataFrame(
        {
            "source": OLTP,
            "refund_id": refunds["refund_id"],
            "line_number": refunds["line_number"],
            "order_id": refunds["order_id"],
            "sku": _skus_of(lines, refunds),
            "store_id": store_id,
            "channel": np.where(known, orders["channel"][position], UNKNOWN),
            "event_at": refunds["refunded_at"],
            "local": local_times(catalogue, store_id, refunds["refunded_at"]),
            "quantity": refunds["quantity"],
            "refund_amount": refunds["amount"],
            "tax_amount": zeros,
            "shipping_amount": zeros,
        }
    )


def _skus_of(lines: dict[str, Integers], refunds: dict[str, Integers]) -> Integers:
    """Product of each refunded line; NULL without one."""
    keys = pd.MultiIndex.from_arrays([lines["order_id"], lines["line_number"]])
    first = ~keys.duplicated()
    found = keys[first].get_indexer(pd.MultiIndex.from_arrays([refunds["order_id"], refunds["line_number"]]))
    known = (found >= 0) & ~is_null(refunds["order_id"]) & ~is_null(refunds["line_number"])
    return np.where(known, lines["sku"][np.flatnonzero(first)[np.where(known, found, 0)]], NULL) if len(keys) else found
