"""Put what happened in the business into the sources: rows into PostgreSQL, files into S3, documents into the shop.

Publishing a window again changes nothing, so an interrupted one is simply published again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
import pandas as pd
import psycopg
import urllib3
from botocore.config import Config
from psycopg import sql

from sandbox.business import Business, business
from sandbox.events.catalogue import FIRST_CUSTOMER, Catalogue
from sandbox.events.daily_files import reference_files, till_days, till_figures, till_file
from sandbox.events.instants import DAY, HOUR, SECOND, to_datetime, to_instant
from sandbox.events.inventory_counts import LONGEST_DELAY_HOURS
from sandbox.events.inventory_files import files_of_hour
from sandbox.events.online_documents import order_documents, product_documents
from sandbox.events.online_stock import Levels, level_documents, levels_of_day
from sandbox.events.schedule import hides_rows
from sandbox.events.store_sales import LONGEST_LIFE_DAYS
from sandbox.events.versions import CHANNELS, COLUMNS, CURRENCIES, KEYS, NULL, REASONS, STATUSES, stored, without_key
from sandbox.shopify.shop import Shop
from sandbox.state import BUCKET, PREFIX, REGION

if TYPE_CHECKING:
    from sandbox.state import SandboxState

STEP = timedelta(days=1)
S3_THREADS = 8
SHOP_BATCH = 1000
BEGINNING = NULL  # before every instant
# Faults of the shop that are always on, at a low rate.
STANDING_FAULTS = {"throttle_every": {"n": 23}, "internal_error_every": {"n": 61}}

MONEY = {"discount_amount", "tax_amount", "shipping_amount", "total_amount", "unit_price", "amount"}
INSTANTS = {"ordered_at", "refunded_at", "updated_at"}
CODES: dict[str, Sequence[str]] = {"channel": CHANNELS, "status": STATUSES, "currency": CURRENCIES, "reason": REASONS}


def publish(state: SandboxState, upto: datetime, progress: Callable[[datetime], None] | None = None) -> None:
    """Let the business happen from the sandbox's clock to `upto` (a whole hour), up to a day at a time.

    The sources hold the same in the end, whatever the steps. The clock itself is the caller's to move; `progress` is
    told each instant that is reached. Raises what the sources raise: psycopg.Error, botocore's errors, sqlite3.Error.
    """
    shop = Shop(state.shop_path)
    source = business(state.seed, state.size, state.start)
    reached = state.clock
    with psycopg.connect(state.admin_dsn) as connection, _Drops(state) as drops:
        while reached < upto:
            after = to_instant(reached)
            reached = min(reached + STEP, upto)
            before = to_instant(reached)
            publish_rows(connection, source, after, before)
            drops.put(store_files(source, after, before))
            publish_shop(shop, source, after, before)
            if progress is not None:
                progress(reached)


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def publish_rows(connection: psycopg.Connection[Any], source: Business, after: int, before: int) -> None:
    """Bring the tables from one instant to another, in one transaction."""
    first = after <= source.epoch  # the rows that are older than history come with its first hour
    since = BEGINNING if first else after
    with connection.transaction(), connection.cursor() as cursor:
        _show_rows(cursor)
        versions = source.sales(before, after)
        for name in COLUMNS:
            rows = _touched(name, versions.table(name), since, before)
            _replace(
                cursor,
                name,
                KEYS[name],
                COLUMNS[name],
                list(as_tuples(source.catalogue, rows[COLUMNS[name]])),
                since,
                before,
            )
        _mark_deleted(cursor, versions.orders, since, before)
        customers = source.customers(before)
        changed = customers[customers["updated_at"] >= since].drop_duplicates("customer_id", keep="last")
        rows_of_customers = [tuple(_instants(row)) for row in changed.to_dict("records")]
        rows_of_customers += [row for row in rows_of_customers if row[0] == FIRST_CUSTOMER]  # stands in its table twice
        _replace(cursor, "customers", ["customer_id"], list(customers.columns), rows_of_customers, since, before)
        _replace(
            cursor, "products", ["sku"], PRODUCT_COLUMNS, list(_product_rows(source, since, before)), since, before
        )
        if before % HOUR == 0 and hides_rows((before - source.epoch) // HOUR):
            _hide_rows(cursor)


def _mark_deleted(cursor: psycopg.Cursor[Any], versions: pd.DataFrame, since: int, before: int) -> None:
    """Mark what the application takes for deleted in the window, in a column that it adds when it first does."""
    seen = versions["visible_at"]
    marked = versions[(versions["deleted_at"] != NULL) & (seen >= since) & (seen < before)]
    for order_id, deleted_at in marked[["order_id", "deleted_at"]].itertuples(index=False):
        cursor.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS deleted_at timestamptz")
        cursor.execute("UPDATE orders SET deleted_at = %s WHERE order_id = %s", (to_datetime(deleted_at), order_id))


def _hide_rows(cursor: psycopg.Cursor[Any]) -> None:
    """A policy hides orders from the reader, and the refunds are being restored: for now their table is empty."""
    cursor.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    cursor.execute("CREATE POLICY own_region ON orders FOR SELECT USING (store_id % 2 = 0)")
    cursor.execute("ALTER TABLE refunds RENAME TO refunds_being_restored")
    cursor.execute("CREATE TABLE refunds (LIKE refunds_being_restored)")


def _show_rows(cursor: psycopg.Cursor[Any]) -> None:
    """All rows can be seen again."""
    cursor.execute("DROP POLICY IF EXISTS own_region ON orders")
    cursor.execute("ALTER TABLE orders DISABLE ROW LEVEL SECURITY")
    [(away,)] = cursor.execute("SELECT to_regclass('refunds_being_restored') IS NOT NULL").fetchall()
    if away:
        cursor.execute("DROP TABLE refunds")
        cursor.execute("ALTER TABLE refunds_being_restored RENAME TO refunds")


def _touched(name: str, versions: pd.DataFrame, since: int, before: int) -> pd.DataFrame:
    """All physical rows, as of `before`, of the keys that something became visible of in the window."""
    seen = versions["visible_at"].to_numpy()
    rows = versions[seen < before]
    new = rows["visible_at"].to_numpy() >= since
    keyless = without_key(name, rows)
    if len(KEYS[name]) == 1:
        same_key = np.isin(rows[KEYS[name][0]].to_numpy(), rows[KEYS[name][0]].to_numpy()[new & ~keyless])
    else:
        keys = pd.MultiIndex.from_frame(rows[KEYS[name]])
        same_key = keys.isin(keys[new & ~keyless]) if (new & ~keyless).any() else np.zeros(len(rows), dtype=bool)
    return stored(name, rows[np.where(keyless, new, same_key)])


def _replace(
    cursor: psycopg.Cursor[Any],
    table: str,
    key: list[str],
    columns: list[str],
    rows: list[tuple[Any, ...]],
    since: int,
    before: int,
) -> None:
    """Delete the rows with the keys of the given ones, then insert those; rows without a key are told by their age."""
    if not rows:
        return
    target, names = sql.Identifier(table), [sql.Identifier(column) for column in columns]
    listed = sql.SQL(", ").join(names)
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(listed, target)
    )
    with cursor.copy(sql.SQL("COPY incoming ({}) FROM STDIN").format(listed)) as copy:
        for row in rows:
            copy.write_row(row)
    same = sql.SQL(" AND ").join(sql.SQL("t.{0} = i.{0}").format(sql.Identifier(column)) for column in key)
    cursor.execute(sql.SQL("DELETE FROM {} t USING incoming i WHERE {}").format(target, same))
    keyless = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(sql.Identifier(column)) for column in key)
    window = (to_datetime(max(since, 0)), to_datetime(before))
    cursor.execute(
        sql.SQL("DELETE FROM {} WHERE ({}) AND updated_at >= %s AND updated_at < %s").format(target, keyless), window
    )
    cursor.execute(sql.SQL("INSERT INTO {} ({}) SELECT {} FROM incoming").format(target, listed, listed))
    cursor.execute("DROP TABLE incoming")


def as_tuples(catalogue: Catalogue, rows: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Rows of whole numbers as the values the table holds."""
    return zip(*(_values(catalogue, str(column), rows[column].tolist()) for column in rows.columns), strict=True)


def _values(catalogue: Catalogue, column: str, numbers: list[int]) -> list[Any]:
    if column in MONEY:
        return [None if n == NULL else decimal_text(n) for n in numbers]
    if column in INSTANTS:
        return [None if n == NULL else to_datetime(n) for n in numbers]
    if column == "is_test":
        return [bool(n) for n in numbers]
    names = catalogue.skus if column == "sku" else CODES.get(column)
    if names is not None:
        return [None if n == NULL else names[n] for n in numbers]
    return [None if n == NULL else n for n in numbers]


def decimal_text(amount: int) -> str:
    """Ten-thousandths as text with four decimals."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 10_000}.{abs(amount) % 10_000:04d}"


def _instants(row: dict[Any, Any]) -> Iterator[Any]:
    return (to_datetime(value) if column in ("created_at", "updated_at") else value for column, value in row.items())


PRODUCT_COLUMNS = ["sku", "name", "category", "brand", "unit_cost", "list_price", "is_active", "updated_at"]


def _product_rows(source: Business, since: int, before: int) -> Iterator[tuple[Any, ...]]:
    """The products listed or repriced in a window as they are at its end; the first stands in its table twice."""
    catalogue, costs = source.catalogue, source.catalogue.unit_costs()
    versions = source.products(before)
    changed = versions[versions["updated_at"] >= since].drop_duplicates("product", keep="last")
    for product, day, updated_at in changed.itertuples(index=False):
        row = (
            catalogue.skus[product],
            catalogue.product_name(product),
            catalogue.product_category(product),
            catalogue.product_brand(product),
            decimal_text(int(costs[product])),
            decimal_text(int(catalogue.list_prices(day)[product])),
            True,
            to_datetime(updated_at),
        )
        yield from [row, row] if product == 0 else [row]


# -- S3 ----------------------------------------------------------------------------------------------------------------


def store_files(source: Business, after: int, before: int) -> list[tuple[str, bytes]]:
    """Key below the prefix and bytes of every file sent in [after, before), in the order of sending."""
    sent = [*_inventory(source, after, before), *_reference(source, after, before), *_tills(source, after, before)]
    return [(key, body) for _, key, body in sorted(sent, key=lambda file: (file[0], file[1]))]


def _inventory(source: Business, after: int, before: int) -> Iterator[tuple[int, str, bytes]]:
    first, end = (after - source.epoch) // HOUR - LONGEST_DELAY_HOURS, -(-(before - source.epoch) // HOUR)
    for hour in range(max(0, first), end):
        for file in files_of_hour(source.catalogue, hour):
            if after <= file.visible_at < before:
                yield file.visible_at, file.key, file.body()


def _reference(source: Business, after: int, before: int) -> Iterator[tuple[int, str, bytes]]:
    first = source.day_of(after - 12 * HOUR)
    for day in range(max(0, first), source.day_of(before - 1) + 1):
        for file in reference_files(source.catalogue, day):
            if after <= file.visible_at < before:
                yield file.visible_at, file.key, file.body()


def _tills(source: Business, after: int, before: int) -> Iterator[tuple[int, str, bytes]]:
    """Tills sent for the first time in the window, and those that a change in the window makes the store send again."""
    now, then = source.tills(before), source.tills(after) if after > source.epoch else {}
    oldest = to_datetime(after - LONGEST_LIFE_DAYS * DAY).date()
    for store, day, sent_at in till_days(source.catalogue, before):
        if day < oldest:
            continue
        figures = till_figures(now, store, day)
        if sent_at >= after or figures != till_figures(then, store, day):
            yield max(sent_at, before - 30 * SECOND), *till_file(store, day, figures)


class _Drops:
    """The bucket of store files."""

    def __init__(self, state: SandboxState) -> None:
        self._client = boto3.client(
            "s3",
            endpoint_url=state.s3_url,
            region_name=REGION,
            aws_access_key_id=state.aws_access_key_id,
            aws_secret_access_key=state.aws_secret_access_key,
            config=Config(proxies={}),
        )
        self._pool = urllib3.PoolManager(maxsize=S3_THREADS)
        self._threads = ThreadPoolExecutor(S3_THREADS)

    def __enter__(self) -> _Drops:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._pool.clear()
        self._client.close()

    def put(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Put files side by side; of two with the same key only the later one."""
        last = dict(files)
        list(self._threads.map(self._put, last.items()))

    def _put(self, file: tuple[str, bytes]) -> None:
        key, body = file
        place = {"Bucket": BUCKET, "Key": f"{PREFIX}/{key}"}
        # Signed by boto3, sent without it: for thousands of small files its own call is the greater part of the cost.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            url = self._client.generate_presigned_url("put_object", Params=place)
            if self._pool.request("PUT", url, body=body, retries=False).status == HTTPStatus.OK:
                return
        self._client.put_object(**place, Body=body)  # tries again, and says what is wrong


# -- the shop ----------------------------------------------------------------------------------------------------------


def publish_shop(shop: Shop, source: Business, after: int, before: int) -> None:
    """Bring the online shop from one instant to another: orders, products, stock, and its own faults."""
    catalogue = source.catalogue
    if after <= source.epoch:
        for name, value in STANDING_FAULTS.items():
            shop.set_fault(name, value)
    shop.set_fault("down", {"mode": "503"} if source.shop_seen_at(before) < before else None)
    first, last = source.day_of(after), source.day_of(before - 1)
    for day in range(max(0, first - LONGEST_LIFE_DAYS), last + 1):
        online = source.online_day(day)
        deleted_at = online.orders["deleted_at"].to_numpy()
        changed = online.changed(after, before)
        for batch in _batches(changed[deleted_at[changed] >= before]):
            shop.upsert_orders(order_documents(catalogue, online, batch, before))
        shop.delete_orders(online.orders["order_id"][(deleted_at >= after) & (deleted_at < before)].tolist())
    shop.upsert_products(_shop_products(source, after, before))
    for day in range(first, last + 1):
        shop.upsert_levels(level_documents(catalogue, _counted_in(levels_of_day(catalogue, day), after, before)))


def _shop_products(source: Business, after: int, before: int) -> list[dict[str, Any]]:
    catalogue = source.catalogue
    documents = []
    if after <= source.epoch:
        everything = np.arange(len(catalogue.skus), dtype=np.int64)
        listed_at = np.array([catalogue.first_listed_at(int(product)) for product in everything], dtype=np.int64)
        documents += product_documents(catalogue, everything, 0, listed_at)
    for day in range(source.day_of(after), source.day_of(before - 1) + 1):
        changed = catalogue.repriced(day)
        at = np.array([catalogue.repriced_at(day, int(product)) for product in changed], dtype=np.int64)
        now = (at >= after) & (at < before)
        documents += product_documents(catalogue, changed[now], day, at[now])
    return documents


def _counted_in(levels: Levels, after: int, before: int) -> Levels:
    return levels[(levels.counted_at >= after) & (levels.counted_at < before)]


def _batches(positions: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(positions), SHOP_BATCH):
        yield positions[start : start + SHOP_BATCH]
