"""What must be certified at a clock: it knows of outages, late files, corrections, and agrees with itself."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.business import Business
from sandbox.events.inventory_faults import FAULT_HOURS
from sandbox.events.online_stock import levels_of_day, second_item, shared_product
from sandbox.events.schedule import OUTAGE_HOURS, PRICE_BUG_HOUR
from sandbox.truth.certified import truth
from sandbox.truth.stock import stock_at
from sandbox.truth.totals import group_keys
from tests.support.simulated import HOUR, MIDNIGHT, START, Row, tiny_truth


def test_the_price_bug_blocks_one_hour_until_it_is_repaired() -> None:
    assert tiny_truth(PRICE_BUG_HOUR)["blocked"] == []
    during, after = tiny_truth(PRICE_BUG_HOUR + 5), tiny_truth(PRICE_BUG_HOUR + 6)
    (window,) = during["blocked"]
    assert (window["source"], window["from"], window["to"]) == ("oltp", "2026-03-06T16:00:00Z", "2026-03-06T17:00:00Z")
    assert window["rejected_lines"] >= 20
    assert window["rejected_lines"] * 10 > window["lines"]
    assert during["quarantined"]["oltp_order_lines"]["rules"]["unit_price_negative"]["rows"] >= 20
    assert after["blocked"] == []
    local_hour = {("2026-03-06", 11, 1), ("2026-03-06", 16, 3)}  # New York, London

    def shown(figures: Row) -> set[tuple[Any, ...]]:
        rows = {(row["business_date"], row["business_hour"], row["store_id"]) for row in figures["agg_sales_hourly"]}
        return rows & local_hour

    assert shown(during) == set()
    assert shown(after) == local_hour


def test_corrections_change_days_that_were_closed(tiny: Business) -> None:
    """Each planted correction changes figures of a business date that had ended before it."""
    corrected = [
        fault
        for fault in tiny.planted(tiny.epoch + 96 * HOUR)
        if any(kind in fault.what for kind in ("correction of the", "moved by", "cancelled days later"))
    ]
    assert len(corrected) >= 4
    for fault in corrected:
        order_id = int(fault.what.split()[1].strip(","))
        before, after = (tiny.store_facts(instant).orders.set_index("order_id") for instant in (fault.at, fault.at + 1))
        assert fault.at - before.loc[order_id, "event_at"] > 20 * HOUR
        if "cancelled" in fault.what:
            assert order_id not in after.index
        else:
            columns = ["event_at", "units", "gross_sales", "discount_amount", "total_amount"]
            assert (before.loc[order_id, columns] != after.loc[order_id, columns]).any()


def test_the_day_of_the_clock_change_has_23_hours(demo: Business) -> None:
    online = demo.online_facts(demo.epoch + 6 * 24 * HOUR)
    keys = group_keys(online.orders, ["business_date", "business_hour"])
    by_date = defaultdict(set)
    for day, hour in zip(keys["business_date"], keys["business_hour"], strict=True):
        by_date[int(day)].add(int(hour))
    change = (date(2026, 3, 8) - date(1970, 1, 1)).days
    assert by_date[change] == set(range(24)) - {2}
    assert by_date[change - 1] == by_date[change + 1] == set(range(24))
    stock = stock_at(demo, demo.epoch + 6 * 24 * HOUR).counts
    new_york = stock[(stock["store_id"] == 1) & (stock["business_date"] == change)]
    assert (new_york["counted_at"] // HOUR).nunique() == 23


def test_a_sku_that_two_items_carry_has_what_both_of_them_hold(demo: Business) -> None:
    """The items are counted in turns, a day apart; each count adds what was counted last of the other."""
    shared = shared_product(demo.catalogue)
    days = [levels_of_day(demo.catalogue, day) for day in range(4)]
    own = [int(day.on_hand[day.product == shared][0]) for day in days]
    items = [int(day.item[day.product == shared][0]) for day in days]
    assert items == [second_item(demo.catalogue), shared] * 2
    stock = stock_at(demo, demo.epoch + 4 * 24 * HOUR).counts
    counted = stock[(stock["store_id"] == 0) & (stock["product"] == shared)].sort_values("counted_at")
    assert counted["on_hand"].tolist() == [own[0], own[0] + own[1], own[1] + own[2], own[2] + own[3]]
    assert (counted["counted_at"].diff().dropna() == 24 * HOUR).all()


def test_the_shop_lags_while_it_is_down() -> None:
    first, end = OUTAGE_HOURS
    assert tiny_truth(first)["shopify_covered_through"] == tiny_truth(first)["clock"]
    frozen = [tiny_truth(hour) for hour in (first + 1, end)]
    assert {figures["shopify_covered_through"] for figures in frozen} == {"2026-03-07T06:00:00Z"}
    online = [figures["facts"]["fct_orders"]["by_source"]["shopify"] for figures in frozen]
    assert online[0] == online[1] == tiny_truth(first)["facts"]["fct_orders"]["by_source"]["shopify"]
    assert frozen[0]["sales_covered_through"] == "2026-03-07T07:00:00Z"
    assert tiny_truth(end + 1)["shopify_covered_through"] == tiny_truth(end + 1)["clock"]


def test_a_late_file_keeps_its_hour_back_for_an_hour_only() -> None:
    """The file of hour 26 is late: the hour waits for it until the grace period has passed, and gets it later."""
    assert FAULT_HOURS[26] == "late"
    waiting, given_up, there = (tiny_truth(hour) for hour in (27, 28, 30))
    assert waiting["inventory_covered_through"] == "2026-03-06T02:00:00Z"
    assert given_up["inventory_covered_through"] == "2026-03-06T04:00:00Z"
    hour = "2026-03-06T02:00:00Z"
    states = [next(h for h in figures["inventory_hours"] if h["hour"] == hour) for figures in (waiting, there)]
    assert [(state["open_stores"], state["files_in"], state["complete"]) for state in states] == [
        (6, 5, False),
        (6, 6, True),
    ]


def test_figures_agree_with_each_other() -> None:
    figures = tiny_truth(96)
    json.dumps(figures)
    for table in ("agg_sales_daily", "agg_sales_hourly"):
        total = figures["certified"][table]
        assert total["rows"] == len(figures[table])
        assert sum(row["orders"] for row in figures[table]) == total["sums"]["orders"]
        for measure in ("gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "total_sales"):
            assert sum(Decimal(row[measure]) for row in figures[table]) == Decimal(total["sums"][measure])
        net = [Decimal(r["gross_sales"]) - Decimal(r["discounts"]) - Decimal(r["returns"]) for r in figures[table]]
        assert net == [Decimal(row["net_sales"]) for row in figures[table]]
    for name, facts in figures["facts"].items():
        assert sum(part["rows"] for part in facts["by_source"].values()) == figures["certified"][name]["rows"]
    assert sum(row["counts"] for row in figures["inventory"]) == figures["certified"]["fct_inventory"]["rows"]


def test_nothing_has_happened_at_the_start() -> None:
    figures = tiny_truth(0)
    rows = {table: content["rows"] for table, content in figures["certified"].items()}
    assert {table for table, number in rows.items() if number} == {"dim_stores"}  # Online and Unknown are always there
    assert figures["inventory_covered_through"] == figures["clock"] == "2026-03-05T00:00:00Z"


def test_an_impossible_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="whole UTC hours"):
        truth(1, "tiny", START, MIDNIGHT + timedelta(minutes=30))
    with pytest.raises(ValueError, match="no size 'huge'"):
        truth(1, "huge", START, MIDNIGHT)
