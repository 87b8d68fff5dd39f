"""The extremes of every column's type, and what lies just beyond, on their way from a source to certified.

Every row has one odd value. It is typed as its load types it (the online shop's are put into raw as its tables hold
them), and then stands in staging, in quarantine or in the rejects: nothing raises, and rows beside it are certified.
Columns and types are those of ``ingestion.contracts``: a new column is covered by itself.

On DuckDB. Snowflake's whole numbers have 38 digits, so that casts that could raise here cannot there; nothing else of
what these rows do depends on the engine.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from ingestion.contracts import DATE, ENTITIES, FLAG, INSTANT, INT, TEXT, Entity
from ingestion.ops_tables import create_tables
from ingestion.postgres.rows import typed_rows
from ingestion.stores.csv.decode import UntrustedFileError
from ingestion.stores.csv.file import Drop, read_file
from ingestion.stores.csv.typed import parse
from ingestion.warehouse import Warehouse
from tests.support.built_homes import new_home
from tests.support.workshop import copy_project

LOADED, BUILT = datetime(2026, 3, 2, 10, 5), datetime(2026, 3, 2, 11, 5)
DAY = date(2026, 3, 2)
HOUR = datetime(2026, 3, 2, 9)
AT = "2026-03-02 09:10:00"
FIRST_ODD = 1000  # rows below are untouched
SHARES = (
    "REJECTED_LINES_MAX_PERCENT",
    "REJECTED_ORDERS_MAX_PERCENT",
    "MISSING_STORES_MAX_PERCENT",
)  # most are odd here

LARGEST, SMALLEST = 2**63 - 1, -(2**63)
EXTREMES: dict[pa.DataType, list[str | None]] = {
    INT: [str(LARGEST), str(SMALLEST), str(2**31), str(-(2**31) - 1), "0", "-1", None],
    TEXT: ["", " ", "\x01", "\ufffd", "'\"\\", "🦊" * 70_000, None],
    FLAG: ["t", None],
    DATE: ["0001-01-01", "9999-12-31", None],
    INSTANT: ["0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999", None],
}
BEYOND: dict[pa.DataType, list[str]] = {
    INT: [str(LARGEST + 1), str(SMALLEST - 1), "9" * 60, "1.5", "NaN", "Infinity"],
    TEXT: [],
    FLAG: ["x"],
    DATE: ["infinity", "0044-03-15 BC", "10000-01-01"],
    INSTANT: [
        "infinity",
        "-infinity",
        "0044-03-15 10:00:00 BC",
        "10000-01-01 00:00:00",
        "294276-12-31 23:59:59.999999",
    ],
}

# What an untouched row says where "1", "A", AT or DAY would be no good value of the column; {} is the row's own number.
GOOD: dict[str, str | None] = {
    "order_id": "{}",
    "refund_id": "{}",
    "refund_line_id": "{}",
    "customer_id": "{}",
    "variant_id": "{}",
    "inventory_item_id": "{}",
    "line_item_id": "{}",
    "sku": "P-{}",
    "channel": "store",
    "status": "completed",
    "currency": "USD",
    "reason": "ORDER",
    "action_type": "ORDER",
    "line_type": "PRODUCT",
    "discount_before_taxes": "0",
    "financial_status": "PAID",
    "fulfillment_status": "FULFILLED",
    "cancelled_at": None,
    "is_test": "f",
    "timezone": "America/New_York",
    "opened_on": "2020-01-01",
    "closed_on": None,
    "discount_amount": "0",
    "tax_amount": "0",
    "shipping_amount": "0",
    "discounts": "0",
    "returns": "0",
}
GOOD_OF = {
    ("stores_inventory", "store_id"): "{}",
    ("stores_reference", "store_id"): "{}",
    ("stores_tills", "store_id"): "{}",
}
PARENTS = {"oltp_order_lines": "oltp_orders"} | {
    item.table: "shopify_orders" for item in ENTITIES if "order_updated_at" in item.schema.names
}
KEPT_ONLY = ("shopify_order_lines", "shopify_refunds", "shopify_sales_reports")
OF_THE_PARENT = ("order_id", "order_updated_at")  # of an online order's parts: the load takes them from the order

pytestmark = pytest.mark.slow


def is_decimal(kind: pa.DataType) -> bool:
    return bool(pa.types.is_decimal(kind))


def extremes(kind: pa.DataType) -> list[str | None]:
    """The least and the greatest a type holds, what is often mistaken, and nothing."""
    if not is_decimal(kind):
        return EXTREMES[kind]
    largest = "9" * (kind.precision - kind.scale) + "." + "9" * kind.scale
    return [largest, f"-{largest}", "0", "0." + "0" * (kind.scale - 1) + "1", None]


def beyond(kind: pa.DataType) -> list[str]:
    """What a type holds no more."""
    if not is_decimal(kind):
        return BEYOND[kind]
    whole = kind.precision - kind.scale
    return [f"1{'0' * whole}", f"-1{'0' * whole}", "0." + "0" * kind.scale + "1", "NaN", "Infinity", "-Infinity"]


def good(item: Entity, number: int) -> dict[str, str | None]:
    """An untouched row, each value as text."""
    usual = {INT: "1", TEXT: "A", FLAG: "t", DATE: str(DAY), INSTANT: AT}
    row = {}
    for column in item.columns:
        value = GOOD_OF.get((item.table, column.name), GOOD.get(column.name, usual.get(column.type, "1")))
        row[column.name] = value and value.format(number)
    return row


class Rows:
    """The rows of every raw table, and how many each entity sent."""

    def __init__(self) -> None:
        self.sent: dict[str, list[dict[str, str | None]]] = {item.table: [good(item, 1)] for item in ENTITIES}
        number = FIRST_ODD
        for item in ENTITIES:
            for column in item.columns:
                if item.source == "shopify" and item.table in PARENTS and column.name in OF_THE_PARENT:
                    continue
                for value in [*extremes(column.type), *beyond(column.type)]:
                    self.sent[item.table].append(good(item, number) | {column.name: value})
                    if parent := PARENTS.get(item.table):
                        self.sent[parent].append(good(entity_of(parent), number))
                    number += 1

    def landed(self, item: Entity) -> tuple[pa.Table, int]:
        """The rows of an entity that are typed, and how many are not."""
        if item.source == "stores":
            return typed_of_files(item, self.sent[item.table])
        if item.source == "oltp":
            block = "".join(copied(item, row) for row in self.sent[item.table]).encode()
            rows, faults = typed_rows(block, item)
            assert all(faults["raw_text"].to_pylist())
            return rows, faults.num_rows
        return typed_as_they_are(item, self.sent[item.table])


def entity_of(table: str) -> Entity:
    return next(item for item in ENTITIES if item.table == table)


def copied(item: Entity, row: dict[str, str | None]) -> str:
    """A row as COPY writes it."""
    texts = [
        "" if (value := row[column.name]) is None else f'"{value.replace(chr(34), chr(34) * 2)}"'
        for column in item.columns
    ]
    return ",".join(texts) + "\n"


def typed_of_files(item: Entity, sent: list[dict[str, str | None]]) -> tuple[pa.Table, int]:
    """Each row as the only one of a file of its own store."""
    files = []
    for row in sent:
        cells = {name: value for name, value in row.items() if name != "reference_date"}
        if cells.get("counted_at"):
            cells["counted_at"] = f"{cells['counted_at']}Z"
        text = io.StringIO()
        writer = csv.DictWriter(text, list(cells), lineterminator="\n")
        writer.writeheader()
        writer.writerow(cells)
        stated = row["store_id"] or ""
        store_id = int(stated) if stated.isdigit() and int(stated) <= LARGEST else 1
        hour = HOUR if item.name == "inventory" else None
        day = date.fromisoformat(row.get("reference_date") or str(DAY)) if is_date(row.get("reference_date")) else DAY
        drop = Drop(item.name, f"{item.name}/{len(files)}.csv", store_id, day, hour, LOADED)
        try:
            files.append(read_file(drop, text.getvalue().encode()))
        except UntrustedFileError:  # quarantined whole
            continue
    parsed = parse(item.name, files, LOADED)
    assert all(parsed.rejects["raw_text"].to_pylist())
    return parsed.rows, len(sent) - parsed.rows.num_rows


def is_date(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", text) is not None


def typed_as_they_are(item: Entity, sent: list[dict[str, str | None]]) -> tuple[pa.Table, int]:
    """Each row as the raw table holds it; refused is what no value of a column's type is."""
    rows = []
    for row in sent:
        try:
            values = [typed_as_it_is(row[column.name], column.type) for column in item.columns]
        except pa.ArrowInvalid:
            continue
        rows.append(pa.table(values, pa.schema(item.columns)))
    return pa.concat_tables(rows), len(sent) - len(rows)


def typed_as_it_is(text: str | None, kind: pa.DataType) -> pa.Array:
    """One value; raises ArrowInvalid when the type has no such value."""
    if kind == FLAG and text is not None:
        text = {"t": "true", "f": "false"}.get(text, text)
    return pa.array([text], TEXT).cast(kind)


class Extremes:
    """The project built of all these rows, and how many of them each entity refused."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.rows = Rows()
        self.refused: dict[str, int] = {}

    def load(self) -> None:
        for item in ENTITIES:
            landed, self.refused[item.table] = self.rows.landed(item)
            self.warehouse.connection.register("landed", landed)
            self.warehouse.execute(
                f"INSERT INTO raw.{item.table} BY NAME SELECT *, ? AS _loaded_at, '1.5' AS _dlt_load_id FROM landed",
                [LOADED],
            )
            if item.watermarked:
                mark = {"source": item.source, "entity": item.name, "covered_through": BUILT.replace(minute=0)}
                self.warehouse.insert("ops.source_watermarks", [mark])


@pytest.fixture(scope="module")
def extreme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extremes]:
    from sqlmesh import Context

    directory = copy_project(tmp_path_factory.mktemp("extremes") / "project")
    thresholds = directory / "soda" / "variables.yml"
    text = thresholds.read_text(encoding="utf-8")
    for name in SHARES:
        text = re.sub(rf'{name}: "\d+"', f'{name}: "100"', text)
    thresholds.write_text(text, encoding="utf-8")
    sales = directory / "soda" / "checks" / "sales.yml"  # an odd order of the online shop contradicts its lines
    text = sales.read_text(encoding="utf-8").replace("orders_unlike_their_total = 0", "orders_unlike_their_total >= 0")
    sales.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("INSIGHTMART_GATEWAY", "INSIGHTMART_CURRENCY", "INSIGHTMART_TIMEZONE"):
            patch.delenv(name, raising=False)
        patch.setenv("INSIGHTMART_HOME", str(new_home(tmp_path_factory, tmp_path_factory.mktemp("home"))))
        patch.setenv("INSIGHTMART_START", "2026-02-28")
        context = Context(paths=str(directory))
        warehouse = Warehouse(context.engine_adapter.connection.cursor(), "duckdb")
        create_tables(warehouse)
        extremes = Extremes(warehouse)
        extremes.load()
        context.plan(auto_apply=True, no_prompts=True, skip_tests=True, execution_time=BUILT)
        yield extremes
        context.close()


@pytest.mark.parametrize("item", ENTITIES, ids=lambda item: item.table)
def test_every_row_stands_in_staging_in_quarantine_or_in_the_rejects(extreme: Extremes, item: Entity) -> None:
    if item.table in KEPT_ONLY:
        pytest.skip(
            "no model reads it: facts of the online shop follow its ledger, shopify_sales; a control reads reports"
        )
    staged = extreme.warehouse.value(f"SELECT COUNT(*) FROM staging._{item.table}")
    assert staged + extreme.refused[item.table] == len(extreme.rows.sent[item.table])


def test_the_rows_beside_them_are_certified(extreme: Extremes) -> None:
    found = extreme.warehouse.rows
    one = Decimal(1)
    assert found("SELECT source_system, quantity, gross_sales FROM certified.fct_order_lines WHERE order_id = '1'") == [
        ("oltp", 1, one),
        ("shopify", 1, one),
    ]
    assert found("SELECT source_system, total_amount FROM certified.fct_orders WHERE order_id = '1'") == [
        ("oltp", one),
        ("shopify", one),
    ]
    assert found("SELECT source_system, refund_amount FROM certified.fct_refunds WHERE refund_id = '1'") == [
        ("oltp", one),
    ]
    assert found("SELECT store_id, on_hand FROM certified.fct_inventory WHERE sku = 'P-1' ORDER BY ALL") == [
        (0, 1),
        (1, 1),
    ]
    assert found("SELECT square_feet, is_current FROM certified.dim_stores WHERE store_id = 1") == [(1, True)]
    assert found("SELECT is_current, is_inferred FROM certified.dim_customers WHERE customer_id = '1'") == [
        (True, False)
    ]
    assert found("SELECT list_price FROM certified.dim_products WHERE sku = 'P-1'") == [(one,)]
