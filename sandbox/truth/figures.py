"""What of the sales counts: the rules the pipeline must apply, applied to the generator's own events.

An implementation of its own, on purpose: it shares no code and no SQL with the pipeline, and all arithmetic is on whole
ten-thousandths of a dollar.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sandbox.events.catalogue import COMPANY_ZONE, Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import DAY, HOUR, to_local
from sandbox.events.online_sales import UNTITLED, OnlineDay, financial_status, fulfillment_status
from sandbox.events.versions import (
    CANCELLED,
    COMPLETED,
    NULL,
    ONLINE,
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

Mask = NDArray[np.bool_]
OLTP, SHOPIFY = 0, 1
SOURCES = ("oltp", "shopify")
ONLINE_STORE, UNKNOWN_STORE = 0, -1
GATE_SHARE, GATE_LEAST_LINES = 20, 20  # percent of an hour's lines; fewer rejected lines close no hour
MEASURES = ["orders", "units", "gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "total_sales"]


@dataclass
class Facts:
    """Orders, lines and refunds that count, and what the rules split off.

    `local` is the wall clock of the store. `quarantined` lists by entity the rows split off, one row each rule they
    break, with columns row (a number that tells rows apart), rule and money. `hours` has the lines and rejected lines
    of each UTC hour of the OLTP.
    """

    orders: pd.DataFrame
    lines: pd.DataFrame
    refunds: pd.DataFrame
    quarantined: dict[str, pd.DataFrame]
    hours: pd.DataFrame

    def blocked_hours(self) -> list[int]:
        """UTC hours (since 1970) in which too many OLTP lines are rejected for the gate to let them through."""
        share = self.hours["rejected"] * 100 > self.hours["lines"] * GATE_SHARE
        return [int(hour) for hour in self.hours.index[share & (self.hours["rejected"] >= GATE_LEAST_LINES)]]

    def without(self, source: int, hours: list[int]) -> Facts:
        """The same facts but for what happened in some UTC hours in one source."""

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[~((frame["source"] == source) & np.isin(frame["event_at"] // HOUR, hours))]

        orders, lines, refunds = kept(self.orders), kept(self.lines), kept(self.refunds)
        return replace(self, orders=orders, lines=lines, refunds=refunds)

    def with_other(self, other: Facts) -> Facts:
        """Two sources in one."""
        return Facts(
            orders=pd.concat([self.orders, other.orders], ignore_index=True),
            lines=pd.concat([self.lines, other.lines], ignore_index=True),
            refunds=pd.concat([self.refunds, other.refunds], ignore_index=True),
            quarantined=self.quarantined | other.quarantined,
            hours=self.hours,
        )


def _is_null(values: Integers) -> Mask:
    null: Mask = values == NULL
    return null


def _negative(values: Integers) -> Mask:
    negative: Mask = (values < 0) & (values != NULL)
    return negative


def _or_zero(values: Integers) -> Integers:
    return np.where(values == NULL, 0, values)


def _split_off(rules: dict[str, Mask], money: Integers) -> tuple[Mask, pd.DataFrame]:
    """Which rows break no rule, and a row for each rule each of the others breaks."""
    bad = np.zeros(len(money), dtype=bool)
    parts = []
    for rule, broken in rules.items():
        bad |= broken
        rows = np.flatnonzero(broken)
        parts.append(pd.DataFrame({"row": rows, "rule": rule, "money": money[rows]}))
    return ~bad, pd.concat(parts, ignore_index=True)


def _sums_by(position: Integers, values: Integers, count: int) -> Integers:
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, position, values)
    return sums


def _columns(frame: pd.DataFrame) -> dict[str, Integers]:
    return {str(name): frame[name].to_numpy() for name in frame.columns}


# -- store and phone sales ---------------------------------------------------------------------------------------------


def store_facts(catalogue: Catalogue, versions: SalesVersions, clock: int, intended: bool = False) -> Facts:
    """The store and phone sales as they stand before an instant.

    `intended` takes every line at the price it ought to have, which is what the stores' own tills know.
    """
    orders = _columns(latest("orders", visible(versions.orders, clock)))
    lines = _columns(latest("order_lines", visible(versions.order_lines, clock)))
    refunds = _columns(latest("refunds", visible(versions.refunds, clock)))
    if intended:
        struck = lines["intended_price"] != lines["unit_price"]
        lines["unit_price"] = np.where(
            struck & _negative(lines["unit_price"]), lines["intended_price"], lines["unit_price"]
        )

    order_ok, bad_orders = _split_off(_order_rules(catalogue, orders), _or_zero(orders["total_amount"]))
    counts = order_ok & (orders["status"] != CANCELLED) & (orders["is_test"] == 0)
    of_line, line_known = _positions(orders["order_id"], lines["order_id"])
    gross = _or_zero(lines["quantity"]) * _or_zero(lines["unit_price"])
    line_ok, bad_lines = _split_off(_line_rules(lines, gross, line_known, ~order_ok[of_line]), gross)
    of_refund, refund_known = _positions(orders["order_id"], refunds["order_id"])
    refund_rules = _refund_rules(refunds, refund_known & ~order_ok[of_refund])
    refund_ok, bad_refunds = _split_off(refund_rules, _or_zero(refunds["amount"]))

    good = np.flatnonzero(line_ok)
    good = good[counts[of_line[good]]]
    facts_of_orders = _order_facts(catalogue, orders, counts, of_line[good], {k: v[good] for k, v in lines.items()})
    facts_of_lines = _line_facts(facts_of_orders, orders, of_line[good], {k: v[good] for k, v in lines.items()})
    facts_of_refunds = _refund_facts(catalogue, orders, lines, counts, {k: v[refund_ok] for k, v in refunds.items()})
    quarantined = {"oltp_orders": bad_orders, "oltp_order_lines": bad_lines, "oltp_refunds": bad_refunds}
    stated, changed = orders["ordered_at"], orders["updated_at"]
    believable = (stated >= catalogue.epoch) & (stated <= changed + DAY)  # NULL is before everything
    event_at = np.where(believable, stated, changed)
    hour = np.where(line_known, event_at[of_line], lines["updated_at"]) // HOUR
    hours = pd.DataFrame({"hour": hour, "lines": 1, "rejected": (~line_ok).astype(np.int64)}).groupby("hour").sum()
    return Facts(facts_of_orders, facts_of_lines, facts_of_refunds, quarantined, hours)


def _order_rules(catalogue: Catalogue, orders: dict[str, Integers]) -> dict[str, Mask]:
    ordered_at = orders["ordered_at"]
    dated = ~_is_null(ordered_at)
    amounts = [orders[f"{name}_amount"] for name in ("discount", "tax", "shipping", "total")]
    return {
        "order_id_missing": _is_null(orders["order_id"]),
        "ordered_at_missing": ~dated,
        "ordered_at_in_future": dated & (ordered_at > orders["updated_at"] + DAY),
        "ordered_at_before_history": dated & (ordered_at < catalogue.epoch),
        "store_id_missing": _is_null(orders["store_id"]),
        "store_id_reserved": ~_is_null(orders["store_id"]) & (orders["store_id"] <= 0),
        "channel_unknown": ~np.isin(orders["channel"], [STORE, PHONE]),
        "status_unknown": ~np.isin(orders["status"], [PENDING, PAID, SHIPPED, COMPLETED, CANCELLED]),
        "currency_foreign": orders["currency"] != 0,
        "amount_negative": np.logical_or.reduce([_negative(amount) for amount in amounts]),
    }


def _line_rules(lines: dict[str, Integers], gross: Integers, known: Mask, order_bad: Mask) -> dict[str, Mask]:
    quantity, price, discount = lines["quantity"], lines["unit_price"], lines["discount_amount"]
    priced = (price != NULL) & (price >= 0) & (quantity > 0)
    return {
        "key_missing": _is_null(lines["order_id"]) | _is_null(lines["line_number"]),
        "order_unknown": ~_is_null(lines["order_id"]) & ~known,
        "order_quarantined": known & order_bad,
        "sku_missing": _is_null(lines["sku"]),
        "quantity_not_positive": quantity <= 0,  # NULL is the smallest of all numbers
        "unit_price_missing": _is_null(price),
        "unit_price_negative": _negative(price),
        "discount_invalid": _negative(discount) | (priced & (discount > gross)),
        "tax_negative": _negative(lines["tax_amount"]),
    }


def _refund_rules(refunds: dict[str, Integers], order_bad: Mask) -> dict[str, Mask]:
    refunded_at = refunds["refunded_at"]
    return {
        "refund_id_missing": _is_null(refunds["refund_id"]),
        "refunded_at_missing": _is_null(refunded_at),
        "refunded_at_in_future": ~_is_null(refunded_at) & (refunded_at > refunds["updated_at"] + DAY),
        "amount_missing": _is_null(refunds["amount"]),
        "amount_negative": _negative(refunds["amount"]),
        "order_quarantined": order_bad,
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
        return _sums_by(of_line, values, total)[counts]

    def header(column: str) -> Integers:
        stated = orders[column][counts]
        return np.where(_is_null(stated) | (stated == 0), sums(_or_zero(lines[column])), stated)

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
            "shipping_amount": _or_zero(orders["shipping_amount"][counts]),
            "total_amount": _or_zero(orders["total_amount"][counts]),
        },
        index=np.flatnonzero(counts),
    )


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
            "discount_amount": _or_zero(lines["discount_amount"]),
            "tax_amount": _or_zero(lines["tax_amount"]),
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
    known = (found >= 0) & ~_is_null(refunds["order_id"]) & ~_is_null(refunds["line_number"])
    return np.where(known, lines["sku"][np.flatnonzero(first)[np.where(known, found, 0)]], NULL) if len(keys) else found


def local_times(catalogue: Catalogue, store_id: Integers, instants: Integers) -> Integers:
    """The wall clock of each store at an instant; the company's for online and unknown stores."""
    local = np.empty(len(instants), dtype=np.int64)
    zones = np.array([COMPANY_ZONE, *(store.timezone for store in catalogue.stores)])[np.maximum(store_id, 0)]
    for name in np.unique(zones):
        there = zones == name
        local[there] = to_local(instants[there], str(name))
    return local


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
    orders, lines, refunds = _columns(day.orders), _columns(day.lines), _columns(day.refunds)
    there = orders["created_at"] < clock
    of_line, of_refund = lines["position"], refunds["position"]
    shown, done = there[of_line], refunds["created_at"] < clock
    gross = lines["quantity"] * lines["unit_price"]
    net = _sums_by(of_line, gross - lines["discount"] + lines["tax"], len(there))

    order_rules = {
        "currency_foreign": there & (orders["currency"] != 0),
        "ordered_at_before_history": there & (orders["processed_at"] < catalogue.epoch),
    }
    order_ok, bad_orders = _split_off(order_rules, net + orders["shipping"])
    counts = there & order_ok & (orders["cancelled_at"] >= clock) & (orders["is_test"] == 0)
    line_rules = {
        "order_quarantined": shown & ~order_ok[of_line],
        "sku_missing": shown & (lines["product"] == UNTITLED),
        "quantity_not_positive": shown & (lines["quantity"] <= 0),
        "unit_price_negative": shown & (lines["unit_price"] < 0),
    }
    line_ok, bad_lines = _split_off(line_rules, gross)
    refund_rules = {
        "amount_negative": done & (refunds["subtotal"] < 0),
        "order_quarantined": done & ~order_ok[of_refund],
    }
    refund_ok, bad_refunds = _split_off(refund_rules, refunds["subtotal"])

    good = line_ok & counts[of_line]
    local = local_times(catalogue, np.zeros(len(there), dtype=np.int64), orders["processed_at"])
    order_columns = {
        "source": SHOPIFY,
        "order_id": orders["order_id"],
        "customer_id": orders["customer_id"],
        "store_id": ONLINE_STORE,
        "channel": ONLINE,
        "status": _online_status(day, clock),
        "event_at": orders["processed_at"],
        "local": local,
        "line_count": _sums_by(of_line[good], np.ones(int(good.sum()), dtype=np.int64), len(there)),
        "units": _sums_by(of_line[good], lines["quantity"][good], len(there)),
        "gross_sales": _sums_by(of_line[good], gross[good], len(there)),
        "discount_amount": _sums_by(of_line, lines["discount"], len(there)),
        "tax_amount": _sums_by(of_line, lines["tax"], len(there)),
        "shipping_amount": orders["shipping"],
        "total_amount": net + orders["shipping"],
    }
    line_columns = {
        "source": SHOPIFY,
        "order_id": orders["order_id"][of_line],
        "line_number": lines["line_id"],
        "sku": lines["product"],
        "store_id": ONLINE_STORE,
        "channel": ONLINE,
        "event_at": orders["processed_at"][of_line],
        "local": local[of_line],
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
        "store_id": ONLINE_STORE,
        "channel": ONLINE,
        "event_at": refunds["created_at"],
        "local": local_times(catalogue, np.zeros(len(of_refund), dtype=np.int64), refunds["created_at"]),
        "quantity": refunds["quantity"],
        "refund_amount": refunds["subtotal"],
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


def _online_status(day: OnlineDay, clock: int) -> Integers:
    """order_status of every order: what its payment says, unless its delivery says more."""
    paid = np.where(financial_status(day.orders, day.refunds, day.lines, clock) < 2, PENDING, PAID)
    fulfilled = fulfillment_status(day.orders, clock)
    return np.where(fulfilled == 3, COMPLETED, np.where(fulfilled > 0, SHIPPED, paid))


# -- sums --------------------------------------------------------------------------------------------------------------


def sales_by(facts: Facts, keys: list[str]) -> pd.DataFrame:
    """The nine sales measures by business_date, business_hour, store_id, channel or some of them.

    A row exists where an order was placed or something was refunded.
    """
    orders, refunds = facts.orders, facts.refunds
    zero = 0
    sold = pd.DataFrame(
        {
            "orders": 1,
            "units": orders["units"],
            "gross_sales": orders["gross_sales"],
            "discounts": orders["discount_amount"],
            "returns": zero,
            "taxes": orders["tax_amount"],
            "shipping": orders["shipping_amount"],
        }
    )
    returned = pd.DataFrame(
        {
            "orders": zero,
            "units": zero,
            "gross_sales": zero,
            "discounts": zero,
            "returns": refunds["refund_amount"],
            "taxes": -refunds["tax_amount"],
            "shipping": -refunds["shipping_amount"],
        }
    )
    both = pd.concat([sold.assign(**group_keys(orders, keys)), returned.assign(**group_keys(refunds, keys))])
    sums = both.groupby(keys, as_index=False, sort=True).sum()
    sums["net_sales"] = sums["gross_sales"] - sums["discounts"] - sums["returns"]
    sums["total_sales"] = sums["net_sales"] + sums["taxes"] + sums["shipping"]
    return sums[[*keys, *MEASURES]]


def group_keys(facts: pd.DataFrame, keys: list[str]) -> dict[str, pd.Series]:
    """Grouping columns of facts; business_date is a day number since 1970."""
    derived = {"business_date": facts["local"] // DAY, "business_hour": facts["local"] % DAY // HOUR}
    return {key: derived[key] if key in derived else facts[key] for key in keys}


def till_totals(facts: Facts) -> dict[tuple[int, int], tuple[int, ...]]:
    """What the tills of each store (id) show for each local date (days since 1970) with any sale or refund.

    Transactions, gross sales, discounts, returns, net sales: of what went over the counter.
    """
    orders, refunds = facts.orders, facts.refunds
    counter = replace(facts, orders=orders[orders["channel"] == STORE], refunds=refunds[refunds["channel"] == STORE])
    totals = sales_by(counter, ["store_id", "business_date"])
    places = zip(totals["store_id"].tolist(), totals["business_date"].tolist(), strict=True)
    columns = ("orders", "gross_sales", "discounts", "returns", "net_sales")
    return dict(zip(places, zip(*(totals[column].tolist() for column in columns), strict=True), strict=True))
