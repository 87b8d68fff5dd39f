"""72 hours of the business in real services: the sources hold what is visible, and the truth follows from it."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import psycopg
import pytest

from sandbox.business import Business
from sandbox.events.inventory_files import files_of_hour
from sandbox.events.versions import COLUMNS, KEYS, NULL, STATUSES
from sandbox.publish import _hide_rows, _show_rows, publish
from sandbox.shopify.agreements import agreements
from sandbox.state import BUCKET, PREFIX, REGION, SandboxState
from sandbox.truth.facts import OLTP, SHOPIFY
from tests.support.forked import commands
from tests.support.simulated import EASTERN, HOUR, MIDNIGHT, SOUND_FILE, Row, tiny_truth


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxState]:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"INSIGHTMART_HOME": str(home)}

    def run(*arguments: str) -> None:
        done = commands().call("sandbox", *arguments, environment=environment)
        assert done.returncode == 0, done.stderr

    run("up", "--size", "tiny", "--seed", "1", "--preload-hours", "70", "--parent", str(os.getpid()))
    try:
        run("advance", "--hours", "2")
        yield SandboxState.load(home)
    finally:
        run("down")


@pytest.fixture(scope="module")
def tables(sandbox: SandboxState) -> dict[str, list[Row]]:
    return read_tables(sandbox)


def read_tables(sandbox: SandboxState) -> dict[str, list[Row]]:
    found = {}
    with psycopg.connect(sandbox.admin_dsn, row_factory=psycopg.rows.dict_row) as connection:
        for name in ("customers", "products", "orders", "order_lines", "refunds"):
            found[name] = connection.execute(
                psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(name))
            ).fetchall()
    return found


@pytest.fixture(scope="module")
def files(sandbox: SandboxState) -> dict[str, bytes]:
    """Every key of the bucket; with the bytes of those that are looked into."""
    client = boto3.client(
        "s3",
        endpoint_url=sandbox.s3_url,
        region_name=REGION,
        aws_access_key_id=sandbox.aws_access_key_id,
        aws_secret_access_key=sandbox.aws_secret_access_key,
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/")
    keys = [entry["Key"].removeprefix(f"{PREFIX}/") for page in pages for entry in page["Contents"]]
    return {
        key: client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{key}")["Body"].read()
        if key.startswith("tills/") or key == SOUND_FILE
        else b""
        for key in keys
    }


def replayed(business: Business, name: str, clock: int) -> list[tuple[Any, ...]]:
    """The rows of a table after its versions have been committed one by one."""
    table: dict[tuple[int, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for version in business.sales(clock).table(name).to_dict("records"):
        if version["visible_at"] >= clock:
            break
        key = tuple(version[column] for column in KEYS[name])
        if NULL not in key and not version["appended"]:
            table[key].clear()
        table[key].append(tuple(as_stored(business, column, version[column]) for column in COLUMNS[name]))
    return [row for rows in table.values() for row in rows]


def as_stored(business: Business, column: str, number: int) -> Any:
    if number == NULL:
        return None
    if column.endswith("amount") or column == "unit_price":
        return Decimal(number).scaleb(-4)
    if column.endswith("_at"):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)
    texts: dict[str, Any] = {
        "sku": business.catalogue.skus,
        "status": STATUSES,
        "channel": ("store", "phone", "online", "unknown", "kiosk"),
        "currency": ("USD", "EUR", "GBP"),
        "reason": (
            "damaged",
            "wrong size",
            "changed mind",
            "late delivery",
            'customer said "too small"',
            "price match",
        ),
        "is_test": (False, True),
    }
    return texts[column][number] if column in texts else number


@pytest.mark.slow
def test_tables_hold_exactly_what_is_visible(tiny: Business, tables: dict[str, list[Row]]) -> None:
    clock = tiny.epoch + 72 * HOUR
    for name in KEYS:
        there = Counter(tuple(row[column] for column in COLUMNS[name]) for row in tables[name])
        assert there == Counter(replayed(tiny, name, clock)), name
        assert len(there) < sum(there.values()), f"{name} should hold a row twice"
    customers = tiny.customers(clock).drop_duplicates("customer_id", keep="last")
    loyalty = {row["customer_id"]: row["loyalty_tier"] for row in tables["customers"]}
    assert loyalty == dict(zip(customers["customer_id"], customers["loyalty_tier"], strict=True))
    prices = {row["sku"]: row["list_price"] for row in tables["products"]}
    skus = tiny.catalogue.skus[: tiny.catalogue.size.products]
    assert prices == {
        sku: Decimal(int(price)).scaleb(-4) for sku, price in zip(skus, tiny.catalogue.list_prices(2), strict=False)
    }


@pytest.mark.slow
def test_the_truth_follows_from_the_tables(tables: dict[str, list[Row]]) -> None:
    """Store and phone sales by store and day, worked out row by row from PostgreSQL."""
    zones = {s["store_id"]: ZoneInfo(s["timezone"]) for s in tiny_truth(72)["dimensions"]["dim_stores"]["stores"]}
    lines = defaultdict(list)
    for line in newest(tables["order_lines"], "order_id", "line_number"):
        lines[line["order_id"]].append(line)
    expected: dict[tuple[str, int, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 6)
    orders = {order["order_id"]: order for order in newest(tables["orders"], "order_id")}

    def add(place: tuple[str, int, str], *amounts: Decimal | int | None) -> None:
        expected[place] = [a + (b or 0) for a, b in zip(expected[place], amounts, strict=True)]

    whole = set()
    for order_id, order in orders.items():
        if counts(order) and (parts := parts_of(order, lines[order_id])):
            day = order["ordered_at"].astimezone(zones[order["store_id"]]).date().isoformat()
            add((day, order["store_id"], order["channel"]), *parts)
            whole.add(order_id)
    for refund in newest(tables["refunds"], "refund_id"):
        sold = orders.get(refund["order_id"])
        sound = refund["refunded_at"] and refund["amount"] is not None and refund["amount"] >= 0
        if (
            sound
            and refund["refunded_at"] <= refund["updated_at"] + timedelta(days=1)
            and (not sold or sold["order_id"] in whole)
        ):
            store, channel = (sold["store_id"], sold["channel"]) if sold else (-1, "unknown")
            day = refund["refunded_at"].astimezone(zones.get(store, EASTERN)).date().isoformat()
            add((day, store, channel), 0, 0, 0, refund["amount"], 0, 0)
    measures = ("orders", "gross_sales", "discounts", "returns", "taxes", "shipping")
    assert {
        (row["business_date"], row["store_id"], row["channel"]): [Decimal(row[measure]) for measure in measures]
        for row in tiny_truth(72)["agg_sales_daily"]
        if row["channel"] != "online"
    } == expected


def newest(rows: list[Row], *key: str) -> list[Row]:
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        identity = tuple(row[column] for column in key)
        if None not in identity and (identity not in found or row["updated_at"] > found[identity]["updated_at"]):
            found[identity] = row
    return list(found.values())


def parts_of(order: Row, lines: list[Row]) -> tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal] | None:
    """Orders, gross sales, discounts, returns, taxes and shipping of an order; None where it is no whole one."""
    sold = [line for line in lines if is_good_line(line) and line["quantity"] > 0]
    back = [line for line in lines if is_good_line(line) and line["quantity"] < 0]
    gross = sum((line["quantity"] * line["unit_price"] for line in sold), Decimal(0))
    returned = sum((-line["quantity"] * line["unit_price"] - abs(line["discount_amount"]) for line in back), Decimal(0))
    discount = order["discount_amount"] or sum((line["discount_amount"] for line in sold), Decimal(0))
    taxes = sum((line["tax_amount"] for line in sold), Decimal(0)) - sum(abs(line["tax_amount"]) for line in back)
    tax, shipping = order["tax_amount"] or taxes, order["shipping_amount"] or Decimal(0)
    if abs(order["total_amount"] - (gross - discount - returned + tax + shipping)) > Decimal("0.05"):
        return None
    return int(bool(sold)), gross, discount, returned, tax, shipping


def is_good_line(line: Row) -> bool:
    quantity, price = line["quantity"], line["unit_price"]
    if not quantity or price is None or price < 0 or (quantity < 0 and price == 0):
        return False
    if abs(line["discount_amount"]) > abs(quantity) * price:
        return False
    return bool(quantity < 0 or (line["discount_amount"] >= 0 and line["tax_amount"] >= 0))


def counts(order: Row) -> bool:
    amounts = [order[name] or 0 for name in ("discount_amount", "shipping_amount")]
    return (
        order["status"] in ("pending", "paid", "shipped", "completed")
        and not order["is_test"]
        and order["channel"] in ("store", "phone")
        and order["currency"] == "USD"
        and order["store_id"] is not None
        and order["ordered_at"] is not None
        and MIDNIGHT <= order["ordered_at"] <= order["updated_at"] + timedelta(days=1)
        and min(amounts) >= 0
        and order["deleted_at"] is None
    )


@pytest.mark.slow
def test_the_truth_follows_from_the_shop(sandbox: SandboxState) -> None:
    """Online sales by day, worked out from the ledger that the shop shows of its documents."""
    with sqlite3.connect(sandbox.shop_path) as connection:
        documents = [json.loads(row[0]) for row in connection.execute("SELECT document FROM orders")]
    expected: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 6)

    def add(instant: str, *amounts: Decimal | int) -> None:
        day = datetime.fromisoformat(instant).astimezone(EASTERN).date().isoformat()
        expected[day] = [a + b for a, b in zip(expected[day], amounts, strict=True)]

    for order in documents:
        if order["cancelledAt"] or order["test"] or order["currencyCode"] != "USD":
            continue
        add(order["processedAt"], 1, 0, 0, 0, 0, 0)
        for agreement in agreements(order):
            for sale in agreement["sales"]:
                net, tax, discount = sale["total"] - sale["tax"], sale["tax"], sale["discountBefore"]
                kind, given_back = sale["lineType"], sale["actionType"] != "ORDER"
                if given_back and sale["total"] > 0:
                    continue  # a refund below zero is in quarantine
                if kind == "SHIPPING":
                    add(agreement["happenedAt"], 0, 0, 0, 0, tax, net)
                elif kind in ("PRODUCT", "ADJUSTMENT") and given_back:
                    add(agreement["happenedAt"], 0, 0, 0, -net, tax, 0)
                elif kind == "PRODUCT":
                    add(agreement["happenedAt"], 0, net + discount, discount, 0, tax, 0)
    measures = ("orders", "gross_sales", "discounts", "returns", "taxes", "shipping")
    assert {
        row["business_date"]: [Decimal(row[measure]) for measure in measures]
        for row in tiny_truth(72)["agg_sales_daily"]
        if row["channel"] == "online"
    } == expected


def cells(content: bytes) -> list[dict[str, str]]:
    """The rows of a sound file, whatever it is written in."""
    encoding = "utf-16" if content[:2] == b"\xff\xfe" else "utf-8-sig"
    lines = content.decode(encoding).splitlines()
    delimiter = next(mark for mark in ";\t," if mark in lines[0])
    return list(csv.DictReader(lines, delimiter=delimiter))


@pytest.mark.slow
def test_tills_in_the_bucket_are_the_truth(files: dict[str, bytes]) -> None:
    expected = {(row["store_id"], row["business_date"]): row for row in tiny_truth(72)["tills"]}
    found = {}
    for key, content in files.items():
        if key.startswith("tills/"):
            (row,) = cells(content)
            found[int(row["store_id"]), row["business_date"]] = row
            assert key == f"tills/{row['business_date'].replace('-', '/')}/store_{int(row['store_id']):03d}.csv"
    assert found.keys() == expected.keys()
    for place, row in found.items():
        assert int(row["transactions"]) == expected[place]["transactions"]
        for measure in ("gross_sales", "discounts", "returns", "net_sales"):
            assert Decimal(row[measure]) == Decimal(expected[place][measure])


@pytest.mark.slow
def test_every_open_store_has_its_files(tiny: Business, files: dict[str, bytes]) -> None:
    kinds = Counter(key.partition("/")[0] for key in files)
    assert kinds["reference"] == 3 * 6
    hourly = {key.removesuffix(".gz") for key in files if key.startswith("inventory/") and "_resent" not in key}
    assert len(hourly) == 72 * 6
    sound = cells(files[SOUND_FILE])
    assert [row["sku"] for row in sound] == [
        tiny.catalogue.skus[count.product]
        for file in files_of_hour(tiny.catalogue, 10)
        if file.key.endswith("store_003.csv")
        for count in file.counts
    ]


@pytest.mark.slow
def test_publishing_again_changes_nothing(sandbox: SandboxState, tables: dict[str, list[Row]]) -> None:
    before = sandbox.model_copy(update={"clock": sandbox.clock - timedelta(hours=30)})
    publish(before, sandbox.clock)
    again = read_tables(sandbox)
    for name, rows in tables.items():
        assert Counter(tuple(row.values()) for row in again[name]) == Counter(tuple(row.values()) for row in rows)


def test_sources_of_a_row_are_told_apart(tiny: Business) -> None:
    facts = tiny.store_facts(tiny.epoch + 72 * HOUR).with_other(tiny.online_facts(tiny.epoch + 72 * HOUR))
    assert set(facts.orders["source"]) == {OLTP, SHOPIFY}
    assert set(facts.orders.loc[facts.orders["source"] == SHOPIFY, "store_id"]) == {0}


def test_rows_are_hidden_for_an_hour_and_are_back_afterwards(sandbox: SandboxState) -> None:
    def seen(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, ...]]:
        return cursor.execute(
            "SELECT (SELECT COUNT(*) FROM orders), (SELECT COUNT(*) FROM orders WHERE store_id % 2 = 0),"
            " (SELECT COUNT(*) FROM refunds)"
        ).fetchall()

    with psycopg.connect(sandbox.admin_dsn) as connection, connection.transaction(force_rollback=True):
        cursor = connection.cursor()
        [(orders, of_even_stores, refunds)] = seen(cursor)
        assert 0 < of_even_stores < orders and refunds > 0
        _hide_rows(cursor)
        cursor.execute("SET LOCAL ROLE insightmart_reader")
        assert seen(cursor) == [(of_even_stores, of_even_stores, 0)]
        cursor.execute("RESET ROLE")
        _show_rows(cursor)
        cursor.execute("SET LOCAL ROLE insightmart_reader")
        assert seen(cursor) == [(orders, of_even_stores, refunds)]


def test_an_order_is_deleted_in_the_shop_and_in_the_truth(sandbox: SandboxState, tiny: Business) -> None:
    orders = tiny.online_day(0).orders
    [gone] = orders["order_id"][orders["deleted_at"] < tiny.epoch + 72 * HOUR]
    [at] = orders["deleted_at"][orders["order_id"] == gone]
    assert at == tiny.epoch + 47 * HOUR + HOUR // 2
    with sqlite3.connect(sandbox.shop_path) as shop:
        [(kept,)] = shop.execute("SELECT COUNT(*) FROM orders WHERE id = ?", [int(gone)]).fetchall()
    assert kept == 0
    known = [set(tiny.online_facts(tiny.epoch + hour * HOUR).orders["order_id"]) for hour in (47, 48)]
    assert [gone in orders for orders in known] == [True, False]
