"""What an application's own bookkeeping gets wrong about its changes, once a week each, on orders nothing else befalls.

An order whose till has a clock a year ahead; one that somebody cancels by hand in the database and whose `updated_at`
stays; one that is deleted by a mark in its row, in a column that the application has only just got.
"""

from __future__ import annotations

import numpy as np

from sandbox.events.catalogue import Catalogue
from sandbox.events.draws import Integers
from sandbox.events.instants import DAY, HOUR
from sandbox.events.schedule import HAND_CHANGE_HOUR, MARK_HOUR, WEEK_HOURS, Planted
from sandbox.events.store_sales import StoreDay
from sandbox.events.versions import CANCELLED, STORE, SalesVersions, stacked

AHEAD = 365 * DAY


def with_slips(catalogue: Catalogue, day: int, good: StoreDay) -> StoreDay:
    """A day of store and phone orders with the slips of that day: of the first two days of a week."""
    versions, planted = good.versions, list(good.planted)
    orders = versions.orders
    chosen = _untouched(good)
    if not len(chosen) or day * 24 % WEEK_HOURS > 24:
        return good
    if day * 24 % WEEK_HOURS == 24:
        order = int(chosen[len(chosen) // 2])
        orders = orders.copy()
        orders.loc[orders["order_id"] == order, "updated_at"] += AHEAD
        at = int(orders.loc[orders["order_id"] == order, "visible_at"].iloc[0])
        planted.append(
            Planted(
                at, "oltp", f"order {order}: a till whose clock is a year ahead wrote updated_at", "counted at once"
            )
        )
    else:
        began = catalogue.epoch + day * DAY
        by_hand, marked = int(chosen[len(chosen) // 3]), int(chosen[len(chosen) * 2 // 3])
        cancelled = orders[orders["order_id"] == by_hand].copy()
        cancelled["status"] = CANCELLED
        cancelled["visible_at"] = began + int(HAND_CHANGE_HOUR * HOUR)
        deleted = orders[orders["order_id"] == marked].copy()
        deleted[["updated_at", "visible_at", "deleted_at"]] = began + int(MARK_HOUR * HOUR)
        orders = stacked("orders", [orders, cancelled, deleted])
        planted += [
            Planted(
                int(cancelled["visible_at"].iloc[0]),
                "oltp",
                f"order {by_hand} is cancelled by hand in the database, and its updated_at stays",
                "found by the comparison after the next midnight: it leaves certified",
            ),
            Planted(
                int(deleted["visible_at"].iloc[0]),
                "oltp",
                f"order {marked} is marked as deleted, in a column that orders did not have before",
                "the mark is declared: the order leaves certified with its lines",
            ),
        ]
    changed = SalesVersions(orders, versions.order_lines, versions.refunds)
    return StoreDay(good.baskets, changed, planted, good.inserted_at, good.inserted_visible_at)


def _untouched(good: StoreDay) -> Integers:
    """Ids of a day's plain store orders of which there is one version, with one of each line, and no refund."""
    baskets, versions = good.baskets, good.versions
    plain = (baskets.channel == STORE) & baskets.may_vanish & ~baskets.is_test & ~baskets.cancelled
    plain &= ~baskets.in_bug_hour & ~baskets.peculiar & (good.inserted_visible_at == good.inserted_at)
    ids = baskets.order_id
    once = _times(ids, versions.orders["order_id"].to_numpy()) == 1
    lines = np.bincount(baskets.line_order, minlength=len(ids))
    as_placed = _times(ids, versions.order_lines["order_id"].to_numpy()) == lines
    kept = _times(ids, versions.refunds["order_id"].to_numpy()) == 0
    untouched: Integers = ids[plain & once & as_placed & kept]
    return untouched


def _times(ids: Integers, found: Integers) -> Integers:
    """How often each of some ascending ids is found."""
    ordered = np.sort(found)
    return np.searchsorted(ordered, ids, side="right") - np.searchsorted(ordered, ids, side="left")
