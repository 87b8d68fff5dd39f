"""When a store's file is in, and how far the hours of all stores are covered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ingestion.stores.bucket import StoreDrops
from ingestion.stores.missing import missing_files
from ingestion.stores.source import ingest
from ingestion.warehouse import Warehouse
from tests.support.store_drops import At, covered, hour, queued

if TYPE_CHECKING:
    from conftest import Drops

pytestmark = pytest.mark.usefixtures("aws")


def test_without_a_reference_only_the_grace_period_counts(at: At, drops: Drops, warehouse: Warehouse) -> None:
    drops.inventory("2026-03-01T00", 7)
    ingest(at("2026-03-01T01:10"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T00")
    ingest(at("2026-03-01T01:29"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T00")
    ingest(at("2026-03-01T01:30"), drops.source)
    assert covered(warehouse) == hour("2026-03-01T01")


def test_nothing_is_covered_before_history_begins(at: At, drops: Drops, warehouse: Warehouse) -> None:
    ingest(at("2026-02-28T12:00"), drops.source)
    assert covered(warehouse) is None


def test_an_hour_is_in_when_every_open_store_has_sent_its_file(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for store in (1, 2, 3):
        drops.reference("2026-03-05", store)
    drops.reference("2026-03-05", 4, opened="2026-03-06")
    drops.reference("2026-03-05", 5, closed="2026-03-05")
    drops.inventory("2026-03-05T10", 1)
    drops.put("inventory/2026/03/05/10/store_002.csv", "garbage\n")  # quarantined: in
    drops.put("inventory/2026/03/05/10/store_003.csv", "")  # empty: not in
    ingest(at("2026-03-05T11:05"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T10")
    assert missing_files(warehouse, hour("2026-03-05T10")) == []
    assert missing_files(warehouse, hour("2026-03-05T10"), hour("2026-03-05T11")) == [(hour("2026-03-05T10"), 3)]
    drops.inventory("2026-03-05T10", 3)
    ingest(at("2026-03-05T11:06"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T11")
    assert (covered(warehouse, "reference"), covered(warehouse, "tills")) == (datetime(2026, 3, 5, 11, 6),) * 2
    assert queued(warehouse) == []


def test_a_missing_file_is_waited_for_and_then_counted_as_missing(at: At, drops: Drops, warehouse: Warehouse) -> None:
    for store in (1, 2):
        drops.reference("2026-03-05", store)
        drops.inventory("2026-03-05T10", store)
    drops.inventory("2026-03-05T11", 1)
    for minute, through in (("12:00", "11"), ("12:29", "11"), ("12:30", "12")):
        ingest(at(f"2026-03-05T{minute}"), drops.source)
        assert covered(warehouse) == hour(f"2026-03-05T{through}")
    assert missing_files(warehouse, hour("2026-03-05T10")) == [(hour("2026-03-05T11"), 2)]
    assert missing_files(warehouse, hour("2026-03-05T12")) == []
    missed = "SELECT store_id, missed_at, arrived_at FROM ops.missing_files WHERE file_hour = ?"
    assert warehouse.rows(missed, [hour("2026-03-05T11")]) == [(2, datetime(2026, 3, 5, 12, 30), None)]
    assert warehouse.rows(missed, [hour("2026-03-05T10")]) == []
    drops.inventory("2026-03-05T11", 2)
    ingest(at("2026-03-05T13:00"), drops.source)
    assert warehouse.rows(missed, [hour("2026-03-05T11")]) == [
        (2, datetime(2026, 3, 5, 12, 30), datetime(2026, 3, 5, 13))
    ]


def test_a_longer_grace_period_lets_several_hours_wait(at: At, drops: Drops, warehouse: Warehouse) -> None:
    source = StoreDrops(drops.source.url, drops.source.endpoint_url, grace_minutes=150)
    drops.reference("2026-03-05", 1)
    for start in ("08", "09", "11"):
        drops.inventory(f"2026-03-05T{start}", 1)
    ingest(at("2026-03-05T12:10"), source)
    assert covered(warehouse) == hour("2026-03-05T10")


def test_the_watermark_never_goes_back(at: At, drops: Drops, warehouse: Warehouse) -> None:
    ingest(at("2026-03-05T12:30"), drops.source)
    ingest(at("2026-03-05T09:00"), drops.source)
    assert covered(warehouse) == hour("2026-03-05T12")
    assert covered(warehouse, "tills") == datetime(2026, 3, 5, 12, 30)


def test_a_store_is_open_by_its_own_calendar(at: At, drops: Drops, warehouse: Warehouse) -> None:
    # at 10:00 UTC it is midnight of the 6th on Kiritimati, at 11:00 it is midnight of the 5th on Pago Pago
    drops.reference("2026-03-05", 1, zone="Pacific/Kiritimati", opened="2026-03-06")
    drops.reference("2026-03-05", 2, zone="Pacific/Kiritimati", closed="2026-03-06")
    drops.reference("2026-03-05", 3, zone="Pacific/Pago_Pago", closed="2026-03-05")
    ingest(at("2026-03-05T12:00"), drops.source)
    assert missing_files(warehouse, hour("2026-03-05T09"), hour("2026-03-05T12")) == [
        (hour("2026-03-05T09"), 2),
        (hour("2026-03-05T09"), 3),
        (hour("2026-03-05T10"), 1),
        (hour("2026-03-05T10"), 3),
        (hour("2026-03-05T11"), 1),
    ]
