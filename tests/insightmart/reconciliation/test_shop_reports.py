"""Certified sales of the online shop against its own report: they tie, are explained by the ledger, or differ."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlglot
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is

from ingestion.contracts import entity
from ingestion.warehouse import Warehouse
from insightmart.reconciliation.reconcile import reconcile
from insightmart.settings import Settings

pytestmark = pytest.mark.slow
AS_OF = datetime(2026, 3, 6, 17, 5)  # certified through 10:00; the rows are loaded now
AT = datetime(2026, 3, 5, 15)  # an hour with one order
BEFORE, EMPTY, DAY = date(2026, 3, 4), date(2026, 3, 3), date(2026, 3, 5)
MEASURES = {"gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "duties", "fees", "total_sales"}
NOTHING = dict.fromkeys((column.name for column in entity("shopify", "sales_reports").columns[1:]), Decimal(0))
# Orders 5 to 28 of the built warehouse, of 10.00, 0.70 of tax and 4.95 of shipping, are placed on the 5th in New York.
# Order 9 is cancelled at once, and a piece of order 12 is given back: 24 sold, 2 reversed, one of them with shipping.
OF_THE_DAY = {"gross_sales": "240", "sales_reversals": "-20", "net_sales": "220", "taxes": "15.40"}
OF_THE_DAY |= {"shipping_charges": "113.85", "total_sales": "349.25"}
# Orders 1 to 4 are of the 4th there; the last one is in CAD.
OF_THE_DAY_BEFORE = {"gross_sales": "40", "net_sales": "40", "taxes": "2.80", "shipping_charges": "19.80"}
OF_THE_DAY_BEFORE |= {"total_sales": "62.60"}


def report(warehouse: Warehouse, day: date, figures: dict[str, str], loaded_at: datetime = AS_OF) -> None:
    """A day of the shop's report that is loaded."""
    row = {"business_date": day, "_loaded_at": loaded_at, "_dlt_load_id": f"{loaded_at.timestamp()}"}
    row |= NOTHING | {name: Decimal(value) for name, value in figures.items()}
    warehouse.insert("raw.shopify_sales_reports", [row])


def compared(warehouse: Warehouse, settings: Settings, start: date = DAY) -> dict[tuple[date, str], dict[str, Any]]:
    """What the control found, by day and measure."""
    reconcile(warehouse, settings.model_copy(update={"start": start}), AS_OF, "run-1")
    rows = warehouse.records(
        "SELECT business_date, measure, status, source_total, certified_total, excluded_total, quarantined_total,"
        " difference FROM ops.reconciliations WHERE control = 'shop_reports' AND store_id = 0 AND run_id = 'run-1'"
    )
    return {(row["business_date"], row["measure"]): row for row in rows}


def statuses(found: dict[tuple[date, str], dict[str, Any]], day: date = DAY) -> dict[str, str]:
    """Status by measure of what does not match."""
    return {name: row["status"] for (of, name), row in found.items() if of == day and row["status"] != "matched"}


def physical(warehouse: Warehouse, view: str) -> str:
    definition = warehouse.value(
        "SELECT sql FROM duckdb_views() WHERE lower(schema_name || '.' || view_name) = ?", [view]
    )
    table = sqlglot.parse_one(definition, read="duckdb").find(sqlglot.exp.Select).find(sqlglot.exp.Table)  # type: ignore[union-attr]
    assert table is not None
    return table.sql("duckdb")


def test_a_day_ties_but_for_its_cancelled_order(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, OF_THE_DAY)
    found = compared(built, settings)
    assert {measure for _, measure in found} == MEASURES  # and no other day has ended
    assert statuses(found) == {"gross_sales": "cancelled", "returns": "cancelled"}
    gross, total = found[DAY, "gross_sales"], found[DAY, "total_sales"]
    assert (gross["source_total"], gross["certified_total"], gross["excluded_total"]) == (240, 230, 10)
    assert (total["source_total"], total["certified_total"], total["difference"]) == (
        Decimal("349.25"),
        Decimal("349.25"),
        0,
    )


def test_an_order_that_is_cancelled_on_another_day_explains_both(built: Warehouse, settings: Settings) -> None:
    cancelled = "UPDATE {} SET cancelled_at = '2026-03-05 04:00' WHERE order_id = 9"  # 23:00 of the 4th: clocks differ
    built.execute(cancelled.format("raw.shopify_orders"))
    figures = OF_THE_DAY | {"sales_reversals": "-10", "net_sales": "230", "taxes": "16.10"}
    report(built, DAY, figures | {"shipping_charges": "118.80", "total_sales": "364.90"})
    earlier = {"sales_reversals": "-10", "net_sales": "30", "taxes": "2.10", "shipping_charges": "14.85"}
    report(built, BEFORE, OF_THE_DAY_BEFORE | earlier | {"total_sales": "46.95"})
    found = compared(built, settings, BEFORE)
    assert set(statuses(found).values()) == {"cancelled"}
    total = found[DAY, "total_sales"]
    assert (total["difference"], total["excluded_total"]) == (Decimal("15.65"), Decimal("15.65"))
    # the reversal and the order in quarantine cancel out in all but goods: still explained one by one
    assert set(statuses(found, BEFORE).values()) == {"quarantined", "cancelled"}
    total = found[BEFORE, "total_sales"]
    assert (total["excluded_total"], total["quarantined_total"]) == (Decimal("-15.65"), Decimal("15.65"))


def test_an_order_in_quarantine_explains_exactly_itself(built: Warehouse, settings: Settings) -> None:
    report(built, BEFORE, OF_THE_DAY_BEFORE)
    found = compared(built, settings, BEFORE)
    explained = {"gross_sales", "net_sales", "taxes", "shipping", "total_sales"}
    assert statuses(found, BEFORE) == dict.fromkeys(explained, "quarantined")
    assert found[BEFORE, "total_sales"]["quarantined_total"] == Decimal("15.65")


def test_a_day_without_sales_ties_with_a_report_of_nothing(built: Warehouse, settings: Settings) -> None:
    report(built, EMPTY, {})
    found = compared(built, settings, EMPTY)
    assert statuses(found, EMPTY) == {}
    assert (EMPTY, "gross_sales") in found


def test_a_wrong_certified_figure_is_found(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, OF_THE_DAY)
    hourly = physical(built, "certified.agg_sales_hourly__shopify")
    built.execute(f"UPDATE {hourly} SET taxes = taxes + 0.02, gross_sales = gross_sales + 10 WHERE sold_hour = ?", [AT])
    found = compared(built, settings)
    # 10 more would hide the cancelled order, if differences explained themselves
    assert statuses(found) == {"gross_sales": "failed", "taxes": "failed", "returns": "cancelled"}
    assert found[DAY, "gross_sales"]["difference"] == 0
    assert found[DAY, "taxes"]["difference"] == Decimal("-0.02")


def test_a_cent_is_rounded_and_two_differ(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, OF_THE_DAY | {"taxes": "15.41", "shipping_charges": "113.87"})
    assert {name: status for name, status in statuses(compared(built, settings)).items() if status != "cancelled"} == {
        "taxes": "rounded",
        "shipping": "failed",
    }


def test_without_a_report_a_day_is_pending_in_one_comparison(built: Warehouse, settings: Settings) -> None:
    found = compared(built, settings)
    assert {key: row["status"] for key, row in found.items()} == {(DAY, "total_sales"): "pending"}
    assert found[DAY, "total_sales"]["difference"] == 0


def test_the_last_report_of_a_day_counts(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, {"gross_sales": "1"})
    report(built, DAY, OF_THE_DAY, AS_OF + timedelta(minutes=1))
    assert set(statuses(compared(built, settings)).values()) == {"cancelled"}


def test_a_report_older_than_the_news_of_a_sale_is_pending(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, OF_THE_DAY | {"gross_sales": "230", "net_sales": "210"}, AS_OF - timedelta(hours=12))
    found = statuses(compared(built, settings))
    assert (found["gross_sales"], found["net_sales"]) == ("pending", "pending")
    built.execute("UPDATE raw.shopify_sales SET _loaded_at = ?", [AS_OF - timedelta(hours=12)])
    built.execute("UPDATE raw.shopify_orders SET _loaded_at = ?", [AS_OF - timedelta(hours=12)])
    built.execute("DELETE FROM ops.reconciliations")
    assert statuses(compared(built, settings))["net_sales"] == "failed"
    gone = {"order_id": 20, "_deleted_at": AS_OF, "_loaded_at": AS_OF, "_dlt_load_id": "2"}
    built.insert("raw.shopify_orders", [gone])
    built.execute("DELETE FROM ops.reconciliations")
    assert statuses(compared(built, settings))["net_sales"] == "pending"


def test_an_open_correction_explains_the_days_it_touches(built: Warehouse, settings: Settings) -> None:
    report(built, DAY, OF_THE_DAY | {"taxes": "99"})
    window = {"window_id": "w", "source": "shopify", "entity": "sales", "status": "open"}
    window |= {"window_start": datetime(2026, 3, 5, 13), "window_end": datetime(2026, 3, 5, 14)}
    built.insert("ops.correction_windows", [window])
    assert statuses(compared(built, settings))["taxes"] == "correction open"
