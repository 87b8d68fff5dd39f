"""Which controls are due, and what they cover."""

from __future__ import annotations

from datetime import date, datetime

from insightmart.reconciliation.controls import (
    ROWS,
    SALES,
    Control,
    Dates,
    Hours,
    Scope,
    due_controls,
    horizon,
    of_hours,
)
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
        Control("rows", tuple(ROWS)),
        Control("levels", SALES),
        Control("order_totals", SALES),
        Control("tills", ("sales__oltp",), THROUGH, "raw.stores_tills"),
        Control("shop_reports", ("sales__shopify",), THROUGH, "raw.shopify_sales_reports"),
    ]
    assert skipped == {}


def test_what_is_not_certified_is_left_out_and_named() -> None:
    controls, skipped = due_controls(
        TABLES - {"staging.stores_tills"}, {**dict.fromkeys(ROWS, THROUGH), "sales__shopify": None, "customers": None}
    )
    assert [control.file for control in controls] == ["loads", "rows", "levels", "order_totals"]
    assert controls[1].gates == ("sales__oltp", "inventory__stores", "inventory__shopify")
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


def test_hours_touch_every_date_that_has_part_of_them_somewhere_on_earth() -> None:
    # at 09:00 UTC of the 5th it is still the 4th in Pago Pago (-11), and until 10:00 the 5th on Kiritimati (+14)
    assert Hours(datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10)).dates == Dates(date(2026, 3, 4), date(2026, 3, 5))
    assert Hours(datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)).dates.last == date(2026, 3, 6)
    assert Hours(datetime(2026, 3, 5, 12), datetime(2026, 3, 5, 13)).dates.first == date(2026, 3, 5)
    assert of_hours(Hours(datetime(2026, 3, 5, 9), datetime(2026, 3, 5, 10)))["loaded_from"] == datetime(2026, 3, 4, 9)


def test_the_horizon_is_a_week_and_the_day() -> None:
    assert horizon(date(2026, 3, 8)) == Dates(date(2026, 3, 1), date(2026, 3, 8))
