"""One UTC day of online orders with everything that ever happens to them, and the documents the shop shows of them.

The shop keeps one document an order; an order is a life of instants, and the document at any instant follows from it.
Line totals are whole cents, so that the shop's totals are exact whatever it rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sandbox.events.baskets import SLOT, TRAFFIC, tax_on, volume
from sandbox.events.catalogue import CENT, COMPANY_ZONE, DOLLAR, FIRST_ONLINE_CUSTOMER, Catalogue
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE, SECOND, to_local
from sandbox.events.points_of_sale import POS_STORES
from sandbox.events.schedule import DELETION_HOUR, Planted
from sandbox.events.versions import NULL

FIRST_ORDER = 5_600_000_000_000
FIRST_LINE = 14_000_000_000_000
FIRST_REFUND = 900_000_000_000
FIRST_REFUND_LINE = 600_000_000_000
FIRST_PRODUCT = 8_100_000_000_000
FIRST_VARIANT = 44_000_000_000_000
IDS_A_DAY = 10_000_000
TAX_RATE = 700  # hundredths of a percent
NEVER = np.iinfo(np.int64).max
EDITED_AFTER = 50 * MINUTE
UNTITLED = -1  # a line without a sku
CHARGES = ("shipping_discount", "tip", "gift_card", "duty")


@dataclass
class OnlineDay:
    """A day's online orders. Frames of int64: `orders`, `lines`, and `refunds` (a row each refunded line, or shipping).

    orders: order_id, customer_id (NULL: guest), created_at, processed_at, paid_at, first_status (index of FINANCIAL),
    started_at, partly (1: PARTIALLY_FULFILLED first), fulfilled_at, cancelled_at, deleted_at (NEVER where it never
    happens), is_test, currency, shipping, and the CHARGES beside it; included (1: prices are stated with their tax),
    location (of POS_STORES, where it was rung up; 0: in the online shop).
    lines: position (of the order), line_id, product (UNTITLED: none), quantity, unit_price (untaxed), discount, tax,
    odd (1: no good line), added_at (by an edit; NULL: with the order). refunds: position, refund_id, refund_line_id,
    line (row of `lines`, NULL for shipping), created_at, quantity, subtotal, tax, shipping, adjustment (paid beyond
    them), edit (1: taken off by an edit, and no refund).
    """

    orders: pd.DataFrame
    lines: pd.DataFrame
    refunds: pd.DataFrame
    planted: list[Planted]

    def changed(self, after: int, before: int) -> Integers:
        """Positions of the orders to which something happened in [after, before)."""
        hit = np.zeros(len(self.orders), dtype=bool)
        for column in ("created_at", "paid_at", "started_at", "fulfilled_at", "cancelled_at"):
            moment = self.orders[column].to_numpy()
            hit |= (moment >= after) & (moment < before)
        refunded = self.refunds["created_at"].to_numpy()
        hit[self.refunds["position"].to_numpy()[(refunded >= after) & (refunded < before)]] = True
        return np.flatnonzero(hit).astype(np.int64)


def online_day(catalogue: Catalogue, day: int) -> OnlineDay:
    """Everything about the online orders placed on one UTC day, with what an online shop has beside good orders."""
    orders = _orders(catalogue, day)
    lines = _lines(catalogue, day, len(orders))
    oddities = _Oddities(catalogue, day, orders, lines)
    orders, lines = oddities.orders(), oddities.lines()
    refunds = oddities.refunds(_refunds(catalogue, day, orders, lines), lines)
    return OnlineDay(orders, lines, refunds, oddities.planted)


class _Oddities:
    """What is wrong in a day's online orders. Nothing of it changes what the good lines of an order add up to.

    A small shop gets one oddity a day, in turn; a bigger one all of them every day.
    """

    def __init__(self, catalogue: Catalogue, day: int, orders: pd.DataFrame, lines: pd.DataFrame) -> None:
        self.day, self._orders, self._lines = day, orders.copy(), lines
        self.turn = day % 4 if catalogue.size.is_small else None
        self.planted: list[Planted] = []
        plain = (orders["is_test"] == 0) & (orders["currency"] == 0) & (orders["cancelled_at"] == NEVER)
        short = np.bincount(lines["position"].to_numpy(), minlength=len(orders)) == 1
        # Short orders first: the fewer lines an order in a foreign currency takes along, the better.
        self.chosen = [*np.flatnonzero(plain & short).tolist(), *np.flatnonzero(plain & ~short).tolist()]

    def _due(self, turn: int) -> bool:
        return self.turn in (None, turn) and turn < len(self.chosen)

    def _note(self, order: int, what: str, expected: str, delay: int = 0) -> None:
        at = int(self._orders["created_at"].iloc[order]) + delay
        self.planted.append(Planted(at, "shopify", what, expected))

    def orders(self) -> pd.DataFrame:
        """One order in a foreign currency; one entered hours after it was placed."""
        orders = self._orders
        if self._due(1):
            orders.loc[self.chosen[1], ["currency", "customer_id"]] = [1, NULL]
            self._note(
                self.chosen[1], "order in CAD", "order and lines quarantined: currency_foreign, order_quarantined"
            )
        if self.day % 3 == 2 and len(self.chosen) > 4:
            orders.loc[self.chosen[4], "processed_at"] -= 2 * HOUR
            self._note(self.chosen[4], "order imported 2 hours after it was placed", "its own hour is corrected")
        if self.day % 7 == 0 and len(self.chosen) > 5:
            self._delete(orders, self.chosen[-1])
        if len(self.chosen) > 9:
            self._charge(orders)
        if self.day % 7 == 0 and len(self.chosen) > 12:
            self._ring_up(orders)
        return orders

    def _delete(self, orders: pd.DataFrame, order: int) -> None:
        """An order without a customer is deleted in the shop, without a word to anybody."""
        day_began = int(orders["created_at"].iloc[0]) // DAY * DAY
        deleted_at = day_began + int(DELETION_HOUR * HOUR)
        orders.loc[order, ["deleted_at", "customer_id"]] = [deleted_at, NULL]
        what = f"online order {orders['order_id'].iloc[order]} is deleted in the shop"
        expected = "found by the comparison after the next midnight: it leaves certified with its lines and refunds"
        self.planted.append(Planted(deleted_at, "shopify", what, expected))

    def _charge(self, orders: pd.DataFrame) -> None:
        """A tip and a discount on shipping; a gift card and a duty; prices with their tax."""
        tipped, given, included = self.chosen[5:8]
        orders.loc[tipped, "tip"] = 3 * DOLLAR
        orders.loc[tipped, "shipping_discount"] = orders.loc[tipped, "shipping"] // 2 // CENT * CENT
        self._note(tipped, "order with a tip and half its shipping", "tips apart, shipping less its discount")
        orders.loc[given, ["gift_card", "duty"]] = [25 * DOLLAR, 4 * DOLLAR]
        self._note(given, "order with a gift card and a duty", "gift cards in no sales figure, duties apart")
        single = np.bincount(self._lines["position"], self._lines["quantity"] > 1, len(orders))[included] == 0
        if single and not self._lines.loc[self._lines["position"] == included, "discount"].any():
            orders.loc[included, "included"] = 1
            self._note(included, "order whose prices include tax", "gross sales without the tax")

    def _ring_up(self, orders: pd.DataFrame) -> None:
        """An order at each location of the shop's point of sale."""
        for order, (location, store) in zip(self.chosen[9:], POS_STORES.items(), strict=False):
            orders.loc[order, "location"] = location
            expected = f"a sale of store {store}, whose till has it, too" if store else "counts at channel pos"
            self._note(order, f"order rung up with Shopify POS at location {location}", expected)

    def lines(self) -> pd.DataFrame:
        """A free line without sku, a line with quantity 0, a negative price in an order that is quarantined anyway."""
        odd: list[dict[str, int]] = []

        def add(order: int, **columns: int) -> None:
            line_id = FIRST_LINE + self.day * IDS_A_DAY + IDS_A_DAY // 2 + len(odd)
            free = {"product": 0, "quantity": 1, "unit_price": 0, "discount": 0, "tax": 0, "odd": 1, "added_at": NULL}
            odd.append({"position": order, "line_id": line_id} | free | columns)

        if self._due(1) and self.turn is None:
            add(self.chosen[1], unit_price=-5 * DOLLAR)
            self._note(self.chosen[1], "negative price in the order in CAD", "line quarantined: unit_price_negative")
        if self._due(2):
            add(self.chosen[2], product=UNTITLED)
            self._note(self.chosen[2], "gift note: a free line without sku", "a line like any other")
        if self._due(3):
            add(self.chosen[3], quantity=0, unit_price=5 * DOLLAR)
            self._note(self.chosen[3], "line with quantity 0", "line quarantined: quantity_not_positive")
        if len(self.chosen) > 9:
            edited = self.chosen[8]
            at = int(self._orders["created_at"].iloc[edited]) + EDITED_AFTER
            add(edited, unit_price=12 * DOLLAR, tax=84 * CENT, odd=0, added_at=at)
            self._note(
                edited, "edit that adds an item and takes one off", "both count in the hour of the edit", EDITED_AFTER
            )
        if not odd:
            return self._lines
        return pd.concat([self._lines, pd.DataFrame(odd)]).sort_values("position", kind="stable", ignore_index=True)

    def refunds(self, refunds: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
        """A refund with a negative amount, one of a free amount, on orders without another; what an edit took off."""
        refunded = set(refunds["position"].tolist())
        free = [order for order in self.chosen[5:] if order not in refunded]
        found = [refunds]
        if self._due(0) and free:
            found.append(
                self._odd_refund(free[0], 45 * MINUTE, line=self._first_line(free[0], lines), subtotal=-DOLLAR)
            )
            self._note(free[0], "refund with a negative amount", "refund quarantined: amount_negative", 45 * MINUTE)
        if len(free) > 1:
            found.append(self._odd_refund(free[-1], 55 * MINUTE, quantity=NULL, adjustment=2 * DOLLAR))
            self._note(free[-1], "refund of a free amount", "an adjustment, and no goods", 55 * MINUTE)
        if len(self.chosen) > 9:
            found.append(self._taken_off(self.chosen[8], lines))
        return pd.concat(found, ignore_index=True) if len(found) > 1 else refunds

    def _first_line(self, order: int, lines: pd.DataFrame) -> int:
        return int(np.searchsorted(lines["position"].to_numpy(), order))

    def _taken_off(self, order: int, lines: pd.DataFrame) -> pd.DataFrame:
        """A piece of the first line, at its share of discount and tax."""
        line = self._first_line(order, lines)
        first = lines.iloc[line]
        value = (
            int(first["quantity"] * first["unit_price"] - first["discount"]) // int(first["quantity"]) // CENT * CENT
        )
        tax = int(first["tax"]) // int(first["quantity"]) // CENT * CENT
        return self._odd_refund(order, EDITED_AFTER, line=line, subtotal=value, tax=tax, edit=1)

    def _odd_refund(self, order: int, after: int, **columns: int) -> pd.DataFrame:
        number = self.day * IDS_A_DAY + IDS_A_DAY // 2 + order
        nothing = {"line": NULL, "quantity": 1, "subtotal": 0, "tax": 0, "shipping": 0, "adjustment": 0, "edit": 0}
        ids = {"position": order, "refund_id": FIRST_REFUND + number, "refund_line_id": FIRST_REFUND_LINE + number}
        at = {"created_at": int(self._orders["created_at"].iloc[order]) + after}
        return pd.DataFrame([ids | at | nothing | columns])


def _orders(catalogue: Catalogue, day: int) -> pd.DataFrame:
    draws = Draws(catalogue.seed, "online orders", day)
    starts = catalogue.epoch + day * DAY + np.arange(DAY // SLOT, dtype=np.int64) * SLOT
    hours = to_local(starts, COMPANY_ZONE) % DAY // HOUR
    count = volume(catalogue, catalogue.size.online_orders, day, "online volume")
    slots = draws.weighted(count, TRAFFIC[hours] + 1)
    created_at = np.sort(starts[slots] + draws.below(count, SLOT // SECOND) * SECOND)
    seconds = np.int64(SECOND)
    first_status = np.array([2, 0, 1], dtype=np.int64)[draws.weighted(count, [85, 8, 7])]
    is_test, foreign = draws.chance(count, 10), draws.chance(count, 8)
    cancelled = draws.chance(count, 25)
    days_later = draws.chance(count, 200)
    paid_at = np.where(first_status == 2, created_at, created_at + draws.between(count, 600, 5 * 3600) * seconds)
    ready = np.maximum(paid_at, created_at) + draws.between(count, 2 * 3600, 30 * 3600) * seconds
    in_steps = draws.chance(count, 150)
    fulfilled_at = ready + np.where(in_steps, draws.between(count, 3600, 20 * 3600), 0) * seconds
    soon = created_at + draws.between(count, 300, 6600) * seconds
    late = fulfilled_at + draws.between(count, 12 * 3600, 40 * 3600) * seconds
    cancelled_at = np.where(cancelled, np.where(days_later, late, soon), NEVER)
    before_shipping = cancelled & ~days_later
    customer_id = FIRST_ONLINE_CUSTOMER + draws.below(count, catalogue.size.online_customers) * 7
    customer_id[draws.chance(count, 300) | is_test | foreign | cancelled] = NULL
    return pd.DataFrame(
        {
            "order_id": FIRST_ORDER + day * IDS_A_DAY + np.arange(count),
            "customer_id": customer_id,
            "created_at": created_at,
            "processed_at": created_at,
            "first_status": first_status,
            "paid_at": np.where(before_shipping & (first_status != 2), NEVER, paid_at),
            "started_at": np.where(in_steps & ~before_shipping, ready, NEVER),
            "partly": draws.below(count, 2),
            "fulfilled_at": np.where(before_shipping, NEVER, fulfilled_at),
            "cancelled_at": cancelled_at,
            "deleted_at": np.full(count, NEVER),
            "is_test": is_test.astype(np.int64),
            "currency": foreign.astype(np.int64),
            "shipping": np.array([0, 495, 795])[draws.weighted(count, [4, 4, 2])] * CENT,
            "included": np.zeros(count, dtype=np.int64),
            "location": np.zeros(count, dtype=np.int64),
        }
        | {name: np.zeros(count, dtype=np.int64) for name in CHARGES}
    )


def _lines(catalogue: Catalogue, day: int, orders: int) -> pd.DataFrame:
    draws = Draws(catalogue.seed, "online lines", day)
    per_order = 1 + draws.weighted(orders, [40, 28, 16, 10, 6])
    position = np.repeat(np.arange(orders, dtype=np.int64), per_order)
    count = len(position)
    product = draws.weighted(count, catalogue.popularity)
    quantity = 1 + draws.weighted(count, [72, 18, 6, 4])
    unit_price = catalogue.list_prices(day)[product]
    # A few prices have half cents; two of them are whole cents again.
    fine = draws.chance(count, 20) & (quantity % 2 == 0)
    unit_price = unit_price + np.where(fine, CENT // 2, 0)
    percent = np.where(draws.chance(count, 200), np.array([10, 15, 30])[draws.below(count, 3)], 0)
    discount = quantity * unit_price * percent // 100 // CENT * CENT
    return pd.DataFrame(
        {
            "position": position,
            "line_id": FIRST_LINE + day * IDS_A_DAY + np.arange(count),
            "product": product,
            "quantity": quantity,
            "unit_price": unit_price,
            "discount": discount,
            "tax": tax_on(quantity * unit_price - discount, np.full(count, TAX_RATE)),
            "odd": np.zeros(count, dtype=np.int64),
            "added_at": np.full(count, NULL),
        }
    )


def _refunds(catalogue: Catalogue, day: int, orders: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """Refunds days after fulfilment, of some lines and sometimes of the shipping; in full for orders cancelled late."""
    draws = Draws(catalogue.seed, "online refunds", day)
    count = len(orders)
    cancelled_at = orders["cancelled_at"].to_numpy()
    sound = (orders["is_test"].to_numpy() == 0) & (orders["currency"].to_numpy() == 0) & (cancelled_at == NEVER)
    keys = draws.uniform(count)
    wanted = max(1, count * 5 // 100)
    returned = np.zeros(count, dtype=bool)
    returned[np.argsort(np.where(sound, keys, 2.0), kind="stable")[:wanted]] = True
    returned &= sound
    in_full = (cancelled_at != NEVER) & (orders["fulfilled_at"].to_numpy() != NEVER)

    position = lines["position"].to_numpy()
    taken = draws.chance(len(lines), 600) & (lines["odd"].to_numpy() == 0)
    first_of_order = np.r_[True, position[1:] != position[:-1]]
    chosen = np.flatnonzero((returned[position] & (taken | first_of_order)) | in_full[position]).astype(np.int64)
    quantity = lines["quantity"].to_numpy()[chosen]
    pieces = np.where(in_full[position[chosen]], quantity, 1 + draws.below(len(chosen), quantity))
    value = quantity * lines["unit_price"].to_numpy()[chosen] - lines["discount"].to_numpy()[chosen]
    subtotal = value * pieces // quantity // CENT * CENT
    tax = lines["tax"].to_numpy()[chosen] * pieces // quantity // CENT * CENT

    shipping = orders["shipping"].to_numpy()
    with_shipping = np.flatnonzero((in_full | (returned & draws.chance(count, 400))) & (shipping > 0)).astype(np.int64)
    delay = draws.between(count, 8 * 3600, 110 * 3600) * SECOND
    refunded_at = np.where(in_full, cancelled_at, orders["fulfilled_at"].to_numpy() + np.where(in_full, 0, delay))
    nothing = np.zeros(len(with_shipping), dtype=np.int64)
    order_position = np.concatenate([position[chosen], with_shipping])
    return pd.DataFrame(
        {
            "position": order_position,
            "refund_id": FIRST_REFUND + day * IDS_A_DAY + order_position,
            "refund_line_id": np.concatenate(
                [FIRST_REFUND_LINE + day * IDS_A_DAY + np.arange(len(chosen)), np.full(len(with_shipping), NULL)]
            ),
            "line": np.concatenate([chosen, np.full(len(with_shipping), NULL)]),
            "created_at": refunded_at[order_position],
            "quantity": np.concatenate([pieces, np.full(len(with_shipping), NULL)]),
            "subtotal": np.concatenate([subtotal, nothing]),
            "tax": np.concatenate([tax, nothing]),
            "shipping": np.concatenate([np.zeros(len(chosen), dtype=np.int64), shipping[with_shipping]]),
            "adjustment": np.zeros(len(order_position), dtype=np.int64),
            "edit": np.zeros(len(order_position), dtype=np.int64),
        }
    )
