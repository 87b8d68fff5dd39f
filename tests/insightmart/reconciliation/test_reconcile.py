"""Reconciliation on a warehouse that the real project has built: everything ties, and whatever is spoilt is found."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fakesnow
import pytest
import snowflake.connector
import sqlglot
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is
from click.testing import CliRunner

from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.cli import cli
from insightmart.errors import FAILED
from insightmart.reconciliation.reconcile import reconcile
from insightmart.reconciliation.result import Difference, ReconcileResult
from insightmart.reconciliation.statements import SQL, with_examples
from insightmart.settings import Settings
from tests.support.fakesnow_session import complete_cursors

AS_OF = datetime(2026, 3, 6, 10, 5)
DAY = date(2026, 3, 5)
LOAD = "1772700000.1"


def _reconcile(warehouse: Warehouse, settings: Settings, run_id: str = "run-1") -> ReconcileResult:
    return reconcile(warehouse, settings, AS_OF, run_id)


def _physical(warehouse: Warehouse, view: str) -> str:
    """The table behind a view of prod: what a fault has to be planted in."""
    definition = warehouse.value(
        "SELECT sql FROM duckdb_views() WHERE lower(schema_name || '.' || view_name) = ?", [view]
    )
    select = sqlglot.parse_one(definition, read="duckdb").find(sqlglot.exp.Select)
    assert select is not None
    table = select.find(sqlglot.exp.Table)
    assert table is not None
    return table.sql("duckdb")


def _failed(result: ReconcileResult) -> list[Difference]:
    return [difference for difference in result.unmatched if difference.status == "failed"]


def _kinds(result: ReconcileResult) -> set[tuple[str, str, str]]:
    return {(d.control, d.entity, d.measure) for d in _failed(result)}


def _total(result: ReconcileResult, entity: str, measure: str) -> dict[str, Decimal | None]:
    (control,) = [c for c in result.controls if (c.control, c.entity, c.measure) == ("rows", entity, measure)]
    names = ("raw", "core", "certified", "excluded", "quarantined")
    return {name: getattr(control, f"{name}_total") for name in names}


def _till(store: int, **figures: str) -> dict[str, Any]:
    amounts = {name: Decimal(value) for name, value in figures.items() if name != "transactions"}
    file = {"file_name": f"tills/store_{store}.csv", "file_line": 2, "_dlt_load_id": LOAD}
    return {"store_id": store, "business_date": DAY, "transactions": int(figures["transactions"])} | amounts | file


def _sold(warehouse: Warehouse, store: int) -> dict[str, str]:
    """Certified store sales of the day, as a store would have sent them."""
    row = warehouse.records(
        "SELECT orders AS transactions, gross_sales, discounts, returns, net_sales FROM certified.agg_sales_daily"
        " WHERE business_date = ? AND store_id = ? AND channel = 'store'",
        [DAY, store],
    )[0]
    return {name: str(value) for name, value in row.items()}


@pytest.mark.slow
def test_every_total_of_the_built_warehouse_ties(built: Warehouse, settings: Settings) -> None:
    result = _reconcile(built, settings)
    assert _failed(result) == []
    assert result.skipped == []
    # 102 orders, 6 of them in EUR, 9 cancelled, 1 a test; hours 00 to 33 are certified.
    assert _total(result, "oltp_orders", "rows") == {
        "raw": Decimal(102),
        "core": Decimal(86),
        "certified": Decimal(86),
        "excluded": Decimal(10),
        "quarantined": Decimal(6),
    }
    # 102 lines and 7 with a negative quantity; 10 orders do not count, one of them with a negative line.
    lines = _total(result, "oltp_order_lines", "rows")
    assert lines["raw"] == Decimal(109)
    assert lines["certified"] == Decimal(86)
    assert _total(result, "oltp_order_lines", "amount")["certified"] == 86 * 2 * Decimal("9.6255")
    assert _total(result, "oltp_refunds", "rows") == {
        "raw": Decimal(10),
        "core": Decimal(8),
        "certified": Decimal(8),
        "excluded": Decimal(1),  # of a cancelled order
        "quarantined": Decimal(1),
    }
    stock = _total(result, "stores_inventory", "rows")
    assert (stock["raw"], stock["certified"], stock["excluded"], stock["quarantined"]) == (306, 102, 102, 102)
    assert {d.status for d in result.unmatched} == {"pending", "rounded"}  # no till has come


@pytest.mark.slow
def test_a_row_lost_on_the_way_is_found_where_it_was_lost(built: Warehouse, settings: Settings) -> None:
    built.execute(f"DELETE FROM {_physical(built, 'certified.fct_orders__oltp')} WHERE order_id = '5'")
    result = _reconcile(built, settings)
    (rows,) = [d for d in _failed(result) if (d.control, d.measure) == ("rows", "rows")]
    assert (rows.entity, rows.store_id, rows.difference) == ("oltp_orders", 3, Decimal(1))
    assert rows.core_total is not None
    assert rows.certified_total == rows.core_total - 1
    # The order level lacks what the aggregates still have.
    assert ("levels", "sales_store", "orders") in _kinds(result)
    assert result.differences == len(_failed(result))
    assert result.summary.endswith(f"{result.differences} differ")


@pytest.mark.slow
def test_hours_days_and_orders_agree_for_each_channel_of_a_store(built: Warehouse, settings: Settings) -> None:
    hourly = _physical(built, "certified.agg_sales_hourly__oltp")
    built.execute(
        f"UPDATE {hourly} SET channel = 'phone' WHERE business_date = ? AND store_id = 1 AND business_hour = 9", [DAY]
    )
    failed = [d for d in _failed(_reconcile(built, settings)) if d.measure == "orders"]
    found = {d.entity: (d.control, d.store_id, d.source_total, d.core_total, d.certified_total) for d in failed}
    # The store as a whole still agrees; its channels do not.
    assert found == {
        "sales_phone": ("levels", 1, Decimal(2), Decimal(3), Decimal(3)),
        "sales_store": ("levels", 1, Decimal(19), Decimal(18), Decimal(18)),
    }


@pytest.mark.slow
def test_a_cent_more_in_core_is_found(built: Warehouse, settings: Settings) -> None:
    table = _physical(built, "core.fct_refunds__oltp")
    built.execute(f"UPDATE {table} SET refund_amount = refund_amount + 0.0001 WHERE refund_id = '1'")
    (difference,) = _failed(_reconcile(built, settings))
    assert (difference.control, difference.entity, difference.measure) == ("rows", "oltp_refunds", "amount")
    assert difference.difference == Decimal("-0.0001")


@pytest.mark.slow
def test_a_row_that_staging_never_saw_is_found(built: Warehouse, settings: Settings) -> None:
    row = {"order_id": 900, "store_id": 1, "channel": "store", "status": "paid", "currency": "USD", "is_test": False}
    at = datetime(2026, 3, 5, 12)
    built.insert(
        "raw.oltp_orders",
        [row | {"ordered_at": at, "updated_at": at, "total_amount": 5, "_loaded_at": AS_OF, "_dlt_load_id": LOAD}],
    )
    result = _reconcile(built, settings)
    assert _kinds(result) == {
        ("rows", "oltp_orders", "rows"),
        ("rows", "oltp_orders", "amount"),
        ("loads", "oltp_orders", "rows"),
    }


@pytest.mark.slow
def test_an_open_correction_explains_the_days_it_touches(built: Warehouse, settings: Settings) -> None:
    table = _physical(built, "core.fct_orders__oltp")
    built.execute(f"UPDATE {table} SET total_amount = 0 WHERE order_id = '40'")
    window = {"window_id": "w", "source": "oltp", "entity": "sales", "status": "open"}
    window |= {"window_start": datetime(2026, 3, 5, 13), "window_end": datetime(2026, 3, 5, 14)}
    built.insert("ops.correction_windows", [window])
    result = _reconcile(built, settings)
    assert result.differences == 0
    assert {d.status for d in result.unmatched} == {"correction open", "pending", "rounded"}
    built.execute("UPDATE ops.correction_windows SET source = 'shopify'")
    assert _reconcile(built, settings, "run-2").differences == 1


@pytest.mark.slow
def test_tills_tie_are_explained_by_the_quarantine_or_differ(built: Warehouse, settings: Settings) -> None:
    ties = _sold(built, 1)
    with_rejected = _sold(built, 2)
    rejected = built.records(
        "SELECT COUNT(*) AS orders FROM staging._oltp_orders AS o WHERE rule_ids IS NOT NULL AND store_id = 2"
        " AND channel = 'store' AND is_counted AND ordered_at < '2026-03-05 23:00'"
    )[0]["orders"]
    assert rejected > 0
    with_rejected["transactions"] = str(int(with_rejected["transactions"]) + rejected)
    wrong = _sold(built, 3)
    wrong["returns"] = str(Decimal(wrong["returns"]) + 7)
    wrong["net_sales"] = str(Decimal(wrong["net_sales"]) - 7)
    built.insert("raw.stores_tills", [_till(1, **ties), _till(2, **with_rejected), _till(3, **wrong)])
    result = _reconcile(built, settings)
    tills = {(d.store_id, d.measure): d for d in result.unmatched if d.control == "tills"}
    assert {key: d.status for key, d in tills.items()} == {
        (2, "transactions"): "quarantined",
        (3, "returns"): "failed",
        (3, "net_sales"): "failed",
    }
    assert tills[3, "returns"].difference == Decimal(7)
    assert tills[2, "transactions"].difference == Decimal(rejected)


@pytest.mark.slow
def test_a_till_may_lag_two_hours_behind_a_change_of_its_day(built: Warehouse, settings: Settings) -> None:
    stale = _sold(built, 1)
    for name in ("gross_sales", "net_sales"):
        stale[name] = str(Decimal(stale[name]) + Decimal("0.01"))
    built.insert("raw.stores_tills", [_till(1, **stale)])
    order_id = built.value(
        "SELECT order_id FROM certified.fct_orders WHERE business_date = ? AND store_id = 1 AND channel = 'store'",
        [DAY],
    )
    built.execute(
        "UPDATE raw.oltp_orders SET updated_at = ? WHERE order_id = ?", [datetime(2026, 3, 6, 9, 30), int(order_id)]
    )

    def statuses(result: ReconcileResult) -> dict[str, str]:
        return {d.measure: d.status for d in result.unmatched if d.store_id == 1 and d.control == "tills"}

    assert statuses(_reconcile(built, settings)) == {"gross_sales": "pending", "net_sales": "pending"}
    later = reconcile(built, settings, datetime(2026, 3, 6, 13, 5), "run-2")
    assert statuses(later) == {"gross_sales": "failed", "net_sales": "failed"}


@pytest.mark.slow
def test_a_till_that_came_after_the_orders_were_read_last_waits_for_them(built: Warehouse, settings: Settings) -> None:
    ahead = _sold(built, 1)
    ahead["transactions"] = str(int(ahead["transactions"]) + 9)  # more than quarantine could explain
    built.insert("raw.stores_tills", [_till(1, **ahead) | {"_loaded_at": datetime(2026, 3, 6, 10, 5)}])
    read = "UPDATE ops.source_watermarks SET updated_at = ? WHERE source = 'oltp'"

    def statuses(run_id: str) -> list[str]:
        result = _reconcile(built, settings, run_id)
        return [d.status for d in result.unmatched if d.store_id == 1 and d.control == "tills"]

    built.execute(read, [datetime(2026, 3, 6, 9, 5)])
    assert statuses("run-1") == ["pending"]
    built.execute(read, [datetime(2026, 3, 6, 10, 5)])
    assert statuses("run-2") == ["failed"]


@pytest.mark.slow
def test_a_day_is_compared_with_its_till_only_when_it_has_ended_in_the_store(
    built: Warehouse, settings: Settings
) -> None:
    built.execute("UPDATE ops.source_watermarks SET covered_through = '2026-03-06 04:00' WHERE source = 'oltp'")
    compared = {d.store_id for d in _reconcile(built, settings).unmatched if d.control == "tills"}
    assert compared == {2, 3}  # in New York 2026-03-05 ends at 05:00 UTC


@pytest.mark.slow
def test_a_load_that_landed_less_than_its_source_counted_is_found(built: Warehouse, settings: Settings) -> None:
    built.execute("UPDATE ops.loads SET source_count = source_count + 1 WHERE source = 'oltp' AND entity = 'refunds'")
    built.execute("UPDATE ops.loads SET source_count = source_count + 1 WHERE source = 'shopify' AND entity = 'orders'")
    result = _reconcile(built, settings)
    assert _kinds(result) == {("loads", "oltp_refunds", "rows")}
    assert {(d.entity, d.status) for d in result.unmatched if d.control == "loads" and d.status != "failed"} == {
        ("shopify_orders", "edited meanwhile")
    }


@pytest.mark.slow
def test_dates_before_the_last_ones_are_reconciled_alone(built: Warehouse, settings: Settings) -> None:
    _reconcile(built, settings)
    before = DAY - timedelta(days=1)
    for first, last in ((DAY, DAY), (before, DAY), (before, before)):
        result = reconcile(built, settings, AS_OF, f"of-{first}-{last}", first, last)
        assert result.statuses["matched"] > 0


@pytest.mark.slow
def test_store_rows_are_kept_once_and_again_when_they_change(built: Warehouse, settings: Settings) -> None:
    def kept(run_id: str) -> int:
        return int(
            built.value(
                "SELECT COUNT(*) FROM ops.reconciliations"
                " WHERE run_id = ? AND store_id IS NOT NULL AND status = 'matched'",
                [run_id],
            )
        )

    first = _reconcile(built, settings, "run-1")
    assert kept("run-1") == first.statuses["matched"] - _loads(first)
    second = _reconcile(built, settings, "run-2")
    assert (kept("run-2"), second.statuses) == (0, first.statuses)
    built.execute(
        "UPDATE ops.reconciliations SET raw_total = raw_total + 1 WHERE run_id = 'run-1' AND entity = 'oltp_refunds'"
    )
    _reconcile(built, settings, "run-3")
    changed = built.value(
        "SELECT COUNT(*) FROM ops.reconciliations"
        " WHERE run_id = 'run-1' AND entity = 'oltp_refunds' AND control = 'rows' AND store_id IS NOT NULL"
    )
    assert kept("run-3") == changed > 0


def _loads(result: ReconcileResult) -> int:
    return sum(control.comparisons for control in result.controls if control.control == "loads")


@pytest.mark.slow
def test_the_command_exits_with_1_when_something_differs(built: Warehouse, settings: Settings) -> None:
    built.execute(f"DELETE FROM {_physical(built, 'certified.fct_refunds__oltp')} WHERE refund_id = '1'")
    built.close()
    result = CliRunner().invoke(cli, ["reconcile", "--as-of", "2026-03-06T10:05", "--json"], standalone_mode=False)
    assert result.return_value == FAILED, result.output
    found = json.loads(result.output)
    assert {(d["entity"], d["status"]) for d in found["unmatched"] if d["control"] == "rows"} == {
        ("oltp_refunds", "failed")
    }
    plain = CliRunner().invoke(cli, ["reconcile", "--as-of", "2026-03-06T10:05"], standalone_mode=False)
    assert "Differences without an explanation" in plain.output
    with open_duckdb(settings.database_path) as warehouse:
        runs = warehouse.rows("SELECT command, status FROM ops.runs ORDER BY started_at")
    assert runs == [("reconcile", "failed"), ("reconcile", "failed")]


def test_where_nothing_is_certified_nothing_is_compared(settings: Settings) -> None:
    result = CliRunner().invoke(cli, ["reconcile", "--as-of", "2026-03-06T10:05"], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert "not compared yet: sales__oltp: nothing is certified yet" in result.output
    assert "0 totals agree, none differs." in result.output


@pytest.mark.slow
def test_both_engines_find_the_same(built: Warehouse, settings: Settings, tmp_path: Path) -> None:
    """The statements through the real Snowflake connector; fakesnow runs them, so names, types and results count."""
    built.execute(f"DELETE FROM {_physical(built, 'certified.fct_orders__oltp')} WHERE order_id = '5'")
    built.insert("raw.stores_tills", [_till(1, **_sold(built, 1))])
    tables = built.rows(
        "SELECT LOWER(table_schema), LOWER(table_name) FROM information_schema.tables WHERE LOWER(table_schema) IN"
        " ('raw', 'ops', 'staging', 'core', 'gate', 'certified') AND LOWER(table_name) <> 'rules'"
    )
    for schema, table in tables:
        built.execute(f"COPY (SELECT * FROM {schema}.{table}) TO '{tmp_path}/{schema}.{table}.parquet'")
    with fakesnow.patch(), pytest.MonkeyPatch.context() as patch:
        complete_cursors(patch)
        connection = snowflake.connector.connect(database="INSIGHTMART", schema="PUBLIC", paramstyle="qmark")
        for schema in {schema for schema, _ in tables}:
            connection.cursor().execute(f"CREATE SCHEMA {schema}")
        for schema, table in tables:
            name = f"INSIGHTMART.{schema.upper()}.{table.upper()}"
            source = f"{tmp_path}/{schema}.{table}.parquet"
            connection._duck_conn.execute(f"CREATE TABLE {name} AS SELECT * FROM '{source}'")
        on_snowflake = _reconcile(Warehouse(connection, "snowflake"), settings)
    on_duckdb = _reconcile(built, settings)
    assert on_duckdb.differences > 0
    assert on_snowflake == on_duckdb


@pytest.mark.slow
def test_every_file_runs_alone_as_its_header_says(built: Warehouse) -> None:
    built.connection.execute((SQL / "duckdb.sql").read_text(encoding="utf-8"))
    for name in sorted(path.stem for path in SQL.glob("*.sql") if path.stem != "duckdb"):
        built.connection.execute(with_examples(name))
    layers = "SELECT layer, COUNT(*), SUM(amount) FROM ({}) AS movements WHERE event_at >= '{}' AND event_at < '{}'"
    hour = ("2026-03-05 09:00", "2026-03-05 10:00")
    tied = f"{layers.format(with_examples('rows_sales_oltp'), *hour)} GROUP BY layer"
    found = {layer: (rows, amount) for layer, rows, amount in built.connection.execute(tied).fetchall()}
    assert set(found) == {"raw", "accepted", "core", "certified"}
    assert len(set(found.values())) == 1
