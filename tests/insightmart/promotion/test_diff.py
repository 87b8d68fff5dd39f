"""Two builds of a table compared row by row, on both engines, every figure worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, datetime
from decimal import Decimal

import duckdb
import fakesnow
import pytest
import snowflake.connector
import sqlmesh  # noqa: F401  before sqlglot writes any SQL: its generators know then what a model is

from ingestion.warehouse import Warehouse
from insightmart.promotion import diff as diffs
from insightmart.promotion.diff import Build, Comparison, TableDiff, compare
from tests.support.fakesnow_session import complete_cursors
from tests.support.scans import ROWS_A_GROUP, CountingWarehouse

COLUMNS = {
    "source_system": "VARCHAR",
    "order_id": "VARCHAR",
    "business_date": "DATE",
    "store_id": "INT",
    "customer_id": "VARCHAR",
    "gross_sales": "DECIMAL(18, 4)",
    "units": "BIGINT",
}
KEY = ("source_system", "order_id")
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


@pytest.fixture(params=["duckdb", "snowflake"])
def warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """DuckDB, and the real Snowflake connector with fakesnow behind it."""
    with fakesnow.patch() if request.param == "snowflake" else nullcontext(), pytest.MonkeyPatch.context() as patch:
        if request.param == "snowflake":
            complete_cursors(patch)
            connection = snowflake.connector.connect(database="INSIGHTMART", schema="PUBLIC", paramstyle="qmark")
        else:
            connection = duckdb.connect()
        with Warehouse(connection, request.param) as opened:
            opened.execute("CREATE SCHEMA scratch")
            yield opened


def diff(
    warehouse: Warehouse,
    before: list[tuple[object, ...]] | None,
    after: list[tuple[object, ...]] | None,
    columns: tuple[dict[str, str], dict[str, str]] = (COLUMNS, COLUMNS),
    grain: tuple[str, ...] = KEY,
) -> TableDiff:
    """Compare tables of these rows."""
    builds = []
    for name, rows, kinds in (("before", before, columns[0]), ("after", after, columns[1])):
        if rows is None:
            builds.append(None)
            continue
        warehouse.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in kinds.items())})")
        warehouse.insert(name, [dict(zip(kinds, row, strict=True)) for row in rows])
        builds.append(Build(name, kinds))
    return compare(warehouse, "scratch", Comparison("certified.fct_orders", grain, *builds))


def row(order_id: str | None, gross: str | None, units: int = 1, day: str = "2026-03-05", **changes: object) -> tuple:
    values = {
        "source_system": "oltp",
        "order_id": order_id,
        "business_date": date.fromisoformat(day),
        "store_id": 12,
        "customer_id": "70",
        "gross_sales": Decimal(gross) if gross is not None else None,
        "units": units,
    }
    return tuple((values | changes).values())


def test_rows_are_added_removed_and_changed_by_their_grain(warehouse: Warehouse) -> None:
    found = diff(
        warehouse,
        [row("1", "10.0000"), row("2", "20.1250"), row("3", "30.0000"), row("4", None)],
        [
            row("1", "10.0000"),
            row("2", "20.1255", customer_id=None),
            row("4", None),
            row("5", "1.5000", day="2026-04-02"),
        ],
    )
    assert (found.rows_before, found.rows_after) == (4, 4)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 1, 1)
    assert found.changed_columns == {"customer_id": 1, "gross_sales": 1}
    assert found.measures == ["gross_sales", "units"]
    march, april = found.months
    assert (march.month, march.rows) == (MARCH, (4, 3))
    assert march.totals == {"gross_sales": (Decimal("60.1250"), Decimal("30.1255")), "units": (4, 3)}
    assert (april.month, april.rows) == (APRIL, (0, 1))
    assert [(sample.kind, sample.key["order_id"]) for sample in found.samples] == [
        ("changed", "2"),
        ("removed", "3"),
        ("added", "5"),
    ]


def test_samples_show_keys_and_measures_and_only_the_names_of_other_columns(warehouse: Warehouse) -> None:
    found = diff(warehouse, [row("1", "1.0000", customer_id="secret")], [row("1", "2.0000", customer_id="hidden")])
    (sample,) = found.samples
    assert sample.measures == {"gross_sales": (Decimal("1.0000"), Decimal("2.0000"))}
    assert sample.changed_columns == ["customer_id", "gross_sales"]
    assert "secret" not in str(sample)
    assert "hidden" not in str(sample)


def test_null_is_equal_to_null_in_keys_and_in_values(warehouse: Warehouse) -> None:
    same = [row(None, "1.0000"), row("2", None, customer_id=None)]
    found = diff(warehouse, same, same)
    assert found.is_equal
    assert found.months == []
    assert found.months_equal == 1


def test_a_row_with_a_null_key_is_paired_and_a_value_that_becomes_null_has_changed(warehouse: Warehouse) -> None:
    found = diff(warehouse, [row(None, "1.0000")], [row(None, None)])
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 0, 1)
    assert found.changed_columns == {"gross_sales": 1}
    assert found.months[0].totals["gross_sales"] == (Decimal("1.0000"), None)


def test_repeated_rows_are_counted_exactly_and_named(warehouse: Warehouse) -> None:
    once, twice = [row("1", "1.0000")], [row("1", "1.0000"), row("1", "1.0000")]
    found = diff(warehouse, twice, once)
    assert (found.rows_added, found.rows_removed, found.rows_changed, found.repeated_keys) == (0, 1, 0, 0)

    for table in ("before", "after", "scratch.fct_orders"):
        warehouse.execute(f"DROP TABLE {table}")
    found = diff(warehouse, twice, [row("1", "2.0000"), row("1", "3.0000"), row("1", "4.0000")])
    assert (found.rows_added, found.rows_removed, found.rows_changed, found.repeated_keys) == (1, 0, 2, 1)
    assert found.changed_columns == {}


def test_columns_that_come_go_or_change_their_type_are_named_and_the_rest_is_compared(warehouse: Warehouse) -> None:
    before = {**COLUMNS, "manager": "VARCHAR"}
    after = {**COLUMNS, "store_id": "VARCHAR", "gross_sales": "DECIMAL(18, 2)", "net_sales": "DECIMAL(18, 4)"}
    found = diff(
        warehouse,
        [(*row("1", "1.0000"), "Ann"), (*row("2", "1.0050"), "Bob")],
        [
            (*row("1", "1.00", store_id="12"), Decimal("0.5")),
            (*row("2", "1.01", store_id="012"), Decimal("0.5")),
        ],
        (before, after),
    )
    assert found.columns_added == {"net_sales": "DECIMAL(18, 4)"}
    assert found.columns_removed == {"manager": "VARCHAR"}
    assert set(found.columns_retyped) == {"store_id", "gross_sales"}
    # 1.0000 is 1.00; 1.0050 is not 1.01; '12' is 12 and '012' is not
    assert (found.rows_changed, found.changed_columns) == (1, {"store_id": 1, "gross_sales": 1})
    assert found.months[0].totals["net_sales"] == (None, Decimal("1.0000"))
    assert not found.is_equal


def test_rows_that_cannot_be_recognised_are_removed_and_added(warehouse: Warehouse) -> None:
    found = diff(warehouse, [row("1", "1.0000")], [row("1", "2.0000")], grain=("source_system", "no_such_column"))
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (1, 1, 0)
    assert found.samples == []


def test_the_verdict_is_the_same_in_whatever_parts_it_is_found(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day at a time: order 2 moves to another, order 3 changes, order 4 has no day, those of the 8th are equal."""
    monkeypatch.setattr(diffs, "ROWS_AT_ONCE", 1)
    same = [row("5", "1.0000", day="2026-03-08"), row("6", "1.0000", day="2026-03-08")]
    found = diff(
        warehouse,
        [
            row("1", "1.0000"),
            row("2", "2.0000"),
            row("3", "3.0000", day="2026-03-06"),
            row("4", "4.0000", business_date=None),
            *same,
        ],
        [
            row("1", "1.0000"),
            row("2", "2.0000", day="2026-03-07"),
            row("3", "3.5000", day="2026-03-06"),
            row("4", "4.5000", business_date=None),
            *same,
        ],
    )
    assert (found.parts, found.parts_compared) == (5, 4)
    assert (found.rows_added, found.rows_removed, found.rows_changed) == (0, 0, 3)
    assert found.changed_columns == {"business_date": 1, "gross_sales": 2}
    undated, march = found.months
    assert (undated.month, undated.totals["gross_sales"]) == (None, (Decimal("4.0000"), Decimal("4.5000")))
    assert (march.month, march.totals["gross_sales"]) == (MARCH, (Decimal("8.0000"), Decimal("8.5000")))


def test_only_days_that_differ_are_compared_row_by_row() -> None:
    """Five days, one order of the third changed: one look at each build, and one more at that day of it."""
    with Warehouse(duckdb.connect(), "duckdb") as warehouse:
        warehouse.execute("CREATE SCHEMA scratch")
        warehouse.execute(
            f"CREATE TABLE b AS SELECT i AS order_id, DATE '2026-03-01' + CAST(i // {ROWS_A_GROUP} AS INT) AS"
            f" business_date, CAST(1 AS DECIMAL(18, 4)) AS gross_sales FROM range({5 * ROWS_A_GROUP}) AS r(i)"
        )
        changed = 2 * ROWS_A_GROUP + 7
        warehouse.execute(
            f"CREATE TABLE a AS SELECT * REPLACE (CASE WHEN order_id = {changed} THEN 2 ELSE gross_sales END AS"
            " gross_sales) FROM b"
        )
        counting = CountingWarehouse(warehouse)
        columns = {"order_id": "BIGINT", "business_date": "DATE", "gross_sales": "DECIMAL(18, 4)"}
        comparison = Comparison("certified.fct_orders", ("order_id",), Build("b", columns), Build("a", columns))
        found = compare(counting, "scratch", comparison)
    assert (found.rows_changed, found.changed_columns) == (1, {"gross_sales": 1})
    assert [sample.key for sample in found.samples] == [{"order_id": changed}]
    assert (found.parts, found.parts_compared) == (5, 1)
    looked_at = {table: rows for table, rows in counting.looked_at.items() if "fct_orders" not in table}
    assert set(looked_at.values()) == {6 * ROWS_A_GROUP}
    assert len(looked_at) == 2


def test_a_table_that_is_new_or_gone(warehouse: Warehouse) -> None:
    new = diff(warehouse, None, [row("1", "1.0000")])
    assert (new.rows_before, new.rows_after, new.rows_added, new.rows_removed) == (0, 1, 1, 0)
    assert new.months[0].totals["gross_sales"] == (None, Decimal("1.0000"))
    gone = diff(warehouse, [row("1", "1.0000")], None)
    assert (gone.rows_before, gone.rows_after, gone.rows_added, gone.rows_removed) == (1, 0, 0, 1)


def test_a_dimension_has_no_totals(warehouse: Warehouse) -> None:
    columns = {"store_id": "INT", "valid_from": "TIMESTAMP", "square_feet": "INT"}
    warehouse.execute("CREATE TABLE b (store_id INT, valid_from TIMESTAMP, square_feet INT)")
    warehouse.insert("b", [{"store_id": 1, "valid_from": datetime(1970, 1, 1), "square_feet": 900}])
    warehouse.execute("CREATE TABLE a AS SELECT store_id, valid_from, 950 AS square_feet FROM b")
    found = compare(
        warehouse,
        "scratch",
        Comparison("certified.dim_stores", ("store_id", "valid_from"), Build("b", columns), Build("a", columns)),
    )
    assert (found.measures, found.months, found.rows_changed) == ([], [], 1)
    assert found.changed_columns == {"square_feet": 1}
