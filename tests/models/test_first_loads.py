"""The same raw gives the same rows, built hour by hour as it came in or in one go, with the load that each names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from ingestion.warehouse import DATABASE, Warehouse

if TYPE_CHECKING:
    from sqlmesh import Context

pytestmark = pytest.mark.slow

HOUR = timedelta(hours=1)
FIRST, LAST = datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 12)
BUILT = [
    "staging._oltp_order_headers",
    "staging._oltp_order_lines",
    "staging._oltp_orders",
    "staging._oltp_refunds",
    "staging._shopify_order_headers",
]


def record(table: str, number: int, minute: int, **changes: Any) -> tuple[str, dict[str, Any]]:
    """A good row of raw, of an event so many minutes after the first hour began."""
    at = FIRST + timedelta(minutes=minute)
    amounts = {"discount_amount": 0, "tax_amount": 0}
    placed = {"store_id": 12, "channel": "store", "status": "paid", "currency": "USD", "shipping_amount": 0}
    stated: dict[str, dict[str, Any]] = {
        "oltp_orders": {**placed, **amounts, "is_test": False, "ordered_at": at, "total_amount": 5},
        "oltp_order_lines": {**amounts, "line_number": 1, "sku": "A", "quantity": 1, "unit_price": 5},
        "oltp_refunds": {"refund_id": number, "line_number": 1, "quantity": 1, "amount": 5, "refunded_at": at},
        "shopify_orders": {"is_test": False, "currency": "USD", "processed_at": at},
    }
    return table, {"order_id": number, "updated_at": at, **stated[table], **changes}


TABLES = ("oltp_orders", "oltp_order_lines", "oltp_refunds", "shopify_orders")
FIRST_HOUR = [record(table, 1, 50) for table in TABLES]
AHEAD = [record(table, 2, 55, updated_at=FIRST + 5 * HOUR) for table in TABLES]  # written by a clock that runs ahead
KEYLESS = [record("oltp_orders", 0, 58, order_id=None), record("oltp_refunds", 0, 59, refund_id=None, order_id=1)]
NEXT_HOUR = [record(table, 3, 70) for table in TABLES]
ORPHAN = [record("oltp_order_lines", 9, 57)]
# Each load reads what the one before it had read last once more.
LOADS = [
    (FIRST + timedelta(minutes=65), [*FIRST_HOUR, *AHEAD, *KEYLESS, *ORPHAN]),
    (FIRST + timedelta(minutes=125), [*FIRST_HOUR, *AHEAD, *KEYLESS, *ORPHAN, *NEXT_HOUR]),
    (FIRST + timedelta(minutes=185), [*AHEAD, *NEXT_HOUR]),
]


class Stages:
    """The models of staging as tables under their own names, on a database in memory."""

    def __init__(self, project: Context) -> None:
        self.project = project
        connection = duckdb.connect()
        connection.execute(f"ATTACH ':memory:' AS {DATABASE}")
        self.warehouse = Warehouse(connection, "duckdb")
        self.warehouse.execute(f"USE {DATABASE}")
        for schema in ("raw", "staging"):
            self.warehouse.execute(f"CREATE SCHEMA {schema}")
        for name in [*BUILT, *(f"raw.{table}" for table in TABLES)]:
            model = project.get_model(name, raise_if_missing=True)
            columns = ", ".join(f"{c} {kind.sql('duckdb')}" for c, kind in (model.columns_to_types or {}).items())
            self.warehouse.execute(f"CREATE TABLE {name} ({columns})")

    def load(self, instant: datetime, rows: list[tuple[str, dict[str, Any]]]) -> None:
        """One load."""
        for table, row in rows:
            load = {"_loaded_at": instant, "_dlt_load_id": f"{instant.timestamp():.1f}"}
            self.warehouse.insert(f"raw.{table}", [row | load])

    def build(self, start: datetime, end: datetime, now: datetime) -> None:
        """A window of every model."""
        for name in BUILT:
            model = self.project.get_model(name, raise_if_missing=True)
            query = model.render_query_or_raise(start=start, end=end, execution_time=now)
            self.warehouse.execute(f"INSERT INTO {name} BY NAME {query.sql('duckdb')}")

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        """What a model holds, but for when it was judged and which load the online ledger is read from."""
        beside = {"STAGED_AT", "LEDGER_LOAD_ID"}
        columns = self.project.get_model(name, raise_if_missing=True).columns_to_types or {}
        return self.warehouse.rows(
            f"SELECT {', '.join(c for c in columns if c not in beside)} FROM {name} ORDER BY ALL"
        )


def test_rows_built_as_their_loads_came_in_are_those_built_of_all_loads_in_one_go(project: Context) -> None:
    by_hour, in_one_go = Stages(project), Stages(project)
    hour = FIRST
    for instant, rows in LOADS:
        by_hour.load(instant, rows)
        in_one_go.load(instant, rows)
        if hour < LAST:
            by_hour.build(hour, hour + HOUR, instant)
            hour += HOUR
    in_one_go.build(FIRST, LAST, LOADS[-1][0])
    for name in BUILT:
        assert len(in_one_go.rows(name)) >= 3, name
        assert by_hour.rows(name) == in_one_go.rows(name), name
