"""Rules that ingestion states in Python and the models in SQL: both say the same of the same data."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.ops_tables import create_tables
from ingestion.stores.content import current_loads
from ingestion.stores.known_files import KnownFiles
from ingestion.stores.missing import missing_files
from ingestion.warehouse import Warehouse, open_duckdb

if TYPE_CHECKING:
    from sqlmesh import Context

DAY = date(2026, 3, 5)
START, END = datetime(2026, 3, 3), datetime(2026, 3, 8)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with open_duckdb(tmp_path / "INSIGHTMART.duckdb") as opened:
        create_tables(opened)
        yield opened


def rows_of(warehouse: Warehouse, project: Context, name: str, columns: str) -> list[tuple[Any, ...]]:
    """What the model's query says of the tables in the warehouse."""
    model = project.get_model(name, raise_if_missing=True)
    query = model.render_query_or_raise(start=START, end=END, execution_time=END).sql("duckdb")
    return warehouse.rows(f"SELECT {columns} FROM ({query}) AS model ORDER BY ALL")


# --- when a store's file is in -----------------------------------------------------------------------------------

ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "Asia/Kolkata")


def stores() -> list[dict[str, Any]]:
    """Stores of many zones that open, close, do both or neither about the day."""
    opened, closed = (None, DAY, DAY + timedelta(days=1)), (None, DAY, DAY + timedelta(days=1))
    return [
        {"store_id": number, "timezone": zone, "opened_on": opens, "closed_on": closes}
        for number, (zone, opens, closes) in enumerate(product(ZONES, opened, closed), start=1)
    ]


def test_the_stores_whose_file_of_an_hour_is_missing(warehouse: Warehouse, project: Context) -> None:
    warehouse.insert("raw.stores_reference", [{"reference_date": DAY, "_dlt_load_id": "1"} | one for one in stores()])
    warehouse.execute("CREATE SCHEMA core")
    warehouse.execute(
        "CREATE TABLE core.dim_stores__reference AS SELECT store_id, timezone, opened_on, closed_on,"
        " TIMESTAMP '1970-01-01' AS valid_from, TIMESTAMP '9999-12-31' AS valid_to FROM raw.stores_reference"
    )
    warehouse.execute("CREATE TABLE core.dim_dates (calendar_date DATE)")
    warehouse.insert("core.dim_dates", [{"calendar_date": date(2026, 3, day)} for day in range(1, 10)])
    warehouse.execute("CREATE TABLE core.fct_inventory__stores (store_id BIGINT, counted_hour TIMESTAMP)")
    expected = missing_files(warehouse, START, END)
    chance = random.Random(7)
    arrived = [place for place in expected if chance.random() < 0.6]
    for hour, store_id in arrived:
        warehouse.insert(
            "ops.files",
            [{"source": "stores", "entity": "inventory", "status": "loaded", "store_id": store_id, "file_hour": hour}],
        )
    warehouse.insert("core.fct_inventory__stores", [{"store_id": s, "counted_hour": hour} for hour, s in arrived])
    open_stores = Counter(hour for hour, _ in expected)
    missing = Counter(hour for hour, _ in missing_files(warehouse, START, END))
    hours = [START + timedelta(hours=hour) for hour in range(5 * 24)]
    covered = rows_of(warehouse, project, "core.inventory_coverage", "counted_hour, open_stores, reporting_stores")
    assert covered == [(hour, open_stores[hour], open_stores[hour] - missing[hour]) for hour in hours]
    assert len(set(open_stores.values())) > 4


# --- which content of a file counts ------------------------------------------------------------------------------


def test_the_content_of_a_file_that_counts(warehouse: Warehouse, project: Context) -> None:
    chance = random.Random(7)
    for load in range(1, 9):
        for number in range(1, 13):
            if chance.random() < 0.5:
                bring(warehouse, f"in/{number:02d}.csv", number, chance.choice("abc"), f"{load}", chance.randint(0, 2))
    by_model = rows_of(warehouse, project, "staging._stores_inventory", "file_name, raw_load_id, file_hash, file_line")
    by_python = warehouse.rows(
        "SELECT file_name, _dlt_load_id, file_hash, file_line FROM raw.stores_inventory"
        f" WHERE (file_name, _dlt_load_id) IN ({current_loads('raw.stores_inventory')}) ORDER BY ALL"
    )
    assert by_model == by_python
    assert len(by_model) < warehouse.value("SELECT COUNT(*) FROM raw.stores_inventory")
    known = KnownFiles.of(warehouse, DAY, DAY)
    assert known.loaded == {name: content for name, _, content, _ in by_model}


def bring(warehouse: Warehouse, name: str, store_id: int, content: str, load_id: str, rows: int) -> None:
    """A load brings some rows of a content of a file; of a later part other lines."""
    at = datetime(2026, 3, 5, 10)
    lines = [int(load_id) * 10 + number for number in range(rows)]
    row = {"store_id": store_id, "sku": "A", "on_hand": 1, "counted_at": at, "file_name": name, "file_hash": content}
    warehouse.insert(
        "raw.stores_inventory",
        [row | {"file_line": line, "_loaded_at": at + timedelta(hours=1), "_dlt_load_id": load_id} for line in lines],
    )
    seen = {"source": "stores", "entity": "inventory", "file_name": name, "file_hash": content, "content_hash": content}
    warehouse.insert(
        "ops.files",
        [seen | {"store_id": store_id, "file_date": DAY, "rows": rows, "status": "loaded", "load_id": load_id}],
    )
