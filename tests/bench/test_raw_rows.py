"""Generated hours: raw holds what follows from their numbers, however they are cut, and each load has its record."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from bench import plain_warehouse, raw_rows
from bench.raw_rows import HOUR, Span, expected, fill
from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse, open_duckdb

END = datetime(2026, 3, 5, 2)
HISTORY = Span.of_days(END, 1, 24)  # of 26 hours
SALES = (
    "SELECT COUNT(*), SUM(total_amount), COUNT(DISTINCT order_id), COUNT(DISTINCT _dlt_load_id) FROM raw.oltp_orders"
)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """An empty one."""
    opened = open_duckdb(tmp_path / "INSIGHTMART.duckdb")
    create_tables(opened)
    return opened


def test_every_hour_has_its_load_and_its_orders(warehouse: Warehouse) -> None:
    fill(warehouse, HISTORY)
    rows, _, orders, loads = warehouse.rows(SALES)[0]
    assert (rows, orders, loads) == (26 * 24, 26 * 24, 26)
    assert warehouse.rows("SELECT MIN(ordered_at), MAX(_loaded_at) FROM raw.oltp_orders") == [
        (datetime(2026, 3, 4), datetime(2026, 3, 5, 2, 5))
    ]
    recorded = 'SELECT SUM("ROWS"), COUNT(*), SUM(landed_sum) FROM ops.loads WHERE source = ? AND entity = ?'
    assert warehouse.rows(recorded, ["oltp", "orders"])[0][:2] == (26 * 24, 26)
    assert (
        warehouse.value("SELECT SUM(total_amount) FROM raw.oltp_orders")
        == warehouse.rows(recorded, ["oltp", "orders"])[0][2]
    )
    assert warehouse.value("SELECT MIN(covered_through) FROM ops.source_watermarks WHERE entity = 'orders'") == END


def test_an_order_adds_up_from_its_lines(warehouse: Warehouse) -> None:
    fill(warehouse, HISTORY)
    assert (
        warehouse.rows(
            "SELECT o.order_id FROM raw.oltp_orders AS o JOIN (SELECT order_id, SUM(quantity * unit_price"
            " - discount_amount + tax_amount) AS total FROM raw.oltp_order_lines GROUP BY order_id) AS l"
            " USING (order_id) WHERE o.total_amount <> l.total + o.shipping_amount"
        )
        == []
    )


def test_the_same_hours_are_the_same_rows_however_they_are_cut(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(warehouse, HISTORY)
    whole = warehouse.rows("SELECT * EXCLUDE (customer_id) FROM raw.oltp_orders ORDER BY order_id")
    monkeypatch.setattr(raw_rows, "AT_ONCE", 24 * 7)
    with open_duckdb(tmp_path / "other" / "INSIGHTMART.duckdb") as other:
        create_tables(other)
        fill(other, HISTORY)
        assert other.rows("SELECT * EXCLUDE (customer_id) FROM raw.oltp_orders ORDER BY order_id") == whole
        assert other.value("SELECT COUNT(*) FROM raw.oltp_customers") == 2 * HISTORY.registered


def test_an_hour_by_hand_comes_to_what_was_put_in(tmp_path: Path) -> None:
    """Also when it names orders of the hours before it."""
    hour = HISTORY.next(orders=240)
    path = tmp_path / "plain.duckdb"
    for span, loaded_from in ((HISTORY, HISTORY.start), (hour, hour.as_of)):
        files = tmp_path / f"{span.start:%d%H}"
        assert plain_warehouse.write_parquet(files, span) > 0
        plain_warehouse.build(path, files, loaded_from)
    totals, wanted = plain_warehouse.totals(path), expected([HISTORY, hour])
    orders, online = wanted["orders and what they come to"], wanted["online orders and what they come to"]
    assert totals["fct_orders"][0] == orders[0] + online[0]
    assert totals["fct_orders"][6] == orders[1] + online[1]
    refunds, returned = wanted["refunds and their amounts"], wanted["online refunds and their amounts"]
    assert totals["fct_refunds"][0] == refunds[0] + returned[0]
    assert totals["fct_refunds"][2] == refunds[1] + returned[1]
    assert hour.as_of - HOUR == HISTORY.as_of
