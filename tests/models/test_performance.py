"""An hour costs an hour, whatever lies before it: the rows that each model looks at, out of tables that hold days.

DuckDB keeps a table in groups of rows with the smallest and largest value of each column, as Snowflake does with its
micro-partitions; a scan tells how many rows it had to look at. Here every group is one day, and the same hour is asked
for of a short and of a long history.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from sqlglot import exp

from ingestion.warehouse import DATABASE, Warehouse

if TYPE_CHECKING:
    from sqlmesh import Context
    from sqlmesh.core.model import Model

pytestmark = pytest.mark.slow

Found = dict[tuple[str, str], float]

SHORT, LONG = 5, 50  # days of history
ROWS_A_DAY = 2048  # the smallest group that DuckDB can be told to make
FIRST_NUMBER = 1_000_000_000  # numbers of orders rise with time, also as texts
LAST_DAY = datetime(2026, 3, 5)
START, END = LAST_DAY + timedelta(hours=10), LAST_DAY + timedelta(hours=11)
UNKNOWN_ORDER = 7

# An hour that names many orders, one of them old, looks through those between: docs/performance.md names the queries.
# Where it names few, each is found by itself.
BY_NUMBER = {
    ("staging._oltp_refunds", "raw.oltp_orders"),
    ("staging._oltp_refunds", "staging._oltp_orders"),
    ("staging._oltp_refunds", "staging._oltp_order_lines"),
    ("core.fct_order_lines__shopify", "staging._shopify_orders"),  # what an edit added names its order
}


def by_hour(project: Context) -> list[Model]:
    """The SQL models that are filled window by window."""
    from sqlmesh.core.model import SqlModel

    found = [m for m in project.models.values() if isinstance(m, SqlModel) and m.kind.is_incremental_by_time_range]
    assert len(found) > 30
    return sorted(found, key=lambda model: model.name)


def cell(column: str, kind: exp.DataType, first_day: datetime) -> str:
    """A column of row i: every instant is that of the row, every key is its own, a day has a handful of tombstones."""
    instant = f"TIMESTAMP '{first_day}' + to_microseconds(i * {86_400_000_000 // ROWS_A_DAY})"
    if column == "_DELETED_AT":
        value = f"CASE WHEN i % 500 = 7 THEN {instant} END"
    elif kind.this in (exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.DATE):
        value = instant
    elif column.endswith("_LOAD_ID"):
        value = f"{1_700_000_000 + int((first_day - LAST_DAY).total_seconds())} + i * 42"
    elif column in (
        "ORDER_ID",
        "REFUND_ID",
        "CUSTOMER_ID",
        "LINE_NUMBER",
        "LINE_ITEM_ID",
        "SKU",
        "FILE_NAME",
        "SALE_ID",
    ):
        value = f"{FIRST_NUMBER} + i"
    else:
        value = {"IS_COUNTED": "TRUE", "IS_RETURNED": "FALSE", "TOTAL_AMOUNT": "1"}.get(column, "NULL")
    return f"CAST({value} AS {kind.sql('duckdb')})"


def with_small_groups(home: Path, days: int) -> Warehouse:
    """A warehouse without tables, which keeps a day of each in a group of its own."""
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{home / f'{days}.duckdb'}' AS {DATABASE} (ROW_GROUP_SIZE {ROWS_A_DAY})")
    warehouse = Warehouse(connection, "duckdb")
    warehouse.execute(f"USE {DATABASE}")
    for schema in ("raw", "staging", "quarantine", "core", "gate", "certified"):
        warehouse.execute(f"CREATE SCHEMA {schema}")
    return warehouse


def filled(project: Context, home: Path, days: int) -> Warehouse:
    """Every table that a window is made of, under its logical name, in the order of its time."""
    warehouse = with_small_groups(home, days)
    parents = {name for model in by_hour(project) for name in model.depends_on or ()}
    for model in (project.get_model(name, raise_if_missing=True) for name in sorted(parents)):
        fill_with_days(project, warehouse, model.name, days if model.kind.is_external or model.time_column else 0)
    return warehouse


def fill_with_days(project: Context, warehouse: Warehouse, name: str, days: int) -> None:
    """Create the table of a model, with rows of so many days."""
    model = project.get_model(name, raise_if_missing=True)
    first_day = LAST_DAY - timedelta(days=days - 1)
    columns = (model.columns_to_types or {}).items()
    listed = ", ".join(f"{cell(column, kind, first_day)} AS {column}" for column, kind in columns)
    table = model.fully_qualified_table.sql("duckdb")
    warehouse.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT {listed} FROM range({days * ROWS_A_DAY}) AS r(i)")


def name_old_orders(warehouse: Warehouse) -> None:
    """In the hour, too: a refund, an edit and a line of the first order of all, and a line of an order nobody knows."""
    inside = START + timedelta(minutes=30)
    refund = f"TIMESTAMP '{inside}' AS refunded_at, {FIRST_NUMBER} AS order_id, {UNKNOWN_ORDER} AS refund_id"
    written = f"TIMESTAMP '{inside}' AS updated_at"
    for table, changed in (
        ("oltp_refunds", refund),
        ("oltp_order_lines", f"{written}, {FIRST_NUMBER} AS order_id"),
        ("oltp_order_lines", f"{written}, {UNKNOWN_ORDER} AS order_id"),
    ):
        warehouse.execute(
            f"INSERT INTO raw.{table} SELECT * REPLACE ({changed}, NULL AS _deleted_at) FROM raw.{table}"
            f" WHERE _loaded_at >= TIMESTAMP '{inside}' ORDER BY _loaded_at LIMIT 1"
        )
    for table, instant in (("_shopify_sales", "counted_at"), ("_shopify_order_lines", "event_at")):
        is_line = ", TRUE AS is_line" if table == "_shopify_sales" else f", TIMESTAMP '{inside}' AS added_at"
        warehouse.execute(
            f"INSERT INTO staging.{table} SELECT * REPLACE (TIMESTAMP '{inside}' AS {instant}{is_line})"
            f" FROM staging.{table} WHERE order_id = '{FIRST_NUMBER}'"
        )
    warehouse.execute(
        f"INSERT INTO staging._shopify_sales SELECT * REPLACE (TIMESTAMP '{inside}' AS counted_at, FALSE AS is_line,"
        f" FALSE AS is_placed) FROM staging._shopify_sales WHERE order_id = '{FIRST_NUMBER}' LIMIT 1"
    )
    warehouse.execute("CHECKPOINT")


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Table and rows looked at, of each scan of a plan that was run."""
    if plan.get("operator_type") == "TABLE_SCAN":
        yield plan["extra_info"]["Table"].removeprefix(f"{DATABASE}.").lower(), plan["operator_rows_scanned"]
    for child in plan.get("children", ()):
        yield from scans(child)


def looked_at(warehouse: Warehouse, queries: dict[str, str]) -> Found:
    """Days of each table that one hour of each model looks at, over all its scans."""
    found: Counter[tuple[str, str]] = Counter()
    for name, query in queries.items():
        ((_, plan),) = warehouse.rows(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        for table, rows in scans(json.loads(plan)):
            found[name, table] += rows
    return {read: round(rows / ROWS_A_DAY, 1) for read, rows in found.items()}


@pytest.fixture(scope="module")
def queries(project: Context) -> dict[str, str]:
    """The queries of the hour, as DuckDB runs them."""
    return {
        model.name: model.render_query_or_raise(start=START, end=END, execution_time=END).sql("duckdb")
        for model in by_hour(project)
    }


@pytest.fixture(scope="module")
def measured(
    project: Context, queries: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[int, Found]]:
    """What the hour looks at, by days of history: as it mostly is, and with orders of any age in it."""
    home = tmp_path_factory.mktemp("days")
    found: dict[str, dict[int, Found]] = {"usual": {}, "old orders": {}}
    for days in (SHORT, LONG):
        with filled(project, home, days) as warehouse:
            found["usual"][days] = looked_at(warehouse, queries)
            name_old_orders(warehouse)
            found["old orders"][days] = looked_at(warehouse, queries)
    return found


def grown(found: dict[int, Found]) -> set[tuple[str, str]]:
    """The reads of an hour that take more rows of the long history."""
    return {read for read, days in found[LONG].items() if days > found[SHORT][read]}


def test_an_hour_looks_at_as_many_rows_of_a_long_history_as_of_a_short_one(
    measured: dict[str, dict[int, Found]],
) -> None:
    assert grown(measured["usual"]) == set()


def test_an_hour_looks_at_raw_by_load_time_and_at_everything_else_by_its_own_time(
    measured: dict[str, dict[int, Found]],
) -> None:
    """The day of the hour, and in raw the day before it: some of it twice, where one version is told from another."""
    wide = {
        read: days for read, days in measured["usual"][LONG].items() if days > (5 if read[1].startswith("raw.") else 3)
    }
    assert wide == {}


def test_only_what_is_looked_up_by_the_number_of_an_old_order_looks_further_back(
    measured: dict[str, dict[int, Found]],
) -> None:
    assert grown(measured["old orders"]) == BY_NUMBER


# A question that somebody asks each hour of a view over all days -> the tables behind it.
ASKED_OF_VIEWS = {
    "quarantine.oltp_customers": ("event_at >= TIMESTAMP '{start}'", ["raw.oltp_customers"]),
    "certified.agg_sales_like_for_like": (
        "business_date BETWEEN DATE '{start}' AND DATE '{end}'",
        ["certified.agg_sales_hourly__oltp", "certified.agg_sales_hourly__shopify"],
    ),
}
VIEWS = ("staging._oltp_customers", "certified.agg_sales_daily", *ASKED_OF_VIEWS)


@pytest.mark.parametrize("days", [SHORT, LONG])
def test_a_view_over_all_days_is_read_where_it_is_asked(project: Context, tmp_path: Path, days: int) -> None:
    """Nobody is in quarantine, as nearly always: then the other versions of nobody are read."""
    with with_small_groups(tmp_path, days) as warehouse:
        warehouse.execute("SET threads = 1")  # each would begin with a group before it sees that nothing is asked for
        for _, tables in ASKED_OF_VIEWS.values():
            for table in tables:
                fill_with_days(project, warehouse, table, days)
        for name in VIEWS:
            model = project.get_model(name, raise_if_missing=True)
            query = model.render_query_or_raise(start=START, end=END, execution_time=END).sql("duckdb")
            warehouse.execute(f"CREATE VIEW {model.fully_qualified_table.sql('duckdb')} AS {query}")
        found = looked_at(
            warehouse,
            {
                name: f"SELECT COUNT(*) FROM {name} WHERE {condition.format(start=START.date(), end=END.date())}"
                for name, (condition, _) in ASKED_OF_VIEWS.items()
            },
        )
    assert set(found) == {(name, table) for name, (_, tables) in ASKED_OF_VIEWS.items() for table in tables}
    assert {read for read, looked in found.items() if looked > 2} == set()


def test_what_must_hold_of_customers_is_asked_of_those_that_changed(project: Context, tmp_path: Path) -> None:
    model = project.get_model("core.dim_customers", raise_if_missing=True)
    found = {}
    for days in (SHORT, LONG):
        with with_small_groups(tmp_path, days) as warehouse:
            fill_with_days(project, warehouse, "core.dim_customers", days)
            audits = [
                model.render_audit_query(audit, start=START, end=END, execution_time=END, **arguments).sql("duckdb")
                for audit, arguments in model.audits_with_args
            ]
            found[days] = looked_at(warehouse, {str(number): query for number, query in enumerate(audits)})
    assert len(model.audits_with_args) == 3
    assert found[LONG] == found[SHORT]
    assert set(found[LONG].values()) == {1}


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
