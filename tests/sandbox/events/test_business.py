"""The simulated business: deterministic, sound in itself, and the same in the sources as in the truth."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import numpy as np
import psycopg
import pytest

from sandbox.business import Business
from sandbox.events.inventory_faults import FAULT_HOURS
from sandbox.events.inventory_files import files_of_hour
from sandbox.events.schedule import OUTAGE_HOURS, PRICE_BUG_HOUR, PRICE_BUG_REPAIR_HOURS
from sandbox.events.versions import COLUMNS, KEYS, NULL, STATUSES
from sandbox.publish import publish
from sandbox.state import BUCKET, PREFIX, REGION, SandboxState
from sandbox.truth.certified import truth
from sandbox.truth.facts import OLTP, SHOPIFY
from sandbox.truth.stock import stock_at
from sandbox.truth.totals import group_keys

REPOSITORY = Path(__file__).resolve().parents[3]
START = date(2026, 3, 5)
MIDNIGHT = datetime(2026, 3, 5, tzinfo=UTC)
HOUR = 3_600_000_000
EASTERN = ZoneInfo("America/New_York")
SOUND_FILE = "inventory/2026/03/05/10/store_003.csv"

Row = dict[str, Any]


@pytest.fixture(scope="module")
def tiny() -> Business:
    return Business(1, "tiny", START)


@pytest.fixture(scope="module")
def demo() -> Business:
    return Business(1, "demo", START)


def hours(number: int) -> datetime:
    return MIDNIGHT + timedelta(hours=number)


@cache
def tiny_truth(hour: int) -> Row:
    return truth(1, "tiny", START, hours(hour))


# --- the business in itself ---


def test_the_same_seed_makes_the_same_events_on_every_machine(tiny: Business) -> None:
    """A fixed fingerprint: it may only change with the business itself, never with Python, NumPy or the machine."""
    digest = hashlib.sha256()
    sales = tiny.sales(tiny.epoch + 96 * HOUR)
    for name in KEYS:
        digest.update(sales.table(name).to_numpy().astype("<i8").tobytes())
    for day in range(4):
        online = tiny.online_day(day)
        for frame in (online.orders, online.lines, online.refunds):
            digest.update(frame.to_numpy().astype("<i8").tobytes())
    for hour in (0, 47, PRICE_BUG_HOUR, 62):
        for file in files_of_hour(tiny.catalogue, hour):
            digest.update(repr((file.key, file.visible_at, file.counts)).encode())
    digest.update(tiny.customers(tiny.epoch + 96 * HOUR).to_csv(index=False).encode())
    assert digest.hexdigest()[:16] == "81aa2621940e69ef"


def test_another_seed_makes_another_business(tiny: Business) -> None:
    assert not np.array_equal(Business(2, "tiny", START).store_day(0).baskets.sku, tiny.store_day(0).baskets.sku)


def test_a_day_does_not_need_the_days_before_it(tiny: Business) -> None:
    tiny.sales(tiny.epoch + 96 * HOUR)
    alone = Business(1, "tiny", START)
    for name in KEYS:
        assert alone.store_day(3).versions.table(name).equals(tiny.store_day(3).versions.table(name))
    assert alone.online_day(3).orders.equals(tiny.online_day(3).orders)


def test_headers_are_the_sums_of_their_good_lines(demo: Business) -> None:
    clock = demo.epoch + 96 * HOUR
    facts = demo.store_facts(clock).with_other(demo.online_facts(clock))
    sums = facts.lines.groupby(["source", "order_id"])[["gross_sales", "discount_amount", "tax_amount"]].sum()
    orders = facts.orders.set_index(["source", "order_id"])
    assert len(orders) > 10_000
    assert (orders["line_count"] > 0).all()
    for measure in ("gross_sales", "discount_amount", "tax_amount"):
        assert orders[measure].equals(sums[measure].reindex(orders.index))
    exact = orders["gross_sales"] - orders["discount_amount"] + orders["tax_amount"] + orders["shipping_amount"]
    assert (orders["total_amount"] == (exact + 50) // 100 * 100).all()


def test_refunds_never_exceed_what_was_paid(demo: Business) -> None:
    clock = demo.epoch + 10 * 24 * HOUR
    facts = demo.store_facts(clock).with_other(demo.online_facts(clock))
    refunds = facts.refunds[facts.refunds["store_id"] >= 0]
    returned = refunds.groupby(["source", "order_id"])[["refund_amount", "tax_amount", "shipping_amount"]].sum()
    paid = facts.orders.set_index(["source", "order_id"]).loc[returned.index]
    assert len(returned) > 300
    assert (refunds["refund_amount"] >= 0).all()
    assert (returned["refund_amount"] <= paid["gross_sales"] - paid["discount_amount"]).all()
    assert (returned["tax_amount"] <= paid["tax_amount"]).all()
    assert (returned["shipping_amount"] <= paid["shipping_amount"]).all()


@pytest.mark.parametrize("size", ["tiny", "demo", "0.3"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_only_price_bug_hours_have_many_bad_lines(size: str, seed: int) -> None:
    """Neither an hour nor any run of hours without the bug comes near the share of bad lines that closes the gate."""
    business = Business(seed, size, START)
    for hour in (PRICE_BUG_HOUR + 1, PRICE_BUG_HOUR + PRICE_BUG_REPAIR_HOURS):
        blocked = business.store_facts(business.epoch + hour * HOUR).blocked_hours()
        assert [number - business.epoch // HOUR for number in blocked] == [PRICE_BUG_HOUR]
    table = business.store_facts(business.epoch + 96 * HOUR).hours
    lines, rejected = table["lines"].to_numpy(), table["rejected"].to_numpy()
    for length in (1, 2, 3, 6, 12, 24):
        window = np.ones(length, dtype=np.int64)
        total, bad = np.convolve(lines, window, "valid"), np.convolve(rejected, window, "valid")
        assert (bad[total >= 20] * 100 <= total[total >= 20] * 10).all()


def test_every_kind_of_fault_shows_in_the_first_ninety_hours(tiny: Business) -> None:
    planted = [(fault.at - tiny.epoch, fault.what) for fault in tiny.planted(tiny.epoch + 90 * HOUR)]
    assert all(at >= 0 for at, _ in planted)
    shown = " | ".join(what for _, what in planted)
    for kind in (
        *FAULT_HOURS.values(),
        "late commit: whole order",
        "late commit: header",
        "late commit: lines",
        "clocks change in America/New_York: the business date has 23 hours",
        "correction of the",
        "ordered_at moved by",
        "cancelled days later",
        "price bug repaired",
        "online shop is down",
        "exact duplicate of rows in orders",
        "two versions of rows in orders",
        "refund: unknown order",
        "order: currency_foreign",
        "order line: key_missing",
        "till of store",
        "reference/",
    ):
        assert kind in shown, kind


def test_tills_are_the_stores_sales_to_the_cent(demo: Business) -> None:
    for hour in (30, 47, 96, 8 * 24):
        clock = demo.epoch + hour * HOUR
        facts = demo.store_facts(clock)
        assert not facts.blocked_hours()
        orders, refunds = facts.orders, facts.refunds
        gross = Counter[tuple[int, int]]()
        returns = Counter[tuple[int, int]]()
        for part, measure, into in ((orders, "gross_sales", gross), (refunds, "refund_amount", returns)):
            over_the_counter = part[part["channel"] == 0]
            for store, local, amount in over_the_counter[["store_id", "local", measure]].itertuples(index=False):
                into[store, local // (24 * HOUR)] += amount
        tills = demo.all_tills(clock)
        assert {place: figures[1] for place, figures in tills.items() if figures[0]} == dict(gross)
        assert {place: figures[3] for place, figures in tills.items() if figures[3]} == {
            place: amount for place, amount in returns.items() if amount
        }


def test_tills_know_the_right_price_during_the_price_bug(tiny: Business) -> None:
    clock = tiny.epoch + (PRICE_BUG_HOUR + 3) * HOUR
    wrong = tiny.store_facts(clock).orders["gross_sales"].sum()
    right = tiny.store_facts(clock, intended=True).orders["gross_sales"].sum()
    assert 0 < wrong < right


# --- the truth ---


def test_the_price_bug_blocks_one_hour_until_it_is_repaired() -> None:
    assert tiny_truth(PRICE_BUG_HOUR)["blocked"] == []
    during, after = tiny_truth(PRICE_BUG_HOUR + 5), tiny_truth(PRICE_BUG_HOUR + 6)
    (window,) = during["blocked"]
    assert (window["source"], window["from"], window["to"]) == ("oltp", "2026-03-06T16:00:00Z", "2026-03-06T17:00:00Z")
    assert window["rejected_lines"] >= 20
    assert window["rejected_lines"] * 10 > window["lines"]
    assert during["quarantined"]["oltp_order_lines"]["rules"]["unit_price_negative"]["rows"] >= 20
    assert after["blocked"] == []
    local_hour = {("2026-03-06", 11, 1), ("2026-03-06", 16, 3)}  # New York, London

    def shown(figures: Row) -> set[tuple[Any, ...]]:
        rows = {(row["business_date"], row["business_hour"], row["store_id"]) for row in figures["agg_sales_hourly"]}
        return rows & local_hour

    assert shown(during) == set()
    assert shown(after) == local_hour


def test_corrections_change_days_that_were_closed(tiny: Business) -> None:
    """Each planted correction changes figures of a business date that had ended before it."""
    corrected = [
        fault
        for fault in tiny.planted(tiny.epoch + 96 * HOUR)
        if any(kind in fault.what for kind in ("correction of the", "moved by", "cancelled days later"))
    ]
    assert len(corrected) >= 4
    for fault in corrected:
        order_id = int(fault.what.split()[1].strip(","))
        before, after = (tiny.store_facts(instant).orders.set_index("order_id") for instant in (fault.at, fault.at + 1))
        assert fault.at - before.loc[order_id, "event_at"] > 20 * HOUR
        if "cancelled" in fault.what:
            assert order_id not in after.index
        else:
            columns = ["event_at", "units", "gross_sales", "discount_amount", "total_amount"]
            assert (before.loc[order_id, columns] != after.loc[order_id, columns]).any()


def test_the_day_of_the_clock_change_has_23_hours(demo: Business) -> None:
    online = demo.online_facts(demo.epoch + 6 * 24 * HOUR)
    keys = group_keys(online.orders, ["business_date", "business_hour"])
    by_date = defaultdict(set)
    for day, hour in zip(keys["business_date"], keys["business_hour"], strict=True):
        by_date[int(day)].add(int(hour))
    change = (date(2026, 3, 8) - date(1970, 1, 1)).days
    assert by_date[change] == set(range(24)) - {2}
    assert by_date[change - 1] == by_date[change + 1] == set(range(24))
    stock = stock_at(demo, demo.epoch + 6 * 24 * HOUR).counts
    new_york = stock[(stock["store_id"] == 1) & (stock["business_date"] == change)]
    assert (new_york["counted_at"] // HOUR).nunique() == 23


def test_the_shop_lags_while_it_is_down() -> None:
    first, end = OUTAGE_HOURS
    assert tiny_truth(first)["shopify_covered_through"] == tiny_truth(first)["clock"]
    frozen = [tiny_truth(hour) for hour in (first + 1, end)]
    assert {figures["shopify_covered_through"] for figures in frozen} == {"2026-03-07T06:00:00Z"}
    online = [figures["facts"]["fct_orders"]["by_source"]["shopify"] for figures in frozen]
    assert online[0] == online[1] == tiny_truth(first)["facts"]["fct_orders"]["by_source"]["shopify"]
    assert frozen[0]["sales_covered_through"] == "2026-03-07T07:00:00Z"
    assert tiny_truth(end + 1)["shopify_covered_through"] == tiny_truth(end + 1)["clock"]


def test_a_late_file_keeps_its_hour_back_for_an_hour_only() -> None:
    """The file of hour 26 is late: the hour waits for it until the grace period has passed, and gets it later."""
    assert FAULT_HOURS[26] == "late"
    waiting, given_up, there = (tiny_truth(hour) for hour in (27, 28, 30))
    assert waiting["inventory_covered_through"] == "2026-03-06T02:00:00Z"
    assert given_up["inventory_covered_through"] == "2026-03-06T04:00:00Z"
    hour = "2026-03-06T02:00:00Z"
    states = [next(h for h in figures["inventory_hours"] if h["hour"] == hour) for figures in (waiting, there)]
    assert [(state["open_stores"], state["files_in"], state["complete"]) for state in states] == [
        (6, 5, False),
        (6, 6, True),
    ]


def test_figures_agree_with_each_other() -> None:
    figures = tiny_truth(96)
    json.dumps(figures)
    for table in ("agg_sales_daily", "agg_sales_hourly"):
        total = figures["certified"][table]
        assert total["rows"] == len(figures[table])
        assert sum(row["orders"] for row in figures[table]) == total["sums"]["orders"]
        for measure in ("gross_sales", "discounts", "returns", "net_sales", "taxes", "shipping", "total_sales"):
            assert sum(Decimal(row[measure]) for row in figures[table]) == Decimal(total["sums"][measure])
        net = [Decimal(r["gross_sales"]) - Decimal(r["discounts"]) - Decimal(r["returns"]) for r in figures[table]]
        assert net == [Decimal(row["net_sales"]) for row in figures[table]]
    for name, facts in figures["facts"].items():
        assert sum(part["rows"] for part in facts["by_source"].values()) == figures["certified"][name]["rows"]
    assert sum(row["counts"] for row in figures["inventory"]) == figures["certified"]["fct_inventory"]["rows"]


def test_nothing_has_happened_at_the_start() -> None:
    figures = tiny_truth(0)
    rows = {table: content["rows"] for table, content in figures["certified"].items()}
    assert {table for table, number in rows.items() if number} == {"dim_stores"}  # Online and Unknown are always there
    assert figures["inventory_covered_through"] == figures["clock"] == "2026-03-05T00:00:00Z"


def test_an_impossible_clock_is_refused() -> None:
    with pytest.raises(ValueError, match="whole UTC hours"):
        truth(1, "tiny", START, MIDNIGHT + timedelta(minutes=30))
    with pytest.raises(ValueError, match="no size 'huge'"):
        truth(1, "huge", START, MIDNIGHT)


# --- the sources: 72 hours of it, in real services ---


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxState]:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"INSIGHTMART_HOME": str(home)}

    def run(*arguments: str) -> None:
        command = [sys.executable, "-m", "sandbox", *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300)
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
        if is_good_line(line):
            lines[line["order_id"]].append(line)
    expected: dict[tuple[str, int, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 6)
    orders = {order["order_id"]: order for order in newest(tables["orders"], "order_id")}

    def add(place: tuple[str, int, str], *amounts: Decimal | int | None) -> None:
        expected[place] = [a + (b or 0) for a, b in zip(expected[place], amounts, strict=True)]

    for order_id, order in orders.items():
        if counts(order):
            own = lines[order_id]
            gross = sum((line["quantity"] * line["unit_price"] for line in own), Decimal(0))
            discount = order["discount_amount"] or sum(line["discount_amount"] for line in own)
            tax = order["tax_amount"] or sum(line["tax_amount"] for line in own)
            day = order["ordered_at"].astimezone(zones[order["store_id"]]).date().isoformat()
            add((day, order["store_id"], order["channel"]), 1, gross, discount, 0, tax, order["shipping_amount"])
    for refund in newest(tables["refunds"], "refund_id"):
        sold = orders.get(refund["order_id"])
        sound = refund["refunded_at"] and refund["amount"] is not None and refund["amount"] >= 0
        if sound and refund["refunded_at"] <= refund["updated_at"] + timedelta(days=1) and (not sold or counts(sold)):
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


def is_good_line(line: Row) -> bool:
    quantity, price = line["quantity"], line["unit_price"]
    if line["sku"] is None or quantity is None or quantity <= 0 or price is None or price < 0:
        return False
    return bool(0 <= line["discount_amount"] <= quantity * price and line["tax_amount"] >= 0)


def counts(order: Row) -> bool:
    amounts = [order[name] or 0 for name in ("discount_amount", "tax_amount", "shipping_amount", "total_amount")]
    return (
        order["status"] in ("pending", "paid", "shipped", "completed")
        and not order["is_test"]
        and order["channel"] in ("store", "phone")
        and order["currency"] == "USD"
        and order["store_id"] is not None
        and order["ordered_at"] is not None
        and MIDNIGHT <= order["ordered_at"] <= order["updated_at"] + timedelta(days=1)
        and min(amounts) >= 0
    )


@pytest.mark.slow
def test_the_truth_follows_from_the_shop(sandbox: SandboxState) -> None:
    """Online sales by day, worked out from the shop's documents."""
    with sqlite3.connect(sandbox.shop_path) as connection:
        documents = [json.loads(row[0]) for row in connection.execute("SELECT document FROM orders")]
    expected: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 6)

    def add(instant: str, *amounts: Decimal | int) -> None:
        day = datetime.fromisoformat(instant).astimezone(EASTERN).date().isoformat()
        expected[day] = [a + b for a, b in zip(expected[day], amounts, strict=True)]

    for order in documents:
        if order["cancelledAt"] or order["test"] or order["currencyCode"] != "USD":
            continue
        good = [line for line in order["lineItems"] if line["sku"] and line["quantity"] > 0]
        gross = sum((line["quantity"] * Decimal(line["unitPrice"]) for line in good), Decimal(0))
        discount, tax = (sum((Decimal(line[name]) for line in good), Decimal(0)) for name in ("discount", "tax"))
        add(order["processedAt"], 1, gross, discount, 0, tax, Decimal(order["shipping"]))
        for refund in order["refunds"]:
            back = [line for line in refund["lines"] if Decimal(line["subtotal"]) >= 0]
            subtotal, tax = (sum((Decimal(line[name]) for line in back), Decimal(0)) for name in ("subtotal", "tax"))
            if back or Decimal(refund["shipping"]):
                add(refund["createdAt"], 0, 0, 0, subtotal, -tax, -Decimal(refund["shipping"]))
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
