"""What a cycle has the copy for readers written anew is found without a look at the rest, whatever lies before it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.commands.session import Session
from insightmart.read_copy import copy_path
from insightmart.readers.changed_rows import ORDER, Basis, changed_rows
from insightmart.readers.publishing import publish_copy
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings
from tests.support.scans import CountingWarehouse

pytestmark = pytest.mark.slow

ROWS_A_DAY = 2048  # the smallest group that DuckDB can be told to make
LAST_DAY = datetime(2026, 3, 6)
INSTANTS = {"certified.fct_orders": "ordered_at", "certified.fct_inventory": "counted_hour"}


def conditions(built: Warehouse, settings: Settings) -> dict[str, str]:
    """After a cycle that published an hour, one corrected three days before, and a customer whom an order named."""
    publish_copy(built, settings.home, is_settled=True)
    windows = [
        [part, str(LAST_DAY + timedelta(days=day, hours=9)), str(LAST_DAY + timedelta(days=day, hours=10))]
        for part in ("agg_sales_hourly__oltp", "agg_inventory_daily__stores")
        for day in (0, -3)
    ]
    last = built.value("SELECT MAX(publication) FROM ops.publications") or 0
    built.insert("ops.publications", [{"publication": last + 1, "windows": json.dumps(windows)}])
    ((gate,),) = built.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'GATE__CUSTOMERS__%'")
    passed = {"window_start": LAST_DAY + timedelta(hours=10), "scanned_at": utc_now()}
    built.insert(f'"sqlmesh__GATE"."{gate}"', [passed])
    built.execute(f"ATTACH '{copy_path(settings.home)}' AS readers (READ_ONLY)")
    kept = Basis.kept(built, "readers.ops.read_copy")
    assert kept is not None
    found = changed_rows(built, kept, Basis.of(built))
    built.execute("DETACH readers")
    assert found is not None
    return dict(found)


def looked_at(condition: str, column: str, place: Path, days: int) -> int:
    """Rows of a table of so many days, a group each, that a condition has read."""
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{place / f'{days}.duckdb'}' AS w (ROW_GROUP_SIZE {ROWS_A_DAY})")
    instant = (
        f"TIMESTAMP '{LAST_DAY}' + to_days(1) - to_microseconds(CAST(i * {86_400_000_000 // ROWS_A_DAY} AS BIGINT))"
    )
    value = "-i" if column == "publication" else f"CAST({instant} AS DATE)" if column == "business_date" else instant
    connection.execute(
        f"CREATE OR REPLACE TABLE w.t AS SELECT {value} AS {column} FROM range({days * ROWS_A_DAY}) AS r(i) ORDER BY 1"
    )
    with CountingWarehouse(Warehouse(connection, "duckdb")) as warehouse:
        warehouse.rows(f"SELECT {column} FROM w.t WHERE {condition}")
        return sum(warehouse.looked_at.values())


def test_what_a_cycle_changed_is_found_in_a_long_history_as_in_a_short_one(
    built: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    found = conditions(built, settings)
    columns = {**ORDER, **INSTANTS}
    assert set(columns) <= set(found)
    read = {
        days: {name: looked_at(found[name], column, tmp_path, days) for name, column in columns.items()}
        for days in (8, 80)
    }
    assert read[80] == read[8]
    assert all(0 <= rows <= 6 * ROWS_A_DAY for rows in read[8].values())


def test_what_no_load_brought_anything_of_is_not_written_anew(built: Warehouse, settings: Settings) -> None:
    by_load = ("quarantine.oltp_customers", "raw.stores_reference", "quarantine.shopify_products")
    assert {conditions(built, settings)[name] for name in by_load} == {"FALSE"}
    load = {"source": "oltp", "entity": "customers", "status": "loaded", "ROWS": 1}
    built.insert("ops.loads", [load | {"started_at": utc_now() + timedelta(hours=1)}])
    assert "quarantine.oltp_customers" not in conditions(built, settings)


@pytest.mark.parametrize("failed", [True, False])
def test_what_passed_its_gate_before_a_cycle_failed_is_shown_by_the_next(
    failed: bool, built: Warehouse, settings: Settings
) -> None:
    """The gate is not passed again, and its aggregate is not written again, when the model that failed is."""
    cycles = Session("cycle", settings, built, utc_now())
    for late in (False, True):
        with cycles.recorded_run(LAST_DAY + timedelta(hours=11 + late)) as run:
            if failed and not late:
                run.fail([RunProblem(ProblemKind.MODEL, "certified.dim_customers", "the disk is full")])
            if late:  # what the cycle before could not write, without another scan and another window of sales
                for table, column, value in (
                    ("DIM_CUSTOMERS", "customer_id", "'late'"),
                    ("ROW_COUNTS__OLTP", "row_count", "77"),
                ):
                    pattern = f"CERTIFIED__{table}__%"
                    ((name,),) = built.rows("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE ?", [pattern])
                    place = f'"sqlmesh__CERTIFIED"."{name}"'
                    built.execute(f"INSERT INTO {place} SELECT * REPLACE ({value} AS {column}) FROM {place} LIMIT 1")
    with duckdb.connect(str(copy_path(settings.home)), read_only=True) as copy:
        shown = [
            copy.execute(f"SELECT COUNT(*) FROM certified.{condition}").fetchall()
            for condition in ("dim_customers WHERE customer_id = 'late'", "row_counts WHERE row_count = 77")
        ]
    assert shown == [[(int(failed),)]] * 2  # after one that did not fail they would have had a scan
