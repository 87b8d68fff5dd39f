"""Figures of the built warehouse computed again, by the command, after what can happen to a warehouse."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.readers.publishing import publish_copy
from insightmart.settings import Settings
from tests.support.built_warehouse import LOAD
from tests.support.workshop import CommandLine

THEN = "2026-03-06T10:05"
LATER = "1772800000.2"

pytestmark = pytest.mark.slow


@pytest.fixture
def warehouse_alone(built_home: Path, settings: Settings) -> Settings:
    """A copy of the built warehouse and of what readers have: SQLMesh's state, its caches and the lock are lost."""
    shutil.copy(built_home / "INSIGHTMART.duckdb", settings.database_path)
    with open_duckdb(settings.database_path) as warehouse:
        publish_copy(warehouse, settings.home)  # which has no row of raw
    return settings


def a_later_load(warehouse: Warehouse) -> None:
    """Order 1 is sent again with another discount, order 2 is deleted, order 3 of another day appears."""
    columns = "order_id, line_number, sku, quantity, unit_price, tax_amount, updated_at"
    now = utc_now() + timedelta(hours=1)
    warehouse.execute(
        f"INSERT INTO raw.oltp_order_lines ({columns}, discount_amount, _loaded_at, _dlt_load_id)"
        f" SELECT {columns}, 2, ?, ? FROM raw.oltp_order_lines WHERE order_id = 1",
        [now, LATER],
    )
    warehouse.execute(
        "INSERT INTO raw.oltp_orders BY NAME SELECT * REPLACE (? AS _dlt_load_id, ? AS _loaded_at, ? AS _deleted_at)"
        " FROM raw.oltp_orders WHERE order_id = 2",
        [LATER, now, now],
    )
    warehouse.insert(
        "ops.loads",
        [{"load_id": LATER, "source": "oltp", "entity": "orders", "status": "loaded", "ended_at": now}],
    )


def test_a_figure_is_computed_again_though_more_was_loaded_and_the_state_is_lost(
    warehouse_alone: Settings, insightmart: CommandLine
) -> None:
    with open_duckdb(warehouse_alone.database_path) as warehouse:
        a_later_load(warehouse)
        cells = warehouse.value("SELECT COUNT(*) FROM certified.agg_sales_daily")
        assert cells > 5
        for schema in ("certified", "core"):  # nothing of them is looked at
            for (view,) in warehouse.rows(
                "SELECT view_name FROM duckdb_views() WHERE schema_name = ? AND view_name <> 'published_changes'",
                [schema],
            ):
                warehouse.execute(f"DROP VIEW {schema}.{view}")
    code, out, err = insightmart("reproduce", "certified.agg_sales_daily", "--as-published", THEN)
    assert (code, err.count("failed")) == (0, 0), err
    assert f"all {cells} cells are equal" in out
    assert f"(the last one {LOAD})" in out
    assert "whose models are those that published it" in out


def test_a_fact_is_compared_hour_by_hour(warehouse_alone: Settings, insightmart: CommandLine) -> None:
    code, out, err = insightmart(
        "reproduce", "fct_order_lines", "--as-published", THEN, "--where", "event_hour < '2026-03-05 12:00'", "--json"
    )
    assert code == 0, err
    told = json.loads(out)
    with open_duckdb(warehouse_alone.database_path) as warehouse:
        hours = warehouse.value(
            "SELECT COUNT(DISTINCT (source_system, DATE_TRUNC('HOUR', sold_at))) FROM certified.fct_order_lines"
            " WHERE sold_at < '2026-03-05 12:00'"
        )
    assert (told["equal"], told["compared"], told["differing"]) == (True, hours, [])
    (step,) = told["steps"]
    assert step["is_same_code"] is True
    assert step["copied"]["loads"] == 1
    assert step["copied"]["rows"]["oltp_order_lines"] > 30


def test_raw_that_somebody_changed_shows_in_the_cell_it_belongs_to(
    warehouse_alone: Settings, insightmart: CommandLine
) -> None:
    with open_duckdb(warehouse_alone.database_path) as warehouse:
        warehouse.execute("UPDATE raw.oltp_orders SET is_test = TRUE WHERE order_id = 30")
        day, store = warehouse.rows("SELECT business_date, store_id FROM certified.fct_orders WHERE order_id = '30'")[0]
    code, out, err = insightmart(
        *("reproduce", "agg_sales_daily", "--as-published", THEN, "--where", f"store_id = {store}", "--json")
    )
    assert code == 1, err
    told = json.loads(out)
    (row,) = (dict(zip(told["columns"], row, strict=True)) for row in told["differing"])
    assert (row["business_date"], row["store_id"]) == (str(day), store)
    assert int(row["orders_published"]) - int(row["orders_again"]) == 1
    assert Decimal(row["discounts_published"]) - Decimal(row["discounts_again"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("dim_stores", "--as-published", THEN), 2, "dim_stores is not kept as it was published"),
        (("agg_sales_daily", "--as-published", "2026-03-05"), 1, "nothing had been published by 2026-03-05 00:00 UTC"),
        (("agg_sales_daily", "--as-published", THEN, "--where", "shop = 1"), 2, "--where: Binder Error"),
        (("agg_sales_daily", "--as-published", THEN, "--where", "1=1); DROP TABLE x"), 2, "--where: Parser Error"),
        (("agg_sales_daily", "--as-published", THEN, "--where", "store_id = 99"), 1, "showed nothing of this at"),
        (("fct_orders", "--as-published", THEN, "--where", "row_count > 99"), 1, "showed nothing of this at"),
        (("agg_sales_daily", "--as-published", THEN, "--commit", "0" * 40), 2, f"commit {'0' * 40} is not in"),
        (("agg_sales_daily", "--as-published", "noon"), 2, "'noon' is not a timestamp"),
    ],
)
def test_what_cannot_be_computed_is_one_clear_line(
    warehouse_alone: Settings, insightmart: CommandLine, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, _, err = insightmart("reproduce", *arguments)
    assert (found, said in err) == (code, True), err


def test_a_home_without_a_warehouse_is_one_clear_line(settings: Settings, insightmart: CommandLine) -> None:
    code, _, err = insightmart("reproduce", "agg_sales_daily", "--as-published", THEN)
    assert (code, "there is no warehouse in" in err) == (1, True), err
