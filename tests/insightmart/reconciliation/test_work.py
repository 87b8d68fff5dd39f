"""What an hour's reconciliation reads, counted in rows: the same whatever lies before it, and nothing in nested loops.

Tables hold one row group a day, in the order of time: a scan tells how many rows it had to look at.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.reconciliation.controls import ROWS
from insightmart.reconciliation.reconcile import reconcile
from insightmart.reconciliation.statements import SQL, statement
from insightmart.settings import Settings

pytestmark = pytest.mark.slow
ROWS_A_DAY = 2048  # the smallest row group that DuckDB keeps
AS_OF = datetime(2026, 3, 5, 22, 5)
HOUR = timedelta(hours=1)
WHOLE = ("dim_stores", "dim_dates")  # small, and built whole
KEYS = ("order_id", "line_number", "refund_id", "sale_id", "agreement_id", "line_item_id", "inventory_item_id", "sku")
SAID = {
    "is_counted": "TRUE",
    "is_returned": "FALSE",
    "is_added": "FALSE",
    "channel": "'store'",
    "store_id": "10 + i % 20",
}
SAID |= {"source_system": "CASE WHEN i % 2 = 0 THEN 'oltp' ELSE 'shopify' END", "_deleted_at": "NULL"}
LOOPS = ("NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "CROSS_PRODUCT", "IE_JOIN", "PIECEWISE_MERGE_JOIN")


class Counted(Warehouse):
    """A warehouse that counts, while it is asked to, what its statements look at."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection, "duckdb")
        self.counting = False
        self.scanned: Counter[str] = Counter()
        self.looped: Counter[str] = Counter()

    def _run(self, sql: str, params: Sequence[Any]) -> Any:
        if not self.counting or sql.split()[0] not in ("SELECT", "WITH", "INSERT", "DELETE"):
            return super()._run(sql, params)
        ((_, plan),) = super()._run(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params).fetchall()
        self._add(json.loads(plan))
        return super()._run(sql, params) if sql.split()[0] in ("SELECT", "WITH") else self.connection

    def _add(self, plan: dict[str, Any]) -> None:
        operator = plan.get("operator_type", "")
        if operator == "TABLE_SCAN" and "Table" in plan["extra_info"]:
            self.scanned[".".join(plan["extra_info"]["Table"].lower().split(".")[-2:])] += plan["operator_rows_scanned"]
        if operator in LOOPS:
            self.looped[operator] = max(
                self.looped[operator], *(child["operator_cardinality"] for child in plan["children"])
            )
        for child in plan.get("children", ()):
            self._add(child)


def columns_of(built: Warehouse) -> dict[str, dict[str, str]]:
    """The tables of the project, and the types of their columns."""
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in built.rows(
        "SELECT LOWER(schema_name), LOWER(table_name), LOWER(column_name), data_type FROM duckdb_columns()"
        " WHERE NOT internal ORDER BY column_index"
    ):
        if schema in ("raw", "staging", "core", "certified", "gate", "ops"):
            found.setdefault(f"{schema}.{table}", {})[column] = kind
    return found


def cell(column: str, kind: str, days: int) -> str:
    """A column of row i: every instant is that of the row, every key is its own, everything counts."""
    if column in SAID:
        value = SAID[column]
    elif kind.startswith(("TIMESTAMP", "DATE")):
        value = f"TIMESTAMP '2026-03-06' - INTERVAL {days} DAY + to_microseconds(i * {86_400_000_000 // ROWS_A_DAY})"
    elif column in KEYS or column.endswith("load_id"):
        value = "i"
    else:
        value = "NULL"
    return f'CAST({value} AS {kind}) AS "{column}"'


def filled(built: Warehouse, path: Path, days: int) -> Counted:
    """A warehouse with so many days of history, the last of them the 5th, certified through 22:00."""
    warehouse = Counted(duckdb.connect(config={"threads": 1}))
    warehouse.execute(f"ATTACH '{path}' AS days (ROW_GROUP_SIZE {ROWS_A_DAY})")
    warehouse.execute("USE days")
    warehouse.execute("SET force_compression = 'uncompressed'")  # faster to fill
    for schema in ("raw", "staging", "core", "certified", "gate", "ops"):
        warehouse.execute(f"CREATE SCHEMA {schema}")
    texts = " ".join(statement(path.stem) for path in SQL.glob("*.sql"))
    read = set(re.findall(r"(?:raw|staging|core|certified)\.\w+", texts)) | {"raw.stores_tills"}
    read = {table for table in read if not table.endswith(WHOLE)}
    for table, columns in columns_of(built).items():
        rows = days * ROWS_A_DAY if table in read else 0
        listed = ", ".join(cell(column, kind, days) for column, kind in columns.items())
        warehouse.execute(f"CREATE TABLE {table} AS SELECT {listed} FROM range({rows}) AS r(i)")
        if table.endswith(WHOLE):
            near = "WHERE YEAR(calendar_date) = 2026" if table.endswith("dates") else ""
            warehouse.insert(table, built.records(f"SELECT * FROM {table} {near}"))
    for gate in ROWS:
        passed(warehouse, gate, AS_OF - timedelta(days=2), AS_OF)
    return warehouse


def passed(warehouse: Warehouse, gate: str, start: datetime, end: datetime) -> None:
    """Hours pass their gate."""
    window = {"window_start": start.replace(minute=0), "window_end": end.replace(minute=0), "scanned_at": utc_now()}
    warehouse.insert(f"gate.{gate}", [window])


def steady_hour(built: Warehouse, path: Path, settings: Settings, days: int) -> Counted:
    """The reconciliation of an hour in which nothing but the hour before it is new."""
    warehouse = filled(built, path, days)
    reconcile(warehouse, settings, AS_OF, "sweep", only_changes=True)
    for gate in ROWS:
        passed(warehouse, gate, AS_OF, AS_OF + HOUR)
    warehouse.counting = True
    reconcile(warehouse, settings, AS_OF + HOUR, "hour", only_changes=True)
    warehouse.counting = False
    assert warehouse.rows("SELECT DISTINCT reach FROM ops.reconciled WHERE run_id = 'hour'") == [("changes",)]
    return warehouse


def test_an_hour_looks_at_the_same_rows_whatever_lies_before_it(
    built: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    short = steady_hour(built, tmp_path / "short.duckdb", settings, 10)
    long = steady_hour(built, tmp_path / "long.duckdb", settings, 100)
    assert long.scanned == short.scanned
    assert long.looped == short.looped
    days = {table: rows / ROWS_A_DAY for table, rows in short.scanned.items() if not table.startswith("ops.")}
    assert len(days) > 25
    # of what is staged and built the day of the hour, of raw that and the day before it, in each of its reads
    assert {days[table] for table in days if table.startswith(("staging._oltp", "core.fct_refunds"))} == {1}
    assert days["raw.oltp_order_lines"] == 3  # that day and the day before, and what was deleted since
    # a loop runs over what is small: measures, open corrections, stores and dates; never over orders
    assert short.looped["BLOCKWISE_NL_JOIN"] < 100
    assert short.looped["NESTED_LOOP_JOIN"] < 100
