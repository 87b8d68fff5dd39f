"""Digests of facts: the same number on both engines, kept for the hours whose rows became other ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.ops_tables import create_tables
from ingestion.warehouse import Warehouse
from insightmart.journal.digests import keep_digests
from tests.support.both_engines import ENGINES, opened

COLUMNS = {"order_id": "VARCHAR", "ordered_at": "TIMESTAMP_NTZ", "amount": "DECIMAL(18, 4)", "business_date": "DATE"}
PART = "fct_orders__oltp"
TEN = datetime(2026, 3, 5, 10)
HOUR = timedelta(hours=1)
ROWS = [
    {"order_id": "1|", "ordered_at": TEN, "amount": Decimal("5.5000"), "business_date": date(2026, 3, 5)},
    {"order_id": None, "ordered_at": TEN + HOUR / 2, "amount": None, "business_date": None},
    {"order_id": "3", "ordered_at": TEN + HOUR, "amount": Decimal("-1.2500"), "business_date": date(2026, 3, 4)},
]


@pytest.fixture(params=ENGINES)
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    with opened(request.param, tmp_path, monkeypatch) as empty:
        yield with_facts(empty)


def with_facts(warehouse: Warehouse) -> Warehouse:
    create_tables(warehouse)
    warehouse.execute("CREATE SCHEMA certified")
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    warehouse.execute(f"CREATE TABLE certified.{PART} ({columns})")
    warehouse.insert(f"certified.{PART}", ROWS)
    return warehouse


def by_hand(*texts: str) -> int:
    return sum(int(hashlib.md5(text.encode()).hexdigest()[16:], 16) for text in texts)


def keep(warehouse: Warehouse, number: int, *windows: tuple[datetime, datetime]) -> None:
    record = {"publication": number, "published_at": TEN, "recorded_at": TEN}
    asked = {"agg_sales_hourly__oltp": list(windows)} if windows else None
    keep_digests(warehouse, {PART: COLUMNS}, asked, record)


def kept(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.rows(
        "SELECT publication, event_hour, row_count, row_digest FROM ops.published_digests ORDER BY 1, 2"
    )


def test_a_digest_is_worked_out_as_stated_on_both_engines(warehouse: Warehouse) -> None:
    """In order of the columns' names: amount, business_date, order_id, ordered_at; instants in microseconds."""
    keep(warehouse, 1)
    ten, eleven = (int((at - datetime(1970, 1, 1)) / timedelta(microseconds=1)) for at in (TEN, TEN + HOUR))
    half_past = ten + 1_800_000_000
    assert kept(warehouse) == [
        (1, TEN, 2, by_hand(f"5.5000|20517|1||{ten}", f"~|~|~|{half_past}")),
        (1, TEN + HOUR, 1, by_hand(f"-1.2500|20516|3|{eleven}")),
    ]


def test_only_hours_whose_rows_became_other_ones_get_an_entry(warehouse: Warehouse) -> None:
    keep(warehouse, 1)
    keep(warehouse, 2, (TEN, TEN + 2 * HOUR))
    assert [row[0] for row in kept(warehouse)] == [1, 1]
    warehouse.execute(f"UPDATE certified.{PART} SET amount = 6 WHERE amount > 5")
    warehouse.execute(f"DELETE FROM certified.{PART} WHERE order_id = '3'")
    keep(warehouse, 3, (TEN, TEN + timedelta(minutes=5)))  # whole hours, whatever the window
    assert [row[:3] for row in kept(warehouse)[2:]] == [(3, TEN, 2)]
    keep(warehouse, 4, (TEN, TEN + 2 * HOUR))
    assert kept(warehouse)[3:] == [(4, TEN + HOUR, 0, None)]
    keep(warehouse, 5, (TEN, TEN + 2 * HOUR))
    assert len(kept(warehouse)) == 4


def test_windows_of_another_part_touch_nothing(warehouse: Warehouse) -> None:
    record = {"publication": 1, "published_at": TEN, "recorded_at": TEN}
    keep_digests(warehouse, {PART: COLUMNS}, {"agg_sales_hourly__shopify": [(TEN, TEN + HOUR)]}, record)
    assert kept(warehouse) == []
