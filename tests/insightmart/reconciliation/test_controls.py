"""Which controls are due, and what they cover."""

from __future__ import annotations

from datetime import date, datetime

from insightmart.reconciliation.controls import ROWS, Control, Scope, due_controls
from insightmart.settings import Settings

THROUGH = datetime(2026, 3, 6, 10)
TABLES = {
    "certified.fct_orders",
    "certified.agg_sales_hourly",
    "certified.agg_sales_daily",
    "certified.dim_stores",
    "certified.dim_dates",
    "staging.stores_tills",
    "raw.shopify_sales_reports",
}


def test_everything_is_compared_once_all_is_certified() -> None:
    controls, skipped = due_controls(TABLES, dict.fromkeys([*ROWS, "customers"], THROUGH))
    assert controls == [
        Control("loads"),
        Control("rows_sales_oltp", THROUGH),
        Control("rows_refunds_oltp", THROUGH),
        Control("rows_sales_shopify", THROUGH),
        Control("rows_refunds_shopify", THROUGH),
        Control("rows_inventory_stores", THROUGH),
        Control("rows_inventory_shopify", THROUGH),
        Control("levels"),
        Control("order_totals"),
        Control("tills", THROUGH),
        Control("shop_reports", THROUGH),
    ]
    assert skipped == {}


def test_what_is_not_certified_is_left_out_and_named() -> None:
    controls, skipped = due_controls(
        TABLES - {"staging.stores_tills"}, {**dict.fromkeys(ROWS, THROUGH), "sales__shopify": None, "customers": None}
    )
    assert [control.file for control in controls] == [
        "loads",
        "rows_sales_oltp",
        "rows_refunds_oltp",
        "rows_inventory_stores",
        "rows_inventory_shopify",
        "levels",
        "order_totals",
    ]
    assert skipped == {
        "sales__shopify": "nothing is certified yet",
        "tills": "store sales are not certified yet",
        "shop_reports": "online sales are not certified yet",
    }


def test_on_an_empty_warehouse_only_loads_are_compared() -> None:
    controls, skipped = due_controls(set(), dict.fromkeys(ROWS))
    assert controls == [Control("loads")]
    assert set(skipped) == {*ROWS, "sales", "tills", "shop_reports"}


def test_a_scope_reaches_over_its_business_dates_everywhere_on_earth(settings: Settings) -> None:
    now = datetime(2026, 3, 6, 10, 5)
    values = Scope("run-1", now, date(2026, 3, 5), date(2026, 3, 6), now).values(settings)
    assert values["events_from"] == datetime(2026, 3, 4, 10)
    assert values["events_to"] == datetime(2026, 3, 7, 12)
    assert values["loaded_from"] == datetime(2026, 3, 3, 10)
    assert values["day_after"] == date(2026, 3, 7)
    assert values["till_again"] == datetime(2026, 3, 6, 7, 35)  # two hours and the grace of 30 minutes
