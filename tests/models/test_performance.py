"""Windows are read as windows: what each model reads for one hour, measured, out of tables that hold days.

DuckDB keeps a table in groups of 122,880 rows with the smallest and largest value of each column, as Snowflake does
with its micro-partitions; a scan tells how many rows it had to look at. Here every group is one day.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlglot import exp

from ingestion.warehouse import Warehouse, open_duckdb

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

pytestmark = pytest.mark.slow

DAYS, ROWS_A_DAY = 5, 122_880
INSTANT = f"TIMESTAMP '2026-03-01' + to_microseconds(i * {86_400_000_000 // ROWS_A_DAY})"
# A line belongs to the hour of its order and a refund names its order, whenever that was: looked up by the order's
# number, which prunes where numbers rise with time. A line without a staged order looks through the numbers in raw.
BY_KEY = {
    ("staging._oltp_order_lines", "raw.oltp_orders"),
    ("staging._oltp_order_lines", "staging._oltp_order_headers"),
    ("staging._oltp_refunds", "staging._oltp_orders"),
    ("staging._oltp_refunds", "staging._oltp_order_lines"),
    ("core.fct_order_lines__shopify", "staging._shopify_orders"),  # what an edit added names its order
}
START, END = datetime(2026, 3, 5, 10), datetime(2026, 3, 5, 11)  # an hour of the last day


def by_hour(project: Context) -> list[Model]:
    """The SQL models that are filled window by window."""
    from sqlmesh.core.model import SqlModel

    found = [m for m in project.models.values() if isinstance(m, SqlModel) and m.kind.is_incremental_by_time_range]
    assert len(found) > 30
    return sorted(found, key=lambda model: model.name)


def cell(column: str, kind: exp.DataType) -> str:
    """A column of row i: every instant is that of the row, every key is its own, every row counts, none is deleted."""
    if column == "_DELETED_AT":
        value = "NULL"
    elif kind.this in (exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.DATE):
        value = INSTANT
    elif column in ("ORDER_ID", "REFUND_ID", "LINE_NUMBER", "LINE_ITEM_ID", "SKU", "FILE_NAME"):
        value = "i"
    else:
        value = {"IS_COUNTED": "TRUE", "IS_RETURNED": "FALSE"}.get(column, "NULL")
    return f"CAST({value} AS {kind.sql('duckdb')})"


@pytest.fixture(scope="module")
def days(project: Context, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Every table that a window is made of, under its logical name: six days, in the order of their time."""
    with open_duckdb(tmp_path_factory.mktemp("days") / "INSIGHTMART.duckdb") as warehouse:
        for schema in ("raw", "staging", "core", "gate", "certified"):
            warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        parents = {name for model in by_hour(project) for name in model.depends_on or ()}
        for model in (project.get_model(name, raise_if_missing=True) for name in sorted(parents)):
            time = model.kind.is_external or model.time_column
            columns = (model.columns_to_types or {}).items()
            listed = ", ".join(f"{cell(column, kind)} AS {column}" for column, kind in columns)
            rows = DAYS * ROWS_A_DAY if time else 0
            table = model.fully_qualified_table.sql("duckdb")
            warehouse.execute(f"CREATE TABLE {table} AS SELECT {listed} FROM range({rows}) AS r(i)")
        warehouse.execute("CHECKPOINT")
        yield warehouse


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Table and rows looked at, of each scan of a plan that was run."""
    if plan.get("operator_type") == "TABLE_SCAN":
        yield plan["extra_info"]["Table"].removeprefix("INSIGHTMART.").lower(), plan["operator_rows_scanned"]
    for child in plan.get("children", ()):
        yield from scans(child)


def looked_at(project: Context, days: Warehouse, model: Model) -> dict[str, float]:
    """Days of each table that one hour of the model looks at, over all its scans."""
    query = model.render_query_or_raise(start=START, end=END, execution_time=END).sql("duckdb")
    ((_, plan),) = days.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
    found: Counter[str] = Counter()
    for table, rows in scans(json.loads(plan)):
        found[table] += rows
    return {table: rows / ROWS_A_DAY for table, rows in found.items()}


def test_an_hour_looks_at_raw_by_load_time_and_at_everything_else_by_its_own_time(
    project: Context, days: Warehouse
) -> None:
    """The day of the hour, and in raw the day before it."""
    wide: dict[tuple[str, str], float] = {}
    for model in by_hour(project):
        found = looked_at(project, days, model)
        assert found, model.name
        wide |= {
            (model.name, table): count
            for table, count in found.items()
            if count >= (3 if table.startswith("raw.") else 2) and (model.name, table) not in BY_KEY
        }
    assert wide == {}


@pytest.mark.parametrize(
    "table", ["fct_orders", "fct_order_lines", "fct_refunds", "fct_inventory", "agg_inventory_daily"]
)
def test_large_certified_tables_are_clustered_as_they_are_asked(project: Context, table: str) -> None:
    """On Snowflake; DuckDB has no such keys and leaves them out."""
    parts = [model for name, model in project.models.items() if f'"{table}__'.upper() in name.upper()]
    certified = [model for model in parts if model.fully_qualified_table.db.lower() == "certified"]
    assert len(certified) == 2
    for model in certified:
        assert [key.name for key in model.clustered_by] == ["BUSINESS_DATE", "STORE_ID"]
