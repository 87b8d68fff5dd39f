"""What runs in processes of its own: filling the bucket, the limits, and the ingestion of one source.

Imports stand inside the functions: a process imports what it needs, and the one that measures stays small.
"""

from __future__ import annotations

import gc
import gzip
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bench.ingestion.costs import Cost, cost_of
from bench.ingestion.hours import EARLIER, NOW

SMALL_FILES, SMALL_FILE_BYTES = 10, 2_000  # of the hour before
REFERENCE_HEADER = "store_id,name,format,region,city,state,country,timezone,opened_on,closed_on,square_feet,manager\n"
TEXT_COLUMNS = ("store_id", "sku", "on_hand", "on_order", "counted_at")


def publish_store_files(environment: Mapping[str, str], bucket: str, size: int, plain: Path) -> dict[str, int]:
    """Put the hour's files, and a few small ones of the hour before, into a new bucket.

    Args:
        environment: where the bucket is, and its keys.
        bucket: its name; keys have no prefix.
        size: bytes of a file.
        plain: new directory for the hour's files as plain UTF-8, for the limit.

    Returns:
        What the load at ``NOW`` must bring: typed rows, and as ``rejects of stores`` bad rows and distrusted files.
    """
    import boto3

    from bench.ingestion.store_files import STORES, hour_of_files

    os.environ.update(environment)
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    plain.mkdir()
    for store in range(1, STORES + 1):
        reference = (
            f"{REFERENCE_HEADER}{store},Store {store},city,East,Boston,MA,US,America/New_York,2010-05-01,,9000,\n"
        )
        client.put_object(Bucket=bucket, Key=f"reference/{EARLIER:%Y/%m/%d}/store_{store:03d}.csv", Body=reference)
    for file in hour_of_files(_hour_before(EARLIER), SMALL_FILE_BYTES, SMALL_FILES):
        client.put_object(Bucket=bucket, Key=file.key, Body=file.content)
    rows = rejected = 0
    for file in hour_of_files(_hour_before(NOW), size):
        client.put_object(Bucket=bucket, Key=file.key, Body=file.content)
        text = _plain(file.content)
        (plain / file.key.replace("/", "_")).write_bytes(text if file.is_trusted else text[: text.rindex(b"\n") + 1])
        rows += file.rows
        rejected += file.bad_rows if file.is_trusted else 1  # a distrusted file is one reject
    return {"stores_inventory": rows, "rejects of stores": rejected}


def fill_shop(path: Path, scale: float) -> dict[str, int]:
    """Fill a new shop that grants as many points as anybody asks for; the rows its hour must bring."""
    from bench.ingestion.shop_orders import fill
    from sandbox.shopify.shop import Shop

    shop = Shop(path)
    shop.set_fault("slow_bucket", {"maximum": 1_000_000, "restore_rate": 1_000_000})
    return fill(shop, scale)


def ingest_source(environment: Mapping[str, str], source: str, home: Path) -> tuple[Cost, dict[str, int]]:
    """The load at ``NOW`` of one source, as `insightmart ingest SOURCE` does it, without starting the interpreter.

    Returns what it cost, and what it left in raw (see ``landed``).

    Raises:
        RuntimeError: the source could not be loaded.
    """
    os.environ.update(environment)
    os.environ["INSIGHTMART_HOME"] = str(home)
    from ingestion.ops_tables import create_tables
    from ingestion.postgres import source as postgres  # noqa: F401 (`ingest` imports them when it needs them)
    from ingestion.shopify import source as shopify  # noqa: F401 (`ingest` imports them when it needs them)
    from ingestion.stores import source as stores  # noqa: F401 (`ingest` imports them when it needs them)
    from insightmart.gateway import open_warehouse
    from insightmart.logs import configure_logging
    from insightmart.progress import console
    from insightmart.settings import load_settings
    from insightmart.sources import ingest

    configure_logging(False)
    console.quiet = True
    settings = load_settings()
    results: list[Any] = []
    with open_warehouse(settings) as warehouse:
        create_tables(warehouse)
        cost = cost_of(lambda: results.extend(ingest(warehouse, settings, NOW, [source])))
    for result in results:
        if result.error:
            raise RuntimeError(result.error)
    return cost, landed(home)


def landed(home: Path) -> dict[str, int]:
    """Rows that the load at ``NOW`` left in each raw table; rejects by source, as ``rejects of <source>``."""
    from ingestion.contracts import ENTITIES
    from ingestion.warehouse import open_duckdb

    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        counts = {
            item.table: warehouse.value(f"SELECT COUNT(*) FROM raw.{item.table} WHERE _loaded_at = ?", [NOW])
            for item in ENTITIES
        }
        rejects = warehouse.rows("SELECT source, COUNT(*) FROM raw.rejects WHERE _loaded_at = ? GROUP BY ALL", [NOW])
    return {name: int(count) for name, count in counts.items() if count} | {
        f"rejects of {source}": count for source, count in rejects
    }


# --- the limits --------------------------------------------------------------------------------------------------


def read_as_text(directory: Path) -> Cost:
    """Read plain CSV files with pyarrow, every column a string, by one thread."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    options = pa_csv.ConvertOptions(column_types=dict.fromkeys(TEXT_COLUMNS, pa.string()))

    def read() -> None:
        for path in sorted(directory.iterdir()):
            content = path.read_bytes()
            separator = ";" if b";" in content[:200] else ","
            pa_csv.read_csv(
                pa.BufferReader(content),
                read_options=pa_csv.ReadOptions(use_threads=False),
                parse_options=pa_csv.ParseOptions(delimiter=separator),
                convert_options=options,
            )

    return cost_of(read)


def parse_json(directory: Path) -> Cost:
    """Parse the answers of the shop with orjson, and do nothing with what comes out."""
    import orjson

    bodies = _bodies(directory)
    gc.disable()  # the limit has nothing to collect, and is several times as fast without looking for it

    def parse() -> None:
        for body in bodies:
            orjson.loads(body)

    return cost_of(parse)


def flatten_json(directory: Path) -> Cost:
    """Parse the answers of the shop and flatten their orders to Arrow tables, as many at once as a load does."""
    from ingestion.shopify.pages import FLATTENED_AT_ONCE
    from ingestion.shopify.tables.orders import flatten_orders
    from ingestion.shopify.tables.parsing import collector_paused, parse

    bodies = iter(_bodies(directory))

    def run() -> None:
        body: bytes | None = b""
        while body is not None:
            with collector_paused():
                orders: list[dict[str, Any]] = []
                while len(orders) < FLATTENED_AT_ONCE and (body := next(bodies, None)) is not None:
                    answer = (
                        parse(body).get("data") or {}
                    )  # none: the page would have cost too much, and was asked for halved
                    orders += answer.get("orders", {}).get("nodes", ())
                flatten_orders(orders)
                del orders

    return cost_of(run)


def _bodies(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(directory.iterdir())]


def _hour_before(instant: datetime) -> datetime:
    return instant.replace(minute=0) - timedelta(hours=1)


def _plain(content: bytes) -> bytes:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content
