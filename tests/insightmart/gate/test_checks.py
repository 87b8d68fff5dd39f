"""What each kind of check finds: a sound warehouse is spoilt in one way, the checks that fail are named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ingestion.warehouse import Warehouse, open_duckdb

SODA = Path(__file__).parents[3] / "soda"
PAST = ("PAST_LINES", "PAST_COUNTS")  # as everything was before it was spoilt
SOUND = {"what is sold is described"}  # no product is loaded there

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spoilt(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Copies of the certified tables, to be spoilt in a transaction and rolled back."""
    path = shutil.copy(built_home / "INSIGHTMART.duckdb", tmp_path_factory.mktemp("spoilt"))
    with open_duckdb(Path(path)) as warehouse:
        warehouse.execute("CREATE SCHEMA SPOILT")
        listed = "SELECT table_name FROM information_schema.tables WHERE lower(table_schema) = 'certified'"
        for (table,) in warehouse.rows(listed):
            warehouse.execute(f"CREATE TABLE spoilt.{table.upper()} AS SELECT * FROM certified.{table}")
        yield warehouse


def failing(warehouse: Warehouse) -> set[str]:
    """Names of the checks that do not hold, over all files as a plain scan runs them."""
    from soda.scan import Scan

    variables = yaml.safe_load((SODA / "variables.yml").read_text(encoding="utf-8"))["variables"]
    scan = Scan()
    scan.disable_telemetry()
    scan.set_data_source_name("insightmart")
    scan.add_duckdb_connection(warehouse.connection, "insightmart")
    looked_at = {
        name: str(value) if name in PAST else str(value).replace("CERTIFIED", "SPOILT")
        for name, value in variables.items()
    }
    scan.add_variables(looked_at | {"SAMPLE_MIN_ORDERS": "1", "SAMPLE_MIN_COUNTS": "1"})
    for path in sorted((SODA / "checks").glob("*.yml")):
        scan.add_sodacl_yaml_str(path.read_text(encoding="utf-8"))
    scan.execute()
    assert not scan.has_error_logs(), scan.get_error_logs_text()
    return {check["name"] for check in scan.get_scan_results()["checks"] if check["outcome"] != "pass"} - SOUND


BREAKAGES = {
    "schema": ("ALTER TABLE spoilt.dim_products DROP COLUMN brand", {"dim_products has its columns"}),
    "nulls": ("UPDATE spoilt.dim_stores SET timezone = NULL WHERE store_id = 1", {"every store has a time zone"}),
    "duplicates": (
        "INSERT INTO spoilt.fct_inventory SELECT * FROM spoilt.fct_inventory LIMIT 1",
        {"one count a product, store and hour", "daily stock is built from every count"},
    ),
    "orphans": (
        "DELETE FROM spoilt.dim_stores WHERE store_id = 2",
        {"the store of every order is known or inferred", "the store of every count is in the reference"},
    ),
    "freshness": (
        "UPDATE ops.source_watermarks SET covered_through = TIMESTAMP '2026-03-05 12:00:00'",
        {"the sources have been read to the end of the window"},
    ),
    "accepted values": (
        "UPDATE spoilt.fct_refunds SET channel = 'kiosk' WHERE refund_id = '1'",
        {"the channel of a refund is known, or said to be unknown"},
    ),
    "distribution": (
        "UPDATE spoilt.fct_orders SET discount_amount = 0.5 * gross_sales",
        {
            "discounts are a small part of sales",
            "every order comes to the total that it states",
            "order discount and tax equal their lines",
            "hourly net sales are gross less discounts less refunds",
            "hourly total sales are net sales, taxes, shipping, duties and fees of orders less those refunded",
        },
    ),
    "distribution of stock": (
        "UPDATE spoilt.fct_inventory SET on_hand = 0",
        {"most products are in stock", "hours without stock are those counted with nothing on hand"},
    ),
    "reconciliation": (
        "UPDATE spoilt.agg_sales_hourly SET taxes = taxes + 0.0001, total_sales = total_sales + 0.0001",
        {"hourly total sales are net sales, taxes, shipping, duties and fees of orders less those refunded"},
    ),
    "a barcode as a quantity": (
        "UPDATE spoilt.fct_order_lines SET quantity = 401234 WHERE order_id = '1' AND line_number = 1",
        {
            "no line sells far more pieces than its product ever did",
            "gross sales of a line are quantity times price, net are less discount",
            "orders and lines agree on lines and pieces",
        },
    ),
    "a price in cents": (
        "UPDATE spoilt.fct_order_lines SET unit_price = 100 * unit_price WHERE order_id = '1' AND line_number = 1",
        {
            "no line is far dearer or cheaper than its product ever was",
            "gross sales of a line are quantity times price, net are less discount",
        },
    ),
    "a price without its last digits": (
        "UPDATE spoilt.fct_order_lines SET unit_price = unit_price / 100 WHERE order_id = '1' AND line_number = 1",
        {
            "no line is far dearer or cheaper than its product ever was",
            "gross sales of a line are quantity times price, net are less discount",
        },
    ),
    "a barcode as a count": (
        "UPDATE spoilt.fct_inventory SET on_hand = 40123455 WHERE (store_id, sku, counted_hour) IN"
        " (SELECT store_id, sku, counted_hour FROM spoilt.fct_inventory WHERE store_id > 0 AND on_hand > 0"
        " ORDER BY 1, 2, 3 LIMIT 1)",
        {"no count is far higher than its product had in the store before"},
    ),
    "history": (
        "UPDATE spoilt.dim_customers SET valid_to = valid_from, is_current = FALSE WHERE customer_id = '1'",
        {
            "exactly one current version a customer",
            "a version ends after it begins",
            "the customer of every order is known or inferred",
        },
    ),
}


def test_a_sound_warehouse_passes(spoilt: Warehouse) -> None:
    assert failing(spoilt) == set()


@pytest.mark.parametrize("kind", BREAKAGES)
def test_each_kind_of_check_finds_what_it_is_for(spoilt: Warehouse, kind: str) -> None:
    breakage, expected = BREAKAGES[kind]
    spoilt.execute("BEGIN")
    try:
        spoilt.execute(breakage)
        assert failing(spoilt) == expected
    finally:
        spoilt.execute("ROLLBACK")
