"""Which released hours late and rewritten files, and moved time zones, touch."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.stores.source import ingest
from ingestion.warehouse import Warehouse
from tests.support.store_drops import HEADER, At, counts, hour, queued, statuses

if TYPE_CHECKING:
    from conftest import Drops

pytestmark = pytest.mark.usefixtures("aws")


def test_a_late_file_queues_its_hour(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []
    drops.inventory("2026-03-05T10", 2)
    drops.inventory("2026-03-05T12", 1)  # not released yet: in time
    ingest(at("2026-03-05T13:10"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T10"), hour("2026-03-05T11"))]


def test_the_right_file_after_an_empty_one_is_a_correction(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.put("inventory/2026/03/05/10/store_007.csv", "")
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T12:40"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T10"), hour("2026-03-05T11"))]
    assert [row[0] for row in counts(warehouse)] == [7]


def test_a_rewrite_queues_the_hours_of_old_and_new_rows(at: At, drops: Drops, warehouse: Warehouse) -> None:
    name = "inventory/2026/03/05/10/store_007.csv"
    drops.put(
        name, HEADER + "7,A,5,0,2026-03-05T10:15:00Z\n7,B,5,0,2026-03-05T11:15:00Z\n7,C,1,0,2026-03-05T10:20:00Z\n"
    )
    drops.inventory("2026-03-05T06", 7)
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.put(
        name, HEADER + "7,C,1,0,2026-03-05T10:20:00Z\n7,A,5,0,2026-03-05T09:45:00Z\n7,B,5,0,2026-03-05T11:15:00Z\n"
    )
    ingest(at("2026-03-05T12:40"), drops.source)
    assert queued(warehouse) == [("stores", "inventory", hour("2026-03-05T09"), hour("2026-03-05T11"))]


def test_a_rewrite_with_the_same_rows_queues_nothing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-05T10", 7)
    ingest(at("2026-03-05T12:30"), drops.source)
    drops.put("inventory/2026/03/05/10/store_007.csv", HEADER + "\r\n007,A,5,0,2026-03-05T05:15:00-05:00\r\n")
    ingest(at("2026-03-05T12:40"), drops.source)
    assert [status for _, status in statuses(warehouse)] == ["loaded", "loaded"]
    assert queued(warehouse) == []


def sale(warehouse: Warehouse, order_id: int, store_id: int, ordered_at: str, refunded_at: str | None = None) -> None:
    """An order (and a refund of it) as an earlier load brought it."""
    at = datetime.fromisoformat(ordered_at)
    order = {"order_id": order_id, "store_id": store_id, "ordered_at": at, "updated_at": at, "_loaded_at": at}
    warehouse.insert("raw.oltp_orders", [order | {"_dlt_load_id": "0"}])
    if refunded_at:
        then = datetime.fromisoformat(refunded_at)
        refund = {"refund_id": order_id, "order_id": order_id, "refunded_at": then, "updated_at": then}
        warehouse.insert("raw.oltp_refunds", [refund | {"_loaded_at": then, "_dlt_load_id": "0"}])


def release_sales(warehouse: Warehouse, through: datetime) -> None:
    row = {"source": "oltp", "entity": "orders", "covered_through": through}
    warehouse.insert("ops.source_watermarks", [row])


def test_a_time_zone_that_becomes_known_or_changes_moves_all_hours_of_the_store(
    at: At, drops: Drops, warehouse: Warehouse
) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00", refunded_at="2026-03-04T09:10:00")
    sale(warehouse, 2, 2, "2026-03-01T03:00:00", refunded_at="2026-03-04T20:10:00")
    release_sales(warehouse, datetime(2026, 3, 5, 12))
    drops.inventory("2026-03-03T06", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []
    drops.reference("2026-03-05", 1)
    ingest(at("2026-03-05T12:40"), drops.source)
    expected = [
        ("oltp", "sales", hour("2026-03-02T08"), hour("2026-03-04T10")),
        ("stores", "inventory", hour("2026-03-03T06"), hour("2026-03-03T07")),
    ]
    assert queued(warehouse) == expected

    warehouse.execute("UPDATE ops.correction_windows SET status = 'done'")
    drops.reference("2026-03-05", 1, manager="Another")
    drops.reference("2026-03-06", 1)
    ingest(at("2026-03-06T12:50"), drops.source)
    assert queued(warehouse) == []
    drops.reference("2026-03-06", 1, zone="Asia/Tokyo")
    ingest(at("2026-03-06T12:55"), drops.source)
    assert queued(warehouse) == expected


def test_a_time_zone_before_anything_was_released_queues_nothing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00")
    drops.reference("2026-03-05", 1)
    drops.inventory("2026-03-03T06", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == []


def test_only_released_hours_move_with_a_time_zone(at: At, drops: Drops, warehouse: Warehouse) -> None:
    sale(warehouse, 1, 1, "2026-03-02T08:30:00", refunded_at="2026-03-04T09:10:00")
    release_sales(warehouse, datetime(2026, 3, 4, 9))
    drops.reference("2026-03-05", 1)
    ingest(at("2026-03-05T12:30"), drops.source)
    assert queued(warehouse) == [("oltp", "sales", hour("2026-03-02T08"), hour("2026-03-02T09"))]
