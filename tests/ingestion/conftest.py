"""A warehouse of its own for every test, one real PostgreSQL server for all of them, and a shop that answers HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
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
from tests.support.postgres_server import running_postgres
from tests.support.trade import HISTORY_START, Trade


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """INSIGHTMART_HOME of the test."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a local warehouse with empty raw and ops tables: to be copied."""
    path = tmp_path_factory.mktemp("empty") / "INSIGHTMART.duckdb"
    with open_duckdb(path) as opened:
        create_tables(opened)
    return path


@pytest.fixture
def warehouse(home: Path, empty_warehouse: Path) -> Iterator[Warehouse]:
    """A local warehouse with empty raw and ops tables."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_warehouse, home / "INSIGHTMART.duckdb")
    with open_duckdb(home / "INSIGHTMART.duckdb") as opened:
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
    reader = secrets.token_hex(8)
    with running_postgres(tmp_path_factory.mktemp("oltp")) as admin_dsn:
        server.create_database(admin_dsn, reader)
        yield admin_dsn, f"postgresql://insightmart_reader:{reader}@{admin_dsn.partition('@')[2]}"


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
        self,
        day: str,
        store: int,
        zone: str = "Africa/Abidjan",
        opened: str = "2020-01-01",
        closed: str = "",
        manager: str = "Jo",
    ) -> str:
        """Write a store's reference file of a day."""
        row = f"{store},Store {store},city,EU,Ulm,,DE,{zone},{opened},{closed},100,{manager}\n"
        return self.put(f"reference/{day.replace('-', '/')}/store_{store:03d}.csv", self.REFERENCE + row)


@pytest.fixture
def drops(endpoint: str, aws: None) -> Drops:
    """An empty bucket."""
    return Drops(endpoint)


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
