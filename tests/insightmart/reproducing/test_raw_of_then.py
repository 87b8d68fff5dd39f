"""Which rows of raw are taken, from both engines: those of the orders asked for that had been loaded by then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import DATABASE, Warehouse, open_duckdb
from insightmart.journal.followed import INVENTORY, SALES
from insightmart.reproducing.past import Code, Cut, Publication, Window
from insightmart.reproducing.raw_of_then import copy_raw
from insightmart.settings import Settings
from tests.support.both_engines import ENGINES, opened

DAY = timedelta(days=1)
NOON = datetime(2026, 3, 5, 12)
OLTP = "agg_sales_hourly__oltp"
MIDNIGHT = datetime(2026, 3, 5)


@pytest.fixture(params=ENGINES)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with opened(request.param, tmp_path / "source", monkeypatch) as empty:
        yield filled(empty)


def filled(warehouse: Warehouse) -> Warehouse:
    """Orders of three days, a refund of the first one on the second day, and a load that came too late."""
    create_tables(warehouse)
    for load, ended in (("1.1", NOON), ("2.1", NOON + DAY), ("3.1", NOON + 2 * DAY)):
        warehouse.insert("ops.loads", [{"load_id": load, "source": "oltp", "ended_at": ended, "status": "loaded"}])

    def order(number: int, at: datetime, load: str) -> dict[str, Any]:
        loaded = {"updated_at": at, "_loaded_at": at, "_dlt_load_id": load}
        return {"order_id": number, "ordered_at": at, "total_amount": Decimal("18.75")} | loaded

    rows = [order(1, NOON, "1.1"), order(2, NOON + DAY, "2.1"), order(1, NOON + 2 * DAY, "3.1")]
    warehouse.insert("raw.oltp_orders", [*rows, order(3, NOON - 9 * DAY, "1.1")])
    line = {"line_number": 1, "unit_price": Decimal("9.6255"), "updated_at": NOON, "_loaded_at": NOON}
    lines = [line | {"order_id": number, "_dlt_load_id": "1.1"} for number in (1, 2, 3)]
    warehouse.insert("raw.oltp_order_lines", lines)
    refund = {"refunded_at": NOON + DAY, "updated_at": NOON + DAY, "_loaded_at": NOON + DAY, "_dlt_load_id": "2.1"}
    refunds = [{"refund_id": 1, "order_id": 3}, {"refund_id": 2, "order_id": None}]
    warehouse.insert("raw.oltp_refunds", [refund | one for one in refunds])
    stocked = {"sku": "A", "on_hand": 1, "_dlt_load_id": "1.1"}
    counts = [
        stocked | {"store_id": store, "counted_at": at, "_loaded_at": at} for store, at in ((1, NOON), (2, NOON - DAY))
    ]
    warehouse.insert("raw.stores_inventory", counts)
    reference = {"store_id": 1, "timezone": "Europe/Berlin", "reference_date": date(2026, 1, 1), "_dlt_load_id": "1.1"}
    warehouse.insert("raw.stores_reference", [reference, reference | {"store_id": 2, "_dlt_load_id": "3.1"}])
    return warehouse


def cut(recorded_at: datetime, windows: dict[str, list[Window]]) -> Cut:
    publication = Publication(1, recorded_at, recorded_at, None, None, {}, [])
    return Cut(publication, Code(None, False, None), windows)


def taken(home: Path, query: str) -> list[Any]:
    with open_duckdb(home / f"{DATABASE}.duckdb") as scratch:
        return [row[0] if len(row) == 1 else row for row in scratch.rows(query)]


def test_all_of_an_order_that_has_something_in_the_window_and_nothing_else(
    warehouse: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    then = cut(NOON + DAY, {OLTP: [(MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)]})
    copied = copy_raw(warehouse, settings, tmp_path / "home", then, SALES.parts, "sales", whole=False)
    assert (copied.loads, copied.last_load) == (2, "2.1")
    # order 2 was placed in it; of order 3, placed long before, a refund was; the refund without an order counts as well
    assert taken(tmp_path / "home", "SELECT order_id FROM raw.oltp_orders ORDER BY 1") == [2, 3]
    assert taken(tmp_path / "home", "SELECT order_id FROM raw.oltp_order_lines ORDER BY 1") == [2, 3]
    assert taken(tmp_path / "home", "SELECT refund_id FROM raw.oltp_refunds ORDER BY 1") == [1, 2]
    assert taken(tmp_path / "home", "SELECT store_id, timezone FROM raw.stores_reference") == [(1, "Europe/Berlin")]
    assert taken(tmp_path / "home", "SELECT COUNT(*) FROM raw.stores_inventory") == [0]
    assert taken(tmp_path / "home", "SELECT total_amount FROM raw.oltp_orders WHERE order_id = 3") == [Decimal("18.75")]
    through = "SELECT covered_through FROM ops.source_watermarks WHERE source = 'oltp' AND entity = 'orders'"
    assert taken(tmp_path / "home", through) == [MIDNIGHT + 2 * DAY]


def test_a_version_that_came_later_is_not_there(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> None:
    windows: dict[str, list[Window]] = {OLTP: [(MIDNIGHT, MIDNIGHT + DAY)]}
    for name, by, versions in (("then", NOON + DAY, 1), ("now", NOON + 3 * DAY, 2)):
        copy_raw(warehouse, settings, tmp_path / name, cut(by, windows), SALES.parts, "sales", whole=False)
        assert taken(tmp_path / name, "SELECT COUNT(*) FROM raw.oltp_orders WHERE order_id = 1") == [versions]


def test_the_whole_history_on_request_and_of_stock_the_dates(
    warehouse: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    windows: dict[str, list[Window]] = {OLTP: [(MIDNIGHT + DAY, MIDNIGHT + 2 * DAY)]}
    then = cut(NOON + 3 * DAY, windows)
    copied = copy_raw(warehouse, settings, tmp_path / "whole", then, SALES.parts, "sales", whole=True)
    assert copied.rows == {"oltp_orders": 4, "oltp_order_lines": 3, "oltp_refunds": 2, "stores_reference": 2}
    then = cut(NOON, {"agg_inventory_daily__stores": [(MIDNIGHT, MIDNIGHT + DAY)]})
    copied = copy_raw(warehouse, settings, tmp_path / "stock", then, INVENTORY.parts, "inventory", whole=False)
    assert copied.rows == {"stores_inventory": 1, "stores_reference": 1}
