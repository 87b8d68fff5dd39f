"""One UTC day of store and phone orders with everything that ever happens to them, as row versions.

Orders are placed in the stores' opening hours; then their status moves on for hours or days, and up to a week later
some are corrected, moved to another hour, cancelled or refunded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sandbox.events.baskets import IDS_A_DAY, Baskets, fill_baskets, rounded_to_cents, tax_on
from sandbox.events.catalogue import CENT, FIRST_CUSTOMER, Catalogue
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE
from sandbox.events.schedule import PRICE_BUG_REPAIR_HOURS, Planted, price_bug_hours
from sandbox.events.versions import (
    CANCELLED,
    COMPLETED,
    NULL,
    PAID,
    PENDING,
    PHONE,
    REASONS,
    SHIPPED,
    STORE,
    SalesVersions,
    frame,
    stacked,
)

FIRST_REFUND = 2_000_000_000
BARCODE = 40_063  # the last digits of one, entered as a quantity: no bound on quantities notices that
BARCODE_REPAIR_HOURS = 5
LONGEST_LIFE_DAYS = 10  # nothing happens to an order later than that after it was placed


@dataclass
class StoreDay:
    """A day's orders with all their versions, the customers created around them, and the faults among them."""

    baskets: Baskets
    versions: SalesVersions
    planted: list[Planted]
    inserted_at: Integers  # of each order
    inserted_visible_at: Integers


class _Life:
    """What happens to a day's baskets. Collects row versions table by table."""

    def __init__(self, catalogue: Catalogue, day: int) -> None:
        self.catalogue, self.day = catalogue, day
        self.baskets = baskets = fill_baskets(catalogue, day)
        self.draws = Draws(catalogue.seed, "order life", day)
        self.planted: list[Planted] = []
        self.parts: dict[str, list[pd.DataFrame]] = {"orders": [], "order_lines": [], "refunds": []}
        count = len(baskets)
        self.gross = baskets.per_order(baskets.quantity * baskets.unit_price)
        self.discount = baskets.per_order(baskets.discount)
        self.tax = baskets.per_order(baskets.tax)
        self.total = rounded_to_cents(self.gross - self.discount + self.tax + baskets.shipping)
        # Some tills leave discount or tax out of the header: then the lines say what they were.
        blank, zero = self.draws.chance(count, 10), self.draws.chance(count, 5)
        self.complete_header = ~(blank | zero)
        self.header_discount = np.where(blank, NULL, np.where(zero, 0, self.discount))
        self.header_tax = np.where(blank, NULL, np.where(zero, 0, self.tax))
        self.inserted_at = baskets.ordered_at + self.draws.below(count, 2000) * 1000
        self.two_step = self.draws.chance(count, 120) & (baskets.channel == STORE)

    def run(self) -> StoreDay:
        self._plant_the_unusual()
        header_visible, lines_visible = self._late_commits()
        settled_at, status = self._statuses(header_visible)
        self._lines(lines_visible)
        self._late_events(settled_at, status)
        versions = SalesVersions(**{name: stacked(name, parts) for name, parts in self.parts.items()})
        return StoreDay(
            self.baskets, versions, self.planted, self.inserted_at, np.maximum(header_visible, lines_visible)
        )

    # -- placing -------------------------------------------------------------------------------------------------------

    def _late_commits(self) -> tuple[Integers, Integers]:
        """When headers and lines become visible: for a few orders in the hour after their `updated_at`."""
        baskets, count = self.baskets, len(self.baskets)
        header, lines = self.inserted_at.copy(), self.inserted_at.copy()
        late_in_hour = self.inserted_at % HOUR >= 45 * MINUTE
        simple = (baskets.channel == STORE) & ~self.two_step & ~baskets.cancelled & ~baskets.in_bug_hour
        simple &= ~baskets.peculiar
        wanted = max(1, 2 * count // 1000)
        candidates = self.draws.shuffled(np.flatnonzero(late_in_hour & simple)).tolist()
        for number in range(min(wanted, len(candidates))):
            part = ("whole order", "header", "lines")[(number + self.day) % 3]
            if part == "header":  # its lines are rejected until it comes: let it be one line
                candidates.sort(key=lambda order: len(baskets.lines_of(order)) > 1)
            order = candidates.pop(0)
            seen = (self.inserted_at[order] // HOUR + 1) * HOUR + int(self.draws.between(1, 30, 290)[0]) * 1_000_000
            if part != "lines":
                header[order] = seen
            if part != "header":
                lines[order] = seen
            lag = (seen - self.inserted_at[order]) // MINUTE
            self._plant(
                seen,
                f"late commit: {part} of order {baskets.order_id[order]} visible {lag} minutes after its updated_at, "
                "in the next hour",
                "found by the overlap of the extraction; its hour is corrected",
            )
        return header, lines

    def _statuses(self, header_visible: Integers) -> tuple[Integers, Integers]:
        """Header versions up to the last regular status; returns when each order got there, and that status."""
        baskets, draws, count, at = self.baskets, self.draws, len(self.baskets), self.inserted_at
        everyone, phone, gone = np.arange(count), baskets.channel == PHONE, baskets.cancelled
        first = np.where(phone, PENDING, np.where(self.two_step, PAID, COMPLETED))
        self._headers(everyone, first, at, header_visible)

        quick = at + draws.between(count, 5 * 60, 90 * 60) * 1_000_000
        paid = at + draws.between(count, 5 * 60, 120 * 60) * 1_000_000
        shipped = paid + draws.between(count, 3 * 3600, 12 * 3600) * 1_000_000
        delivered = shipped + draws.between(count, 20 * 3600, 60 * 3600) * 1_000_000
        dropped = at + draws.between(count, 3600, 6 * 3600) * 1_000_000
        steps = [
            (self.two_step & ~gone, COMPLETED, quick),
            (phone & ~gone, PAID, paid),
            (phone & ~gone, SHIPPED, shipped),
            (phone & ~gone, COMPLETED, delivered),
            (gone, CANCELLED, dropped),
        ]
        settled_at, status = at.copy(), first
        for chosen, new_status, moment in steps:
            self._headers(everyone[chosen], new_status, moment[chosen])
            settled_at = np.where(chosen, moment, settled_at)
            status = np.where(chosen, new_status, status)
        return settled_at, status

    def _headers(
        self,
        orders: Integers,
        status: Integers | int,
        at: Integers | int,
        visible_at: Integers | None = None,
        **changed: Integers,
    ) -> None:
        """Add a version of some orders' headers; `changed` columns replace what the order was placed with."""
        baskets = self.baskets
        columns: dict[str, Integers | int] = {
            "order_id": baskets.order_id[orders],
            "customer_id": baskets.customer_id[orders],
            "store_id": baskets.store_id[orders],
            "channel": baskets.channel[orders],
            "status": status,
            "is_test": baskets.is_test[orders].astype(np.int64),
            "currency": 0,
            "ordered_at": baskets.ordered_at[orders],
            "discount_amount": self.header_discount[orders],
            "tax_amount": self.header_tax[orders],
            "shipping_amount": baskets.shipping[orders],
            "total_amount": self.total[orders],
            "updated_at": at,
            **changed,
        }
        if visible_at is not None:
            columns["visible_at"] = visible_at
        self.parts["orders"].append(frame("orders", **columns))

    # -- lines and the price bug ---------------------------------------------------------------------------------------

    def _lines(self, lines_visible: Integers) -> None:
        """Line versions as inserted; in a price bug hour some have their price negated, and are repaired later."""
        baskets, draws = self.baskets, self.draws
        everything = np.arange(len(baskets.line_order))
        candidates = np.flatnonzero((baskets.in_bug_hour & ~baskets.is_test & ~baskets.cancelled)[baskets.line_order])
        struck = np.sort(draws.shuffled(candidates)[: -(-len(candidates) * 2 // 5)])
        as_inserted = baskets.unit_price.copy()
        as_inserted[struck] *= -1
        scanned = np.searchsorted(baskets.line_order, np.flatnonzero(baskets.scanned))
        entered = baskets.quantity.copy()
        entered[scanned] = BARCODE
        self._line_versions(
            everything,
            self.inserted_at[baskets.line_order],
            unit_price=as_inserted,
            quantity=entered,
            visible_at=lines_visible[baskets.line_order],
        )
        for hour in price_bug_hours(self.catalogue.seed, self.day):
            start = self.catalogue.epoch + hour * HOUR
            repair = start + PRICE_BUG_REPAIR_HOURS * HOUR
            delays = draws.below(len(baskets), 10 * 60 * 1000) * 1000
            self._line_versions(struck, repair + delays[baskets.line_order[struck]])
            self._plant(
                start,
                f"price bug: {len(struck)} of {len(candidates)} order lines of this hour have their unit price negated",
                "the lines are quarantined and the reject rate blocks the hour until it is repaired",
            )
            self._plant(repair, f"price bug repaired: {len(struck)} lines updated", "the hour passes the gate")
        for line in scanned.tolist():
            order = int(baskets.line_order[line])
            at = int(self.inserted_at[order])
            self._line_versions(np.array([line]), at + BARCODE_REPAIR_HOURS * HOUR)
            self._plant(
                at,
                f"order {baskets.order_id[order]}: a barcode ({BARCODE}) is entered as the quantity",
                "the order waits, because it states another total; released when repaired",
            )

    def _line_versions(self, lines: Integers, at: Integers | int, **changed: Integers) -> None:
        baskets = self.baskets
        columns: dict[str, Integers | int] = {
            "order_id": baskets.order_id[baskets.line_order[lines]],
            "line_number": baskets.line_number[lines],
            "sku": baskets.sku[lines],
            "quantity": baskets.quantity[lines],
            "unit_price": baskets.unit_price[lines],
            "discount_amount": baskets.discount[lines],
            "tax_amount": baskets.tax[lines],
            "updated_at": at,
            **changed,
        }
        columns["intended_price"] = np.abs(columns["unit_price"])
        self.parts["order_lines"].append(frame("order_lines", **columns))

    # -- what comes days later -----------------------------------------------------------------------------------------

    def _late_events(self, settled_at: Integers, status: Integers) -> None:
        """Give a few orders one late event each: a correction, a move to another hour, a cancellation or refunds."""
        baskets, count = self.baskets, len(self.baskets)
        sound = ~baskets.cancelled & ~baskets.is_test & ~baskets.in_bug_hour & self.complete_header & ~baskets.peculiar
        quick = sound & (settled_at - baskets.ordered_at < 8 * HOUR)
        by_turn = self.draws.shuffled(np.flatnonzero(quick)).tolist()
        for number in range(max(1, 3 * count // 1000)):
            if by_turn:
                self._correct(by_turn.pop(), number, settled_at, status)
        for number in range(max(int(self.day % 3 == 0), count // 2000)):
            if by_turn:
                self._move(by_turn.pop(), number, settled_at, status)
        for order in [o for o in by_turn if baskets.may_vanish[o]][: max(int(self.day % 3 == 1), count // 1000)]:
            by_turn.remove(order)
            self._cancel(order, settled_at)
        untouched = np.zeros(count, dtype=bool)
        untouched[by_turn] = True
        untouched |= sound & ~quick
        returned = self.draws.shuffled(np.flatnonzero(untouched))[: max(3, count * 4 // 100)]
        self._refund(np.sort(returned), settled_at)

    def _correct(self, order: int, number: int, settled_at: Integers, status: Integers) -> None:
        """Change quantity, price or discount of an order's first line; the header follows."""
        baskets, draws = self.baskets, self.draws
        hours = int(draws.between(1, 26, 44)[0]) if number == 0 else int(draws.between(1, 20, 160)[0])
        at = max(int(settled_at[order]) + HOUR, int(baskets.ordered_at[order]) + hours * HOUR)
        line = baskets.lines_of(order)[0]
        quantity, price, discount = (int(a[line]) for a in (baskets.quantity, baskets.unit_price, baskets.discount))
        what = ("quantity", "unit price", "discount")[(number + self.day) % 3]
        if what == "quantity":
            quantity += 1
        elif what == "unit price":
            price = price * 4 // 5 // CENT * CENT
        else:
            discount = quantity * price * 15 // 100 // CENT * CENT
        discount = min(discount, quantity * price // CENT * CENT)
        rate = self.catalogue.tax_rates[baskets.store_id[order]]
        tax = tax_on(np.array([quantity * price - discount]), rate)
        one, header = np.array([line]), np.array([order])
        gross_after = self.gross[order] + quantity * price - baskets.quantity[line] * baskets.unit_price[line]
        discount_after = self.discount[order] + discount - baskets.discount[line]
        tax_after = self.tax[order] + int(tax[0]) - baskets.tax[line]
        total = rounded_to_cents(np.array([gross_after - discount_after + tax_after + baskets.shipping[order]]))
        self._line_versions(
            one,
            at,
            quantity=np.array([quantity]),
            unit_price=np.array([price]),
            discount_amount=np.array([discount]),
            tax_amount=tax,
        )
        self._headers(
            header,
            status[header],
            at,
            discount_amount=np.array([discount_after]),
            tax_amount=np.array([tax_after]),
            total_amount=total,
        )
        self._plant_late(
            order, at, f"correction of the {what}", "its hour and day are restated, the till is sent again"
        )

    def _move(self, order: int, number: int, settled_at: Integers, status: Integers) -> None:
        """The order was placed some hours earlier or later than first entered."""
        baskets, draws = self.baskets, self.draws
        at = max(
            int(settled_at[order]) + HOUR, int(baskets.ordered_at[order]) + int(draws.between(1, 25, 50)[0]) * HOUR
        )
        sign = -1 if self.day > 0 and number % 2 else 1
        moved = int(baskets.ordered_at[order]) + sign * int(draws.between(1, 1, 5)[0]) * HOUR
        day_of_move = (moved - self.catalogue.epoch) // DAY
        if (moved - self.catalogue.epoch) // HOUR in price_bug_hours(self.catalogue.seed, day_of_move):
            moved += HOUR
        header = np.array([order])
        self._headers(header, status[header], at, ordered_at=np.array([moved]))
        self._plant_late(order, at, f"ordered_at moved by {(moved - baskets.ordered_at[order]) // HOUR:+d} h",
                         "both hours are restated")  # fmt: skip

    def _cancel(self, order: int, settled_at: Integers) -> None:
        """Cancelled days later."""
        at = int(settled_at[order]) + int(self.draws.between(1, 24, 44)[0]) * HOUR
        self._headers(np.array([order]), CANCELLED, at)
        self._plant_late(order, at, "cancelled days later", "it leaves every certified table and its day's figures")

    def _refund(self, orders: Integers, settled_at: Integers) -> None:
        """Refund part of each order: some of a line, or an amount without a line."""
        baskets, draws, count = self.baskets, self.draws, len(orders)
        starts = np.searchsorted(baskets.line_order, orders, side="left")
        ends = np.searchsorted(baskets.line_order, orders, side="right")
        line = starts + draws.below(count, ends - starts)
        pieces = 1 + draws.below(count, baskets.quantity[line])
        line_net = baskets.quantity[line] * baskets.unit_price[line] - baskets.discount[line]
        by_line = draws.chance(count, 600)
        share = draws.between(count, 10, 60)
        order_net = self.gross[orders] - self.discount[orders]
        amount = np.where(by_line, line_net * pieces // baskets.quantity[line], order_net * share // 100 // CENT * CENT)
        soon = np.arange(count) % 4 == 0
        delay = np.where(soon, draws.between(count, 20 * 3600, 40 * 3600), draws.between(count, 20 * 3600, 130 * 3600))
        at = settled_at[orders] + delay * 1_000_000
        first_reason = np.where(draws.chance(count, 300), NULL, draws.below(count, len(REASONS)))
        columns: dict[str, Integers | int] = {
            "refund_id": FIRST_REFUND + self.day * IDS_A_DAY + np.arange(count),
            "order_id": baskets.order_id[orders],
            "line_number": np.where(by_line, baskets.line_number[line], NULL),
            "quantity": np.where(by_line, pieces, NULL),
            "amount": amount,
            "reason": first_reason,
            "refunded_at": at,
            "updated_at": at + draws.below(count, 3000) * 1000,
        }
        refunds = frame("refunds", **columns)
        for row in np.flatnonzero(refunds["updated_at"] % HOUR >= 45 * MINUTE)[:1].tolist():
            seen = (int(refunds["updated_at"].iloc[row]) // HOUR + 1) * HOUR + 2 * MINUTE
            refunds.loc[row, "visible_at"] = seen
            self._plant(
                seen,
                f"late commit: refund {refunds['refund_id'].iloc[row]} visible in the hour after its updated_at",
                "found by the overlap of the extraction; its hour is corrected",
            )
        explained = refunds[(first_reason == NULL) & draws.chance(count, 500)].copy()
        explained["reason"] = 0
        explained["updated_at"] += 3 * HOUR
        explained["visible_at"] = explained["updated_at"]
        self.parts["refunds"] += [refunds, explained]

    def _plant_the_unusual(self) -> None:
        """What is no fault, but easily taken for one."""
        baskets = self.baskets
        starts = self.catalogue.epoch + self.day * DAY
        ordered_at = dict(zip(baskets.customer_id.tolist(), baskets.ordered_at.tolist(), strict=True))
        late = sum(at > ordered_at[FIRST_CUSTOMER + index] for index, at in baskets.new_customers)
        if late:
            self._plant(
                starts,
                f"customers who get into the customer table only hours after their first order: {late}",
                "the order is kept with an inferred member, which a later load of the customers completes",
            )
        if bare := np.count_nonzero(~self.complete_header):
            self._plant(
                starts, f"orders of this day without discount or tax in their header: {bare}", "taken from lines"
            )
        self._plant(
            starts,
            f"orders of this day on which something is given back at the till: {np.count_nonzero(baskets.given_back)}",
            "what is given back is a return of that moment",
        )
        if unlabelled := np.count_nonzero(baskets.sku == NULL):
            self._plant(starts, f"lines of this day without a SKU: {unlabelled}", "sold as any other")
        for store in self.catalogue.stores:
            if self.catalogue.date(self.day) in (store.opened_on, store.closed_on):
                what = "opens" if store.opened_on == self.catalogue.date(self.day) else "is closed from now on"
                self._plant(
                    starts, f"store {store.store_id} {what}", "its files are expected from then on, or no longer"
                )

    def _plant_late(self, order: int, at: int, what: str, expected: str) -> None:
        days = (at - int(self.baskets.ordered_at[order])) / DAY
        self._plant(at, f"order {self.baskets.order_id[order]}, {days:.1f} days old: {what}", expected)

    def _plant(self, at: int, what: str, expected: str) -> None:
        self.planted.append(Planted(int(at), "oltp", what, expected))


def store_day(catalogue: Catalogue, day: int) -> StoreDay:
    """Everything about the store and phone orders placed on one UTC day, but for the junk beside them."""
    return _Life(catalogue, day).run()
