"""Rows the OLTP holds and should not: each breaks one rule, or repeats a row that is there.

Junk comes on top of the good orders and never changes what they add up to. It is spread evenly over a day's orders, so
that it stays far below the share of rejected lines at which the gate closes an hour.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sandbox.events.baskets import FIRST_ORDER, IDS_A_DAY
from sandbox.events.catalogue import CENT, DOLLAR, FIRST_CUSTOMER, Catalogue
from sandbox.events.draws import Draws, Integers
from sandbox.events.instants import DAY, HOUR, MINUTE, SECOND
from sandbox.events.schedule import Planted
from sandbox.events.store_sales import FIRST_REFUND, StoreDay
from sandbox.events.versions import COMPLETED, KEYS, KIOSK, NULL, ON_HOLD, STORE, SalesVersions, frame, stacked

JUNK_IDS = 9_000_000  # junk has ids of its own within a day's range
UNKNOWN_ORDER = 7_000_000_000
JUNK_LINE = 90  # line numbers of junk lines on good orders start above it

# What is done to a copy of a good record, by the rule it then breaks.
LINE_DEFECTS: dict[str, dict[str, int]] = {
    "stock_adjustment": {"quantity": 0},
    "unit_price_missing": {"unit_price": NULL, "discount_amount": 0},
    "unit_price_negative": {"unit_price": -5 * DOLLAR, "discount_amount": 0},
    "discount_invalid": {"discount_amount": 9_000 * DOLLAR},
    "tax_negative": {"tax_amount": -25 * CENT},
    "order_unknown": {"order_id": UNKNOWN_ORDER},
    "key_missing": {"order_id": NULL},
    "quantity_missing": {"quantity": NULL},
    "stock_adjustment (pieces taken off)": {"quantity": -2, "unit_price": 0, "discount_amount": 0},
    "discount_invalid (negative)": {"discount_amount": -1 * DOLLAR},
    "key_missing (no line number)": {"line_number": NULL},
}
ORDER_DEFECTS: dict[str, dict[str, int]] = {
    "currency_foreign": {"currency": 1},
    "ordered_at_missing": {"ordered_at": NULL},
    "status_unknown (repaired 6 hours later)": {"status": NULL},
    "store_id_missing": {"store_id": NULL},
    "total_contradicts_lines": {"total_amount": 9_000 * DOLLAR},
    "order_id_missing": {"order_id": NULL},
    "channel_unknown": {"channel": KIOSK},
    "ordered_at_in_future": {"ordered_at": 40 * DAY},
    "ordered_at_before_history": {"ordered_at": -400 * DAY},
    "status_unknown": {"status": ON_HOLD},
    "currency_foreign (null)": {"currency": NULL},
    "channel_unknown (null)": {"channel": NULL},
    "amount_negative (shipping)": {"shipping_amount": -3 * DOLLAR},
}
REFUND_DEFECTS: dict[str, dict[str, int]] = {
    "amount_negative": {"amount": -4 * DOLLAR},
    "refunded_at_missing": {"refunded_at": NULL},
    "refund_id_missing": {"refund_id": NULL},
    "amount_missing": {"amount": NULL},
    "refunded_at_in_future": {"refunded_at": 30 * DAY},
}
# Refunds that are kept although their order or line is not known.
LOOSE_REFUNDS: dict[str, dict[str, int]] = {
    "unknown order": {"order_id": UNKNOWN_ORDER + 1},
    "no order": {"order_id": NULL, "line_number": NULL},
    "unknown line": {"line_number": 77},
}


@dataclass
class _Slot:
    """A place in the day for one piece of junk: beside a good order, right after it became visible."""

    number: int
    order: int
    at: int


class _Junk:
    def __init__(self, catalogue: Catalogue, day: int, good: StoreDay) -> None:
        self.catalogue, self.day, self.good = catalogue, day, good
        self.draws = Draws(catalogue.seed, "junk", day)
        self.small = catalogue.size.is_small
        self.tables = {name: good.versions.table(name).copy() for name in KEYS}
        self.parts: dict[str, list[pd.DataFrame]] = {name: [] for name in KEYS}
        self.seen: list[tuple[int, str, str]] = []

    def run(self) -> StoreDay:
        kinds: list[tuple[str, str]] = [
            *(("line", kind) for kind in self._todays(LINE_DEFECTS, 8)),
            *(("order", kind) for kind in self._todays(ORDER_DEFECTS, 1)),
            *(("refund", kind) for kind in self._todays(REFUND_DEFECTS, 1)),
            *(("loose", kind) for kind in self._todays(LOOSE_REFUNDS, 1)),
        ]
        place = {"line": self._line, "order": self._order, "refund": self._refund, "loose": self._refund}
        with_lines = [
            (family, kind) for family, kind in kinds if family == "line" or self._lines_of_order(family, kind)
        ]
        without = [pair for pair in kinds if pair not in with_lines]
        number = 0
        for pairs in (with_lines, without):
            shuffled = self.draws.shuffled(np.arange(len(pairs)))
            for choice, order in zip(shuffled.tolist(), self._hosts(len(pairs)), strict=True):
                family, kind = pairs[choice]
                place[family](_Slot(number, order, int(self.good.inserted_at[order])), kind)
                number += 1
        self._repeats()
        good = self.good
        versions = SalesVersions(
            **{name: stacked(name, [self.tables[name], *parts]) for name, parts in self.parts.items()}
        )
        return StoreDay(
            good.baskets, versions, [*good.planted, *self._planted()], good.inserted_at, good.inserted_visible_at
        )

    def _todays(self, defects: dict[str, dict[str, int]], often: int) -> list[str]:
        """A small business has a quarter of the kinds each day, all in four days; a bigger one all, several times."""
        kinds = list(defects)
        if self.small:
            return [kind for index, kind in enumerate(kinds) if index % 4 == self.day % 4]
        repeats = max(1, often * self.catalogue.size.store_orders // 4000)
        return kinds * repeats

    def _hosts(self, count: int) -> list[int]:
        """Orders evenly spread over the day that neither the price bug nor a late commit touches."""
        good, baskets = self.good, self.good.baskets
        refunded = np.isin(baskets.order_id, good.versions.refunds["order_id"].to_numpy())
        on_time = good.inserted_visible_at == good.inserted_at
        usual = ~baskets.in_bug_hour & ~baskets.cancelled & ~baskets.is_test & ~baskets.peculiar
        plain = np.flatnonzero(usual & ~refunded & on_time)
        # Almost in the middle of equal shares: no two of them, and no three of a small business, fall into few lines.
        ranks = ((np.arange(count) + 0.4 + self.draws.uniform(count) * 0.2) * len(plain) / count).astype(np.int64)
        return [int(order) for order in plain[ranks]]

    # -- one piece each ------------------------------------------------------------------------------------------------

    def _line(self, slot: _Slot, kind: str) -> None:
        """A bad line on top of a good order, whose header does not include it."""
        columns = self._line_columns(slot, int(self.good.baskets.order_id[slot.order]), JUNK_LINE + 1 + slot.number % 9)
        columns |= _defect(LINE_DEFECTS[kind], slot.number, ("order_id",))
        self.parts["order_lines"].append(frame("order_lines", **_as_arrays(columns)))
        self._note(slot.at, "order line", kind)

    def _order(self, slot: _Slot, kind: str) -> None:
        """A bad order of its own with a line or two, which are as good as the order is bad."""
        baskets = self.good.baskets
        order_id = FIRST_ORDER + self.day * IDS_A_DAY + JUNK_IDS + slot.number
        columns: dict[str, int] = {
            "order_id": order_id,
            "customer_id": FIRST_CUSTOMER + slot.number % self.catalogue.size.customers,
            "store_id": int(baskets.store_id[slot.order]),
            "channel": STORE,
            "status": COMPLETED,
            "is_test": 0,
            "currency": 0,
            "ordered_at": int(baskets.ordered_at[slot.order]),
            "shipping_amount": 0,
            "updated_at": slot.at,
        }
        lines = self._order_lines(slot, order_id, kind)
        discount = sum(line["discount_amount"] for line in lines)
        tax = sum(line["tax_amount"] for line in lines)
        gross = sum(line["quantity"] * line["unit_price"] for line in lines)
        total = (gross - discount + tax + CENT // 2) // CENT * CENT
        columns |= {"discount_amount": discount, "tax_amount": tax, "total_amount": total}
        defect = dict(ORDER_DEFECTS[kind])
        if defect.get("ordered_at", NULL) != NULL:  # a shift
            defect["ordered_at"] += columns["ordered_at"]
        self.parts["orders"].append(frame("orders", **_as_arrays(columns | defect)))
        if "repaired" in kind:
            repair = {"updated_at": slot.at + 6 * HOUR}
            self.parts["orders"].append(frame("orders", **_as_arrays(columns | repair)))
        for line in lines:
            self.parts["order_lines"].append(frame("order_lines", **_as_arrays(line)))
        self._note(slot.at, "order", kind)

    def _order_lines(self, slot: _Slot, order_id: int, kind: str) -> list[dict[str, int]]:
        """Lines of a bad order: none where nothing could lead to them, or a small business could not bear them."""
        return [self._line_columns(slot, order_id, n + 1) for n in range(self._lines_of_order("order", kind))]

    def _lines_of_order(self, family: str, kind: str) -> int:
        needed = "foreign" in kind or "repaired" in kind or "lines" in kind
        if family != "order" or kind == "order_id_missing" or (self.small and not needed):
            return 0
        return 1 if self.small else 2

    def _line_columns(self, slot: _Slot, order_id: int, line_number: int) -> dict[str, int]:
        """A sound line like the first of the slot's order."""
        baskets = self.good.baskets
        line = baskets.lines_of(slot.order)[0]
        return {
            "order_id": order_id,
            "line_number": line_number,
            "sku": int(baskets.sku[line]),
            "quantity": int(baskets.quantity[line]),
            "unit_price": int(baskets.unit_price[line]),
            "discount_amount": int(baskets.discount[line]),
            "tax_amount": int(baskets.tax[line]),
            "updated_at": slot.at,
        }

    def _refund(self, slot: _Slot, kind: str) -> None:
        """A bad refund, or one whose order or line nobody knows; made on the day of the order it is near."""
        baskets = self.good.baskets
        line = baskets.lines_of(slot.order)[0]
        net = int(baskets.quantity[line] * baskets.unit_price[line] - baskets.discount[line])
        loose = kind in LOOSE_REFUNDS
        columns = {
            "refund_id": FIRST_REFUND + self.day * IDS_A_DAY + JUNK_IDS + slot.number,
            "order_id": int(baskets.order_id[slot.order]),
            "line_number": 1,
            "quantity": 1,
            "amount": net // int(baskets.quantity[line]) // 2,
            "reason": slot.number % 3,
            "refunded_at": slot.at + 20 * MINUTE,
            "updated_at": slot.at + 20 * MINUTE + SECOND,
        }
        defect = dict(LOOSE_REFUNDS[kind] if loose else REFUND_DEFECTS[kind])
        if defect.get("refunded_at", NULL) != NULL:
            defect["refunded_at"] += columns["refunded_at"]
        columns |= _defect(defect, slot.number, ("order_id",))
        self.parts["refunds"].append(frame("refunds", **_as_arrays(columns)))
        self._note(columns["updated_at"], "refund", kind)

    # -- rows that are there twice -------------------------------------------------------------------------------------

    def _repeats(self) -> None:
        """Some rows stand in their table twice, word for word; some beside an older version of themselves."""
        for name, share in (("orders", 300), ("order_lines", 300), ("refunds", 60)):
            versions = self.tables[name]
            count = max(1, len(versions) // share)
            final = self._final_versions(versions)
            # Refunds come over days: the first ones, so that there is one to be seen soon.
            chosen = final[:count] if name == "refunds" else np.sort(self.draws.shuffled(final)[:count])
            picked = versions.iloc[chosen].copy()
            picked["visible_at"] += self.draws.between(len(picked), 0, 1) * (
                self.draws.below(len(picked), 600) * SECOND
            )
            picked["appended"] = 1
            self.parts[name].append(picked)
            self.seen += [(int(at), name, "exact duplicate") for at in picked["visible_at"]]
        orders = self.tables["orders"]
        newer = orders.index[(orders["status"] == COMPLETED) & orders.duplicated("order_id")].to_numpy()
        beside = newer[:: max(1, len(newer) // max(1, len(newer) // 40))][: max(1, len(newer) // 40)]
        orders.loc[beside, "appended"] = 1
        self.seen += [(int(at), "orders", "two versions") for at in orders.loc[beside, "visible_at"]]

    @staticmethod
    def _final_versions(versions: pd.DataFrame) -> Integers:
        """Rows that no later version of their key replaces, so that the copy cannot come back after a change."""
        key = [column for column in ("refund_id", "line_number", "order_id") if column in versions]
        key = ["refund_id"] if "refund_id" in versions else key
        return np.flatnonzero(~versions.duplicated(key, keep="last")).astype(np.int64)

    # -- the report ----------------------------------------------------------------------------------------------------

    def _note(self, at: int, what: str, kind: str) -> None:
        self.seen.append((at, what, kind))

    def _planted(self) -> list[Planted]:
        """One entry for each kind of the day, at its first instant, with how many there are."""
        counts = Counter((what, kind) for _, what, kind in self.seen)
        first: dict[tuple[str, str], int] = {}
        for at, what, kind in self.seen:
            first[what, kind] = min(at, first.get((what, kind), at))
        return [
            Planted(first[what, kind], "oltp", _sentence(number, what, kind), _expected(what, kind))
            for (what, kind), number in sorted(counts.items())
        ]


def _as_arrays(columns: dict[str, int]) -> dict[str, Integers | int]:
    return {name: np.array([value], dtype=np.int64) for name, value in columns.items()}


def _defect(defect: dict[str, int], number: int, own_ids: tuple[str, ...]) -> dict[str, int]:
    """A defect with ids nobody has made distinct for each piece of junk."""
    return {
        column: value + 10 * number if column in own_ids and value != NULL else value
        for column, value in defect.items()
    }


def _sentence(number: int, what: str, kind: str) -> str:
    if what in ("orders", "order_lines", "refunds"):
        return f"{number} x {kind} of rows in {what}"
    return f"{number} x {what}: {kind}"


def _expected(what: str, kind: str) -> str:
    if kind == "exact duplicate":
        return "counted once"
    if kind == "two versions":
        return "the version with the newer updated_at counts"
    if what == "refund" and kind in LOOSE_REFUNDS:
        return "kept, without a sku" if kind == "unknown line" else "kept, for store -1, channel unknown"
    return "quarantined" + (", released when repaired" if "repaired" in kind else "")


def with_junk(catalogue: Catalogue, day: int, good: StoreDay) -> StoreDay:
    """A day of store and phone orders with the junk and the repeated rows of that day."""
    return _Junk(catalogue, day, good).run()
