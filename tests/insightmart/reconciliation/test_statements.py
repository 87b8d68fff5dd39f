"""The SQL files of the reconciliation: form, parameters, and the rules that they state once more."""

from __future__ import annotations

import itertools
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import duckdb
import pytest
import sqlglot
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is
from sqlglot import exp

from ingestion.contracts import ENTITIES, entity
from ingestion.loading.versions import event_instant, not_deleted
from ingestion.ops_tables import OPS_TABLES
from ingestion.stores.content import current_loads
from ingestion.warehouse import Warehouse, bind, sql_type
from insightmart.reconciliation.controls import ROWS, Scope
from insightmart.reconciliation.statements import COMPARISON, COUNTS, MOVEMENT, SQL, Statements, examples, statement
from insightmart.settings import Settings

FILES = sorted(path.stem for path in SQL.glob("*.sql") if path.stem != "duckdb")
COUNTED = list(itertools.chain(*ROWS.values()))
CONTROLS = ["loads", "rows", "levels", "order_totals", "tills", "shop_reports"]
START = datetime(2026, 1, 1)
NAMES = ", ".join(MOVEMENT)
AT = datetime(2026, 3, 5, 12)
OF_HOURS = {"known_from": START, "is_sweep": True}  # what the run says of the hours that are counted


@cache
def parsed(name: str) -> exp.Expression:
    return sqlglot.parse_one(statement(name), read="snowflake")


def parameters(sql: str) -> set[str]:
    return set(re.findall(r"(?<!:):([a-z_]+)", sql))


def steps(name: str) -> dict[str, exp.CTE]:
    return {step.alias: step for step in parsed(name).find_all(exp.CTE)}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_one_statement_in_the_format_of_the_models(name: str) -> None:
    (tree,) = sqlglot.parse(statement(name), read="snowflake")
    assert tree is not None
    assert statement(name) == tree.sql("snowflake", pretty=True) + "\n"


@pytest.mark.parametrize("name", FILES)
def test_a_header_explains_just_the_parameters_that_a_run_has_values_for(name: str, settings: Settings) -> None:
    known = {*Scope("run-1", AT, AT.date(), AT.date(), AT).values(settings), *OF_HOURS, "through"}
    assert set(examples(name)) == parameters(statement(name)) <= known
    assert f"insightmart.reconciliation.statements {name}\n" in (SQL / f"{name}.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        *((name, COMPARISON) for name in CONTROLS),
        *((name, MOVEMENT) for name in COUNTED),
        ("all_stores", (*COMPARISON, *COUNTS)),
    ],
)
def test_a_file_selects_the_columns_that_are_kept_of_it(name: str, columns: tuple[str, ...]) -> None:
    select = parsed(name)
    assert isinstance(select, exp.Query)
    assert tuple(select.named_selects) == columns


def test_loads_of_every_entity_are_counted_again() -> None:
    tables = {table.name for table in steps("loads")["landed"].find_all(exp.Table)}
    assert tables == {item.table for item in ENTITIES}


class _Recorder:
    """A warehouse that only remembers statements, as Snowflake would get them."""

    dialect = "snowflake"

    def __init__(self) -> None:
        self.statements: list[tuple[str, list[Any]]] = []

    def execute(self, sql: str, params: list[Any]) -> None:
        self.statements.append((sql, params))


def test_snowflake_gets_a_value_for_every_mark(settings: Settings) -> None:
    recorder = _Recorder()
    scope = Scope("run-1", AT, date(2026, 3, 5), date(2026, 3, 5), AT)
    statements = Statements(recorder, scope.values(settings))  # type: ignore[arg-type]
    for name in COUNTED:
        statements.count(name, OF_HOURS)
    for name in CONTROLS:
        statements.record(name, {"through": AT})
    statements.add_up()
    statements.execute("forget_repetitions")
    assert len(recorder.statements) == 2 * len(COUNTED) + len(CONTROLS) + 2
    for sql, params in recorder.statements:
        tree = sqlglot.parse_one(sql, read="snowflake")
        assert len(list(tree.find_all(exp.Placeholder))) == len(params)
        assert "AT TIME ZONE" not in sql


def test_rows_are_counted_by_hour_under_the_date_that_each_of_them_has_in_its_store(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Kolkata the date changes at 18:30 UTC, within an hour; store 2 is no store yet, store 3 moves there then."""
    warehouse = Warehouse(duckdb.connect(), "duckdb")
    for schema in ("core", "ops"):
        warehouse.execute(f"CREATE SCHEMA {schema}")
    warehouse.execute(f"CREATE TABLE ops.control_totals ({OPS_TABLES['control_totals']})")
    warehouse.execute(
        "CREATE TABLE core.dim_stores AS SELECT * FROM (VALUES"
        " (1, 'Asia/Kolkata', TIMESTAMP '1970-01-01', TIMESTAMP '9999-12-31'),"
        " (3, 'UTC', TIMESTAMP '1970-01-01', TIMESTAMP '2026-03-05 18:30'),"
        " (3, 'Asia/Kolkata', TIMESTAMP '2026-03-05 18:30', TIMESTAMP '9999-12-31')"
        ") AS s (store_id, timezone, valid_from, valid_to)"
    )
    rows = [(at, "NULL", store, 1.25) for at in ("18:29:59.999999", "18:30:00", "18:45:10") for store in (1, 2, 3)]
    rows += [("18:30:00", "'2026-02-28'", 1, 4), ("17:59:59", "NULL", 1, 8), ("19:00:00", "NULL", 1, 8)]
    values = ", ".join(
        f"('orders', 'raw', TIMESTAMP '2026-03-05 {at}', {day}::DATE, {store}, {amount})"
        for at, day, store, amount in rows
    )
    monkeypatch.setattr(
        "insightmart.reconciliation.statements.statement",
        lambda name: statement(name) if name == "duckdb" else f"SELECT * FROM (VALUES {values}) AS v ({NAMES})\n",
    )
    hour = {"events_from": datetime(2026, 3, 5, 18), "events_to": datetime(2026, 3, 5, 19)}
    Statements(warehouse, {"company_timezone": settings.timezone}).count("orders", hour)
    counted = warehouse.rows(
        "SELECT store_id, business_date, row_count, amount FROM ops.control_totals"
        " WHERE event_hour = TIMESTAMP '2026-03-05 18:00' ORDER BY ALL"
    )
    assert counted == [
        (1, date(2026, 2, 28), 1, Decimal(4)),
        (1, date(2026, 3, 5), 1, Decimal("1.25")),
        (1, date(2026, 3, 6), 2, Decimal("2.5")),
        (2, date(2026, 3, 5), 3, Decimal("3.75")),
        (3, date(2026, 3, 5), 1, Decimal("1.25")),
        (3, date(2026, 3, 6), 2, Decimal("2.5")),
    ]
    assert warehouse.value("SELECT SUM(row_count) FROM ops.control_totals") == 10


# --- rules that loads and models state too ------------------------------------------------------------------------


@pytest.fixture
def raw() -> Warehouse:
    """Empty raw tables in memory."""
    warehouse = Warehouse(duckdb.connect(), "duckdb")
    warehouse.execute("CREATE SCHEMA raw")
    for item in ENTITIES:
        columns = ", ".join(f"{column.name} {sql_type(column.type)}" for column in item.raw_columns)
        warehouse.execute(f"CREATE TABLE raw.{item.table} ({columns})")
    return warehouse


def step(warehouse: Warehouse, name: str, wanted: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The rows of one step of a file."""
    before = [f"{cte.alias} AS ({cte.this.sql('snowflake')})" for cte in steps(name).values()]
    until = [cte.alias for cte in steps(name).values()].index(wanted) + 1
    sql = f"WITH {', '.join(before[:until])} SELECT {columns} FROM {wanted} ORDER BY ALL"
    ever = {"loaded_from": datetime(2000, 1, 1), "events_from": datetime(2000, 1, 1), "events_to": datetime(2100, 1, 1)}
    return warehouse.rows(*bind(sql, history_start=START, **ever, **OF_HOURS))


STATED = [None, START - timedelta(1), START, AT, AT + timedelta(days=1), AT + timedelta(days=1, microseconds=1)]
WRITTEN = [None, START - timedelta(1), START, AT]


@pytest.mark.parametrize(
    ("name", "wanted", "column", "table", "stated", "updated"),
    [
        ("rows_sales_oltp", "raw_orders", "event_at", "oltp_orders", "ordered_at", "updated_at"),
        ("rows_sales_oltp", "raw_lines", "changed_at", "oltp_order_lines", "updated_at", "updated_at"),
        ("rows_refunds_oltp", "raw_refunds", "event_at", "oltp_refunds", "refunded_at", "updated_at"),
        ("rows_sales_shopify", "raw_orders", "event_at", "shopify_orders", "processed_at", "updated_at"),
        ("rows_inventory_stores", "raw_counts", "event_at", "stores_inventory", "counted_at", "_loaded_at"),
        ("rows_inventory_shopify", "raw_counts", "event_at", "shopify_inventory", "updated_at", "_loaded_at"),
    ],
)
def test_an_event_has_the_instant_that_the_loads_give_it(
    raw: Warehouse, name: str, wanted: str, column: str, table: str, stated: str, updated: str
) -> None:
    (item,) = [item for item in ENTITIES if item.table == table]
    rows = []
    for number, (said, changed) in enumerate(itertools.product(STATED, WRITTEN)):
        row = dict.fromkeys(item.key, number) if "counted_at" not in item.key else {"store_id": number}
        row |= {"_loaded_at": AT, "_dlt_load_id": "1"} | (
            {"file_name": "f", "file_hash": "h"} if item.from_file else {}
        )
        if updated != stated and updated != "_loaded_at":
            row[updated] = changed
        rows.append(row | {stated: said})
    raw.insert(f"raw.{table}", rows)
    rule = event_instant(stated, updated)
    expected = raw.rows(*bind(f"SELECT {rule} FROM raw.{table} ORDER BY ALL", history_start=START))
    assert step(raw, name, wanted, column) == expected
    assert len({instant for (instant,) in expected}) > 2


@pytest.mark.parametrize(
    ("name", "wanted", "table"),
    [
        ("rows_sales_oltp", "raw_orders", "orders"),
        ("rows_sales_oltp", "raw_lines", "order_lines"),
        ("rows_refunds_oltp", "raw_refunds", "refunds"),
    ],
)
def test_a_tombstone_takes_away_what_it_does_for_the_loads(raw: Warehouse, name: str, wanted: str, table: str) -> None:
    item = entity("oltp", table)
    versions = [
        (1, "1", None),
        (1, "2", AT),
        (2, "1", None),
        (2, "2", AT),
        (2, "3", None),
        (3, "5", None),
        (4, "4", AT),
    ]
    raw.insert(
        f"raw.{item.table}",
        [
            dict.fromkeys(item.key, number)
            | {"order_id": number, "updated_at": AT, "_loaded_at": AT, "_dlt_load_id": load, "_deleted_at": deleted}
            for number, load, deleted in versions
        ],
    )
    alive = raw.rows(f"SELECT DISTINCT order_id FROM raw.{item.table} AS r WHERE {not_deleted(item, 'r')} ORDER BY 1")
    assert step(raw, name, wanted, "order_id") == alive == [(2,), (3,)]


def test_pieces_of_a_sku_are_those_of_all_its_items_as_they_were_read_first(raw: Warehouse) -> None:
    """5 and 7 pieces of one SKU are 12 for both items; the first one is read again when the other is down to 2."""
    versions = [
        (1, "1", 5, 12),
        (1, "2", 5, 7),
        (2, "1", 7, 12),
        (3, "1", 4, None),
        (3, "2", 4, 9),
        (4, "1", None, None),
    ]
    raw.insert(
        "raw.shopify_inventory",
        [
            {"inventory_item_id": item, "location_id": 1, "on_hand": own, "sku_on_hand": together}
            | {"updated_at": AT, "_loaded_at": AT, "_dlt_load_id": load}
            for item, load, own, together in versions
        ],
    )
    assert step(raw, "rows_inventory_shopify", "raw_counts", "on_hand") == [(0,), (4,), (12,), (12,)]


def test_the_content_of_a_file_counts_that_does_for_the_loads(raw: Warehouse) -> None:
    contents = [("a", "x", "1"), ("a", "y", "2"), ("b", "x", "1"), ("b", "x", "3"), ("c", "x", "1"), ("c", "y", "2")]
    contents += [("c", "x", "3"), ("d", "z", "9")]
    raw.insert(
        "raw.stores_inventory",
        [
            {"file_name": name, "file_hash": content, "_dlt_load_id": load, "_loaded_at": AT}
            for name, content, load in contents
        ],
    )
    expected = raw.rows(f"SELECT * FROM ({current_loads('raw.stores_inventory')}) AS current_loads ORDER BY ALL")
    assert step(raw, "rows_inventory_stores", "current_loads") == expected
    assert expected == [("a", "2"), ("b", "1"), ("b", "3"), ("c", "3"), ("d", "9")]


@pytest.mark.parametrize(
    ("name", "wanted", "table"),
    [
        ("rows_sales_oltp", "raw_orders", "orders"),
        ("rows_sales_oltp", "raw_lines", "order_lines"),
        ("rows_refunds_oltp", "raw_refunds", "refunds"),
    ],
)
def test_rows_without_a_key_are_told_apart_by_all_their_columns(name: str, wanted: str, table: str) -> None:
    item = entity("oltp", table)
    (content,) = steps(name)[wanted].find_all(exp.ConcatWs)
    columns = [column.name for column in content.find_all(exp.Column, bfs=False)]
    assert columns == [column.name for column in item.columns if column.name not in item.key]
