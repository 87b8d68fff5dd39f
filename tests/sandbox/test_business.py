"""The simulated business in itself: the same for everybody, sound, and with every kind of fault."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from sandbox.business import Business
from sandbox.events.inventory_faults import FAULT_HOURS
from sandbox.events.inventory_files import files_of_hour
from sandbox.events.schedule import PRICE_BUG_HOUR, PRICE_BUG_REPAIR_HOURS
from sandbox.events.versions import CHANNELS, KEYS
from tests.support.simulated import HOUR, START


def test_the_same_seed_makes_the_same_events_on_every_machine(tiny: Business) -> None:
    """A fixed fingerprint: it may only change with the business itself, never with Python, NumPy or the machine."""
    digest = hashlib.sha256()
    sales = tiny.sales(tiny.epoch + 96 * HOUR)
    for name in KEYS:
        digest.update(sales.table(name).to_numpy().astype("<i8").tobytes())
    for day in range(4):
        online = tiny.online_day(day)
        for frame in (online.orders, online.lines, online.refunds):
            digest.update(frame.to_numpy().astype("<i8").tobytes())
    for hour in (0, 47, PRICE_BUG_HOUR, 62):
        for file in files_of_hour(tiny.catalogue, hour):
            digest.update(repr((file.key, file.visible_at, file.counts)).encode())
    digest.update(tiny.customers(tiny.epoch + 96 * HOUR).to_csv(index=False).encode())
    assert digest.hexdigest()[:16] == "fab7904e115edf53"


def test_another_seed_makes_another_business(tiny: Business) -> None:
    assert not np.array_equal(Business(2, "tiny", START).store_day(0).baskets.sku, tiny.store_day(0).baskets.sku)


def test_a_day_does_not_need_the_days_before_it(tiny: Business) -> None:
    tiny.sales(tiny.epoch + 96 * HOUR)
    alone = Business(1, "tiny", START)
    for name in KEYS:
        assert alone.store_day(3).versions.table(name).equals(tiny.store_day(3).versions.table(name))
    assert alone.online_day(3).orders.equals(tiny.online_day(3).orders)


def test_headers_are_the_sums_of_their_good_lines(demo: Business) -> None:
    clock = demo.epoch + 96 * HOUR
    facts = demo.store_facts(clock).with_other(demo.online_facts(clock))
    placed = facts.lines[facts.lines["added"] == 0]  # what an edit adds is no part of the order as it was placed
    sums = placed.groupby(["source", "order_id"])[["gross_sales", "discount_amount", "tax_amount"]].sum()
    orders = facts.orders.set_index(["source", "order_id"])
    assert len(orders) > 10_000
    plain = orders[orders["returned_amount"] == 0]
    assert len(orders) - len(plain) >= 8
    assert (plain["line_count"] > 0).all()
    for measure in ("gross_sales", "discount_amount", "tax_amount"):
        assert plain[measure].equals(sums[measure].reindex(plain.index))
    goods = orders["gross_sales"] - orders["discount_amount"] - orders["returned_amount"]
    exact = goods + orders["tax_amount"] + orders["shipping_amount"] + orders["duties_amount"]
    exact += orders["tips_amount"] + orders["gift_cards_amount"]
    gap = (orders["total_amount"] - exact).abs()
    assert (gap <= 50).all()  # rounded to a cent
    assert (gap > 0).any()


def test_refunds_never_exceed_what_was_paid(demo: Business) -> None:
    clock = demo.epoch + 10 * 24 * HOUR
    facts = demo.store_facts(clock).with_other(demo.online_facts(clock))
    later = facts.refunds["refund_id"] != facts.refunds["order_id"]  # not on the order itself
    refunds = facts.refunds[later & (facts.refunds["store_id"] >= 0)]
    returned = refunds.groupby(["source", "order_id"])[["refund_amount", "tax_amount", "shipping_amount"]].sum()
    paid = facts.orders.set_index(["source", "order_id"]).loc[returned.index]
    assert len(returned) > 300
    assert (refunds["refund_amount"] >= 0).all()
    assert (returned["refund_amount"] <= paid["gross_sales"] - paid["discount_amount"]).all()
    assert (returned["tax_amount"] <= paid["tax_amount"]).all()
    assert (returned["shipping_amount"] <= paid["shipping_amount"]).all()


@pytest.mark.parametrize("size", ["tiny", "demo", "0.3"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_only_price_bug_hours_have_many_bad_lines(size: str, seed: int) -> None:
    """Neither an hour nor any run of hours without the bug comes near the share of bad lines that closes the gate."""
    business = Business(seed, size, START)
    for hour in (PRICE_BUG_HOUR + 1, PRICE_BUG_HOUR + PRICE_BUG_REPAIR_HOURS):
        blocked = business.store_facts(business.epoch + hour * HOUR).blocked_hours()
        assert [number - business.epoch // HOUR for number in blocked] == [PRICE_BUG_HOUR]
    table = business.store_facts(business.epoch + 96 * HOUR).hours
    lines, rejected = table["lines"].to_numpy(), table["rejected"].to_numpy()
    for length in (1, 2, 3, 6, 12, 24):
        window = np.ones(length, dtype=np.int64)
        total, bad = np.convolve(lines, window, "valid"), np.convolve(rejected, window, "valid")
        assert (bad[total >= 20] * 100 <= total[total >= 20] * 10).all()


def test_every_kind_of_fault_shows_in_the_first_ninety_hours(tiny: Business) -> None:
    planted = [(fault.at - tiny.epoch, fault.what) for fault in tiny.planted(tiny.epoch + 90 * HOUR)]
    assert all(at >= 0 for at, _ in planted)
    shown = " | ".join(what for _, what in planted)
    for kind in (
        *FAULT_HOURS.values(),
        "late commit: whole order",
        "late commit: header",
        "late commit: lines",
        "clocks change in America/New_York: the business date has 23 hours",
        "correction of the",
        "ordered_at moved by",
        "cancelled days later",
        "price bug repaired",
        "online shop is down",
        "exact duplicate of rows in orders",
        "two versions of rows in orders",
        "refund: unknown order",
        "order: currency_foreign",
        "order line: key_missing",
        "a till whose clock is a year ahead",
        "is cancelled by hand in the database, and its updated_at stays",
        "is marked as deleted, in a column that orders did not have before",
        "more square feet than any type holds",
        "a time zone of no region",
        "till of store",
        "reference/",
    ):
        assert kind in shown, kind


def test_tills_are_the_stores_sales_to_the_cent(demo: Business) -> None:
    for hour in (30, 47, 96, 8 * 24):
        clock = demo.epoch + hour * HOUR
        facts = demo.store_facts(clock).with_other(demo.online_facts(clock))
        assert not facts.blocked_hours()
        orders, refunds = facts.orders, facts.refunds
        gross = Counter[tuple[int, int]]()
        returns = Counter[tuple[int, int]]()
        for part, measure, into in ((orders, "gross_sales", gross), (refunds, "refund_amount", returns)):
            over_the_counter = part[part["channel"] == 0]
            for store, local, amount in over_the_counter[["store_id", "local", measure]].itertuples(index=False):
                into[store, local // (24 * HOUR)] += amount
        tills = demo.all_tills(clock)
        assert {place: figures[1] for place, figures in tills.items() if figures[0]} == dict(gross)
        assert {place: figures[3] for place, figures in tills.items() if figures[3]} == {
            place: amount for place, amount in returns.items() if amount
        }


def test_tills_know_the_right_price_during_the_price_bug(tiny: Business) -> None:
    clock = tiny.epoch + (PRICE_BUG_HOUR + 3) * HOUR
    wrong = tiny.store_facts(clock).orders["gross_sales"].sum()
    right = tiny.store_facts(clock, intended=True).orders["gross_sales"].sum()
    assert 0 < wrong < right


def test_what_shopify_rings_up_at_a_counter_is_a_sale_of_its_store(demo: Business) -> None:
    clock = demo.epoch + 30 * HOUR
    orders = demo.online_facts(clock).orders
    [mapped] = orders[orders["channel"] == CHANNELS.index("store")].to_dict("records")
    [unmapped] = orders[orders["channel"] == CHANNELS.index("pos")].to_dict("records")
    assert (mapped["store_id"], unmapped["store_id"]) == (3, 0)
    of_stores = demo.store_facts(clock).orders
    here = (3, mapped["local"] // (24 * HOUR))
    counted = of_stores[(of_stores["store_id"] == 3) & (of_stores["channel"] == CHANNELS.index("store"))]
    counted = counted[counted["local"] // (24 * HOUR) == here[1]]
    assert demo.all_tills(clock)[here][1] == counted["gross_sales"].sum() + mapped["gross_sales"]
