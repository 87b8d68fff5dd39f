"""A warehouse of its own for every test, one real PostgreSQL server for all of them, and a shop that answers HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import dlt
import psycopg
import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from ingestion.contracts import ENTITIES
from ingestion.loading.context import IngestContext
from ingestion.ops_tables import create_tables
from ingestion.postgres.source import OltpSource
from ingestion.shopify.source import ShopifySource
from ingestion.stores.bucket import StoreDrops
from ingestion.warehouse import Warehouse, open_duckdb
from sandbox.servers import postgres as server
from sandbox.shopify.server import create_server
from sandbox.shopify.shop import Shop

HISTORY_START = datetime(2026, 3, 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """INSIGHTMART_HOME of the test."""
    return tmp_path / "home"


@pytest.fixture
def warehouse(home: Path) -> Iterator[Warehouse]:
    """A local warehouse with empty raw and ops tables."""
    with open_duckdb(home / "INSIGHTMART.duckdb") as opened:
        create_tables(opened)
        yield opened


@pytest.fixture
def at(home: Path, warehouse: Warehouse) -> Callable[[str], IngestContext]:
    """``at("2026-03-05T10:00")`` is a run at that instant (UTC), always on the test's own warehouse."""

    def context(as_of: str) -> IngestContext:
        destination = dlt.destinations.duckdb(str(home / "INSIGHTMART.duckdb"))
        return IngestContext(
            warehouse, home, datetime.fromisoformat(as_of), HISTORY_START, lambda line: None, destination
        )

    return context


@pytest.fixture(scope="session")
def oltp_dsns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """DSNs of a running PostgreSQL server with the OLTP tables: the owner's and the reader's."""
    directory = server.choose_directory(tmp_path_factory.mktemp("oltp") / "postgres")
    log = tmp_path_factory.mktemp("oltp-log") / "postgres.log"
    owner, reader = secrets.token_hex(8), secrets.token_hex(8)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server.initialise(directory, owner, log)
    process = server.start(directory, port, log, None)
    try:
        admin_dsn = f"postgresql://postgres:{owner}@127.0.0.1:{port}/shop"
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.05), reraise=True):
            with attempt:
                psycopg.connect(server.server_dsn(admin_dsn)).close()
        server.create_database(admin_dsn, reader)
        yield admin_dsn, f"postgresql://insightmart_reader:{reader}@127.0.0.1:{port}/shop"
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for clients
        process.wait(timeout=30)
        shutil.rmtree(directory)


class Oltp:
    """The OLTP database of a test: empty tables, the owner's connection and the pipeline's source settings."""

    def __init__(self, admin: psycopg.Connection, source: OltpSource) -> None:
        self.admin = admin
        self.source = source

    def execute(self, statement: str, *params: Any) -> None:
        """Run one statement as the tables' owner."""
        self.admin.execute(statement, params)  # type: ignore[call-overload]

    def add(self, table: str, **values: Any) -> None:
        """Insert one row; columns not named are NULL."""
        marks = ", ".join(["%s"] * len(values))
        self.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", *values.values())


@pytest.fixture
def oltp(oltp_dsns: tuple[str, str]) -> Iterator[Oltp]:
    """Empty OLTP tables."""
    admin_dsn, reader_dsn = oltp_dsns
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute("SET TIME ZONE 'UTC'")
        admin.execute("TRUNCATE orders, order_lines, refunds, customers, products")
        yield Oltp(admin, OltpSource(reader_dsn, attempts=2, retry_wait=0))


class OnlineShop:
    """A shop on loopback: its content, the pipeline's source settings, and the pauses that were asked for."""

    def __init__(self, shop: Shop, url: str, token: str) -> None:
        self.shop = shop
        self.pauses: list[float] = []
        self.source = ShopifySource(url, token, attempts=3, retry_wait=0.01, pause=self.pauses.append)


@pytest.fixture
def online(tmp_path: Path) -> Iterator[OnlineShop]:
    """An empty shop."""
    path, token = tmp_path / "shop.sqlite", f"shpat_{secrets.token_hex(8)}"
    simulator = create_server(path, token)
    thread = threading.Thread(target=simulator.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield OnlineShop(Shop(path), f"http://127.0.0.1:{simulator.server_address[1]}", token)
    finally:
        simulator.shutdown()
        thread.join()
        simulator.server_close()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """URL of an S3 endpoint in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "sandbox.servers.s3", "--fd", str(listener.fileno())]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds in the environment: keys for the endpoint, and nothing of whoever runs the tests."""
    set_aws(monkeypatch)


def set_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of ``aws``, for as long as the patch lasts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


class Drops:
    """A bucket of its own for a test."""

    HEADER = "store_id,sku,on_hand,on_order,counted_at\n"
    REFERENCE = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"

    def __init__(self, endpoint: str) -> None:
        self.bucket = f"drops-{uuid.uuid4().hex[:12]}"
        self.client = boto3.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=self.bucket)
        self.source = StoreDrops(f"s3://{self.bucket}/in", endpoint, attempts=1)

    def put(self, name: str, content: str | bytes) -> str:
        """Write an object below the prefix and return its key."""
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.bucket, Key=f"in/{name}", Body=body)
        return f"in/{name}"

    def inventory(self, hour: str, store: int, on_hand: int = 5, sku: str = "A", end: str = ".csv") -> str:
        """Write the file of one store and hour (``2026-03-05T10``) with one count, a quarter past."""
        start = datetime.fromisoformat(f"{hour}:00")
        row = f"{store},{sku},{on_hand},0,{hour}:15:00Z\n"
        return self.put(f"inventory/{start:%Y/%m/%d/%H}/store_{store:03d}{end}", self.HEADER + row)

    def reference(
        self, day: str, store: int, zone: str = "UTC", opened: str = "2020-01-01", closed: str = "", manager: str = "Jo"
    ) -> str:
        """Write a store's reference file of a day."""
        row = f"{store},Store {store},city,EU,Ulm,,DE,{zone},{opened},{closed},100,{manager}\n"
        return self.put(f"reference/{day.replace('-', '/')}/store_{store:03d}.csv", self.REFERENCE + row)


@pytest.fixture
def drops(endpoint: str, aws: None) -> Drops:
    """An empty bucket."""
    return Drops(endpoint)


# --- the three sources together ----------------------------------------------------------------------------------

FIRST_DAY, NEXT_DAY = "2026-03-05T10:00", "2026-03-06T10:00"  # what is "now" when the one and the other are loaded


class Trade:
    """A small business at all three sources, with faults: what ``first_day`` and ``next_day`` put there.

    ``where`` are, by source, the arguments of the source's class; ``settings`` the same as the pipeline's settings;
    ``environment`` what boto3 needs.
    """

    def __init__(self, admin: psycopg.Connection, reader_dsn: str, shop: Shop, shop_url: str, token: str) -> None:
        self.admin = admin
        self.shop = shop
        self.bucket = f"trade-{secrets.token_hex(6)}"
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=self.bucket)
        self.admin.execute("TRUNCATE orders, order_lines, refunds, customers, products")
        self.where: dict[str, dict[str, Any]] = {
            "oltp": {"dsn": reader_dsn, "attempts": 1},
            "shopify": {"url": shop_url, "token": token, "attempts": 3, "retry_wait": 0.01},
            "stores": {"url": f"s3://{self.bucket}/in"},
        }
        self.settings = {
            "OLTP_DSN": reader_dsn,
            "SHOPIFY_URL": shop_url,
            "SHOPIFY_TOKEN": token,
            "STORES_URL": f"s3://{self.bucket}/in",
            "INSIGHTMART_START": f"{HISTORY_START:%Y-%m-%d}",
        }

    def first_day(self) -> None:
        """Business until ``FIRST_DAY``."""
        self._orders(1, 300, "2026-03-05 00:00")
        self.admin.execute("UPDATE orders SET total_amount = 'NaN' WHERE order_id IN (7, 8)")
        self.admin.execute("INSERT INTO orders (order_id, store_id, total_amount) VALUES (900, 1, 5)")  # never dated
        self._people("2026-03-05 08:00")
        self.shop.upsert_orders(self._online(number, "2026-03-05T08:10:00Z") for number in range(1, 21))
        self.shop.upsert_levels(self._level(number, "2026-03-05T08:20:00Z") for number in range(1, 11))
        self.shop.upsert_products([self._product("2026-03-05T07:00:00Z")])
        for store in (1, 2, 3):
            self._reference("2026/03/05", store, "UTC")
            self._put(f"tills/2026/03/04/store_{store:03}.csv", f"{TILLS}{store},2026-03-04,3,30.5,0,0,30.5\n")
            for hour in range(10):
                self._counts(f"2026-03-05T{hour:02}", store, 5)

    def next_day(self) -> None:
        """Business until ``NEXT_DAY``, with late changes of the first day."""
        self._orders(301, 500, "2026-03-05 12:00")
        self.admin.execute(
            "UPDATE orders SET status = 'completed', updated_at = '2026-03-06 08:00+00' WHERE order_id <= 20"
        )
        self.admin.execute("UPDATE orders SET total_amount = 'NaN' WHERE order_id = 310")
        self._people("2026-03-06 08:00")
        self.shop.upsert_orders(self._online(number, "2026-03-06T08:10:00Z") for number in range(15, 31))
        self.shop.upsert_levels(self._level(number, "2026-03-06T08:20:00Z") for number in range(5, 15))
        self.shop.upsert_levels([self._level(20, "2026-03-05T09:50:00Z")])  # was not seen by then
        self.shop.upsert_products([self._product("2026-03-06T07:00:00Z")])
        for store in (1, 2, 3):
            self._reference("2026/03/06", store, "Europe/Berlin" if store == 2 else "UTC")
            self._put(f"tills/2026/03/05/store_{store:03}.csv", f"{TILLS}{store},2026-03-05,4,41,0,x,41\n")
            for hour in range(10):
                self._counts(f"2026-03-06T{hour:02}", store, 6)
        self._counts("2026-03-05T08", 1, 99)  # rewritten
        self._put("inventory/2026/03/06/09/store_004.csv", f"{COUNTS}4,A,1,0,2026-03-06T09:1")  # cut off

    def _orders(self, first: int, last: int, since: str) -> None:
        numbers = {"first": first, "last": last, "since": f"{since}+00"}
        at = "%(since)s::timestamptz + (n - %(first)s::int) * interval '100 seconds'"
        for statement in (
            "INSERT INTO orders SELECT n, n %% 50, 1 + n %% 3, 'store', 'paid', false, 'USD',"
            f" {at}, 1.25, 0.75, 0, n + 0.99, {at} FROM generate_series(%(first)s::int, %(last)s::int) AS n",
            f"INSERT INTO order_lines SELECT n, k, 'SKU-' || k, k, 9.1234 + n, 0, 0.5, {at}"
            " FROM generate_series(%(first)s::int, %(last)s::int) AS n, generate_series(1, 2) AS k",
            f"INSERT INTO refunds SELECT n, n, 1, 1, 0.1234, 'worn', {at}, {at}"
            " FROM generate_series(%(first)s::int, %(last)s::int) AS n WHERE n %% 10 = 0",
        ):
            self.admin.execute(statement, numbers)

    def _people(self, at: str) -> None:
        self.admin.execute(
            "INSERT INTO customers (customer_id, email, country, updated_at)"
            " SELECT n, 'c' || n || '@example.com', 'US', %(at)s FROM generate_series(1, 50) AS n",
            {"at": f"{at}+00"},
        )
        self.admin.execute(
            "INSERT INTO products (sku, name, list_price, updated_at)"
            " SELECT 'SKU-' || n, 'Mug', n + 0.5, %(at)s FROM generate_series(1, 9) AS n",
            {"at": f"{at}+00"},
        )

    def _online(self, number: int, updated: str) -> dict[str, Any]:
        line = {"productId": 1, "variantId": 1, "sku": "SKU-1", "title": "Mug", "quantity": 2, "currentQuantity": 2}
        line |= {"id": number * 10, "unitPrice": "12.34", "discount": "1.00", "tax": "0.55"}
        returned = {"id": number, "lineItemId": number * 10, "quantity": 1, "subtotal": "11.34", "tax": "0.27"}
        refund = {"id": number, "createdAt": updated, "note": None, "lines": [returned], "shipping": "0.00"}
        return {
            "id": number,
            "name": f"#{number}",
            "createdAt": f"2026-03-05T0{number % 8}:00:00Z",
            "processedAt": f"2026-03-05T0{number % 8}:00:01Z",
            "updatedAt": updated,
            "cancelledAt": None,
            "cancelReason": None,
            "test": False,
            "currencyCode": "USD",
            "customerId": 77,
            "displayFinancialStatus": "PAID",
            "displayFulfillmentStatus": "UNFULFILLED",
            "shipping": "5.00",
            "lineItems": [line],
            "refunds": [refund] if number % 5 == 0 else [],
        }

    def _level(self, item: int, updated: str) -> dict[str, Any]:
        level = {"inventoryItemId": item, "locationId": 1, "sku": f"SKU-{item}", "available": 3, "onHand": 4}
        return level | {"incoming": 10, "updatedAt": updated}

    def _product(self, updated: str) -> dict[str, Any]:
        variant = {"id": 1, "sku": "SKU-1", "title": "blue", "price": "12.34", "cost": "6.10", "inventoryItemId": 1}
        product = {"id": 1, "title": "Mug", "vendor": "Clay", "productType": "Kitchen", "status": "ACTIVE"}
        product |= {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": updated}
        return product | {"variants": [variant | {"updatedAt": updated}]}

    def _counts(self, hour: str, store: int, on_hand: int) -> None:
        start = datetime.fromisoformat(f"{hour}:00")
        rows = [f"{store},SKU-{n},{on_hand if n else 'many'},0,{hour}:15:00Z\n" for n in range(3)]
        self._put(f"inventory/{start:%Y/%m/%d/%H}/store_{store:03}.csv", COUNTS + "".join(rows))

    def _reference(self, day: str, store: int, zone: str) -> None:
        row = f"{store},Store {store},city,EU,Ulm,,DE,{zone},2020-01-01,,100,Jo\n"
        self._put(f"reference/{day}/store_{store:03}.csv", REFERENCE + row)

    def _put(self, name: str, content: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"in/{name}", Body=content.encode())


COUNTS = "store_id,sku,on_hand,on_order,counted_at\n"
REFERENCE = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"
TILLS = "store_id,business_date,transactions,gross_sales,discounts,returns,net_sales\n"


@pytest.fixture(scope="module")
def trade(tmp_path_factory: pytest.TempPathFactory, oltp_dsns: tuple[str, str], endpoint: str) -> Iterator[Trade]:
    """The three sources, empty at first, for all tests of a module."""
    path, token = tmp_path_factory.mktemp("trade") / "shop.sqlite", f"shpat_{secrets.token_hex(8)}"
    simulator = create_server(path, token)
    thread = threading.Thread(target=simulator.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    admin_dsn, reader_dsn = oltp_dsns
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(admin_dsn, autocommit=True) as admin:
        set_aws(patch)
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        try:
            yield Trade(admin, reader_dsn, Shop(path), f"http://127.0.0.1:{simulator.server_address[1]}", token)
        finally:
            simulator.shutdown()
            thread.join()
            simulator.server_close()


@pytest.fixture
def state() -> Callable[[Path | Warehouse, str], dict[str, Any]]:
    """``state(home or warehouse, source)``, to compare two warehouses."""

    def of(place: Path | Warehouse, source: str) -> dict[str, Any]:
        if isinstance(place, Warehouse):
            return state_of(place, source)
        with open_duckdb(place / "INSIGHTMART.duckdb") as warehouse:
            return state_of(warehouse, source)

    return of


def state_of(warehouse: Warehouse, source: str) -> dict[str, Counter[tuple[Any, ...]]]:
    """What the warehouse holds of one source: load ids by their order, nothing of the real clock, no row's own id."""
    loaded = "SELECT DISTINCT load_id FROM ops.loads WHERE source = ? AND status = 'loaded' ORDER BY load_id"
    order = {load_id: place for place, (load_id,) in enumerate(warehouse.rows(loaded, [source]))}
    assert warehouse.rows("SELECT load_id FROM ops.loads WHERE status = 'started'") == []

    def rows(table: str, condition: str, *left_out: str) -> Counter[tuple[Any, ...]]:
        records = warehouse.records(f"SELECT * FROM {table} WHERE {condition}", [source])
        for record in records:
            for name in ("load_id", "_dlt_load_id"):
                if name in record:
                    record[name] = order.get(record[name], "none")
            if record.get("original_path"):
                record["original_path"] = Path(record["original_path"]).name
        return Counter(tuple(v for name, v in record.items() if name not in left_out) for record in records)

    clock = ["started_at", "ended_at", "seconds"]
    if source == "shopify":
        clock += ["bytes", "content_hash"]  # an answer says how many points are left
    if source == "oltp":
        clock += ["content_hash"]  # a database sends rows in any order
    own = [item.table for item in ENTITIES if item.source == source]
    found = {table: rows(f"raw.{table}", "? IS NOT NULL") for table in own}
    found["rejects"] = rows("raw.rejects", "source = ?")
    found["ops.loads"] = rows("ops.loads", "source = ? AND status = 'loaded'", *clock)
    found["ops.source_watermarks"] = rows("ops.source_watermarks", "source = ?", "load_id")
    found["ops.files"] = rows("ops.files", "source = ?")
    found["ops.correction_windows"] = rows(
        "ops.correction_windows", "load_id IN (SELECT load_id FROM ops.loads WHERE source = ?)", "window_id"
    )
    return found
