"""Orders whose changes the application notes down wrongly: what the tables say of them, and what is true."""

from __future__ import annotations

import re

import pandas as pd

from sandbox.business import Business
from sandbox.events.versions import CANCELLED, NULL
from tests.support.simulated import HOUR

DAY = 24 * HOUR


def _planted(business: Business, what: str) -> tuple[int, int]:
    """The order of a slip, and when it shows."""
    [fault] = [fault for fault in business.planted(business.epoch + 96 * HOUR) if what in fault.what]
    [order_id] = re.findall(r"order (\d+)", fault.what)
    return int(order_id), fault.at


def _versions(business: Business, order_id: int) -> pd.DataFrame:
    orders = business.sales(business.epoch + 96 * HOUR).orders
    return orders[orders["order_id"] == order_id]


def _counts(business: Business, order_id: int, clock: int) -> bool:
    return bool((business.store_facts(clock).orders["order_id"] == order_id).any())


def test_an_order_stamped_a_year_ahead_counts_in_its_hour(tiny: Business, demo: Business) -> None:
    for business in (tiny, demo):
        order_id, seen = _planted(business, "a year ahead")
        [stamped] = _versions(business, order_id)["updated_at"]
        assert stamped - seen == 365 * DAY
        next_hour = (seen // HOUR + 1) * HOUR
        assert _counts(business, order_id, next_hour)


def test_a_change_by_hand_leaves_the_stamp_and_ends_the_order(tiny: Business, demo: Business) -> None:
    for business in (tiny, demo):
        order_id, changed = _planted(business, "by hand")
        before, after = _versions(business, order_id).to_dict("records")
        assert before["updated_at"] == after["updated_at"] < changed == after["visible_at"]
        assert after["status"] == CANCELLED
        assert _counts(business, order_id, changed)
        assert not _counts(business, order_id, (changed // HOUR + 1) * HOUR)


def test_a_marked_order_leaves_with_its_lines_which_are_no_orphans(tiny: Business, demo: Business) -> None:
    for business in (tiny, demo):
        order_id, marked = _planted(business, "marked as deleted")
        before, after = _versions(business, order_id).to_dict("records")
        assert (before["deleted_at"], after["deleted_at"], after["updated_at"]) == (NULL, marked, marked)
        assert _counts(business, order_id, marked)
        after_it = (marked // HOUR + 1) * HOUR
        assert not _counts(business, order_id, after_it)
        bought = business.sales(after_it).order_lines
        lines = int((bought["order_id"] == order_id).sum())
        quarantined = business.store_facts(after_it).quarantined["oltp_order_lines"]
        assert lines == int((quarantined["rule"] == "order_deleted").sum()) > 0
