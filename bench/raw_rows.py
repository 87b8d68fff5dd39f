"""Orders, refunds, customers and counts straight into raw, made by SQL: as hourly loads would have left them there.

Everything follows from the number of a row (bench/sql/raw_rows.sql), so that what certified must hold is told without
reading a table. An hour holds what a production hour does, in proportion: of 1.6 million store orders 34,000 online
ones, 130,000 refunds, and 3.2 million counts in 120 stores. Each hour has its load; history grows by hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingestion.clock import utc_now
from ingestion.contracts import ENTITIES

if TYPE_CHECKING:
    from ingestion.warehouse import Warehouse

SQL = Path(__file__).with_name("sql")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LOADED_AFTER = timedelta(minutes=65)  # the beginning of an hour
STORES = 120
ORDERS_A_CUSTOMER, ORDERS_AN_ONLINE_ONE, COUNTS_AN_ORDER = 6, 47, 2
REFUNDED_WITHIN = 14  # days
FIRST, FIRST_ONLINE = 1_000_000_000, 5_000_000_000  # numbers of orders, which rise with time
AT_ONCE = 1_000_000  # orders that one statement makes
ROWS_A_GROUP = 8192  # of a table, where what scans look at is counted
NUMBER = {"oltp": 1, "shopify": 2, "stores": 3}  # of a source, in its load ids


@dataclass(frozen=True)
class Span:
    """Hours of business that follow each other, each with as much in it.

    Attributes:
        start: first hour, UTC.
        hours: how many.
        orders: store orders in each.
        begins: first hour of all history.
        first: number of the first order.
        first_online: number of the first online order.
        customers: who is known when it begins.
        reach: how many orders back a refund names one at most.
        products: different ones that are sold.
    """

    start: datetime
    hours: int
    orders: int
    begins: datetime
    first: int = FIRST
    first_online: int = FIRST_ONLINE
    customers: int = 0
    reach: int = 1
    products: int = 2_000

    @classmethod
    def of_days(cls, end: datetime, days: int, orders: int, products: int = 2_000) -> Span:
        """So many days and the hours of the last one, with so many store orders in each hour."""
        start = end.replace(hour=0) - days * DAY
        return cls(start, (end - start) // HOUR, orders, start, reach=orders * 24 * REFUNDED_WITHIN, products=products)

    @property
    def end(self) -> datetime:
        """The first instant after it."""
        return self.start + self.hours * HOUR

    @property
    def as_of(self) -> datetime:
        """When its last hour is loaded."""
        return self.end - HOUR + LOADED_AFTER

    @property
    def online(self) -> int:
        """Online orders in each hour."""
        return max(self.orders // ORDERS_AN_ONLINE_ONE, 1)

    @property
    def midnights(self) -> list[datetime]:
        """Days that begin in it."""
        first = self.start if self.start.hour == 0 else self.start.replace(hour=0) + DAY
        return [first + day * DAY for day in range(self.hours // 24 + 1) if first + day * DAY < self.end]

    @property
    def registered(self) -> int:
        """Customers that register on each day."""
        return self.orders * 24 // ORDERS_A_CUSTOMER

    def next(self, hours: int = 1, orders: int | None = None) -> Span:
        """The hours that follow, with as many orders or others."""
        return replace(
            self,
            start=self.end,
            hours=hours,
            orders=orders or self.orders,
            first=self.first + self.hours * self.orders,
            first_online=self.first_online + self.hours * self.online,
            customers=self.customers + self.registered * len(self.midnights),
        )

    def pieces(self) -> Iterator[Span]:
        """The same hours in pieces that one statement can make, of whole days where that is possible."""
        at_once = AT_ONCE // self.orders
        length = max(at_once // 24 * 24 or at_once, 1)
        piece, left = replace(self, hours=min(length, self.hours)), self.hours
        while left:
            yield piece
            left -= piece.hours
            piece = piece.next(min(length, left))

    def values(self) -> dict[str, Any]:
        """A value for each parameter of the statements."""
        midnights = self.midnights
        return {
            "start": self.start,
            "hours": self.hours,
            "orders": self.orders,
            "online": self.online,
            "first": self.first,
            "first_online": self.first_online,
            "first_of_all": FIRST,
            "reach": self.reach,
            "last": self.first + self.hours * self.orders,
            "last_online": self.first_online + self.hours * self.online,
            "stores": STORES,
            "products": self.products,
            "counts": max(self.orders * COUNTS_AN_ORDER // STORES, 1),
            "midnight": midnights[0] if midnights else self.start,
            "days": len(midnights),
            "first_customer": self.customers + 1,
            "registered": self.registered,
            "customers": self.customers + self.registered * len(midnights),
        }


def fill(warehouse: Warehouse, span: Span) -> None:
    """Put the hours into raw, and record their loads and how far the sources are covered."""
    define_macros(warehouse.connection)
    for piece in span.pieces():
        for kind, name, statement in statements("raw_rows"):
            if kind == "temporary":
                _run(warehouse, f"CREATE OR REPLACE TEMP TABLE {name} AS {statement}", piece)
            elif kind == "insert" and (name != "oltp_products" or piece.first == FIRST):
                number = NUMBER[name.partition("_")[0]]
                _run(
                    warehouse,
                    f"INSERT INTO raw.{name} BY NAME SELECT * RENAME (loaded_at AS _loaded_at),"
                    f" EPOCH(loaded_at)::BIGINT::VARCHAR || '.{number}' AS _dlt_load_id FROM ({statement}) AS found",
                    piece,
                )
    record(warehouse, span)
    warehouse.checkpoint()


def copy_into_raw(connection: Any, directory: Path) -> None:
    """Append the files to the tables of raw."""
    for file in sorted(directory.glob("*.parquet")):
        connection.execute(f"INSERT INTO raw.{file.stem} BY NAME SELECT * FROM read_parquet(?)", [str(file)])


def define_macros(connection: Any) -> None:
    """Teach a connection what the amounts of a row follow from."""
    for kind, name, statement in statements("raw_rows"):
        if kind == "macro":
            connection.execute(f"CREATE OR REPLACE TEMP MACRO {name}{statement}")


def expected(spans: list[Span]) -> dict[str, tuple[Any, ...]]:
    """What certified must hold of spans that follow each other: rows and sums, worked out from the numbers alone."""
    import duckdb

    found: dict[str, tuple[Any, ...]] = {}
    with duckdb.connect() as connection:
        define_macros(connection)
        for kind, name, statement in statements("raw_rows"):
            if kind == "expected":
                totals = [connection.execute(statement, _used(statement, span)).fetchone() for span in spans]
                rows, amounts = zip(*totals, strict=True)
                found[name] = (sum(rows), sum(amount for amount in amounts if amount is not None))
    return found


def certified(warehouse: Warehouse) -> dict[str, tuple[Any, ...]]:
    """What certified does hold of the same."""
    return {
        name: warehouse.rows(statement)[0] for kind, name, statement in statements("raw_rows") if kind == "certified"
    }


@cache
def statements(file: str) -> list[tuple[str, str, str]]:
    """The statements of a file in order: what each is for, its name, its text."""
    text = (SQL / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"(?m)^-- (\w+): (.+)\n", text)
    return [
        (kind, name, re.sub(r"(?m)^-- .*\n", "", statement).strip())
        for kind, name, statement in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def record(warehouse: Warehouse, span: Span) -> None:
    """Note the loads of the rows of a span, one a source, entity and hour, and the watermarks; the last began now."""
    loads, values = [], []
    for item in ENTITIES:
        total = f"SUM({item.control_sum})" if item.control_sum else "NULL"
        loads.append(
            "SELECT _dlt_load_id, ?, ?, _loaded_at - INTERVAL 65 MINUTE, _loaded_at - INTERVAL 5 MINUTE, COUNT(*), 0,"
            f" COUNT(*), {total}, {total}, _loaded_at + CAST(? AS INTERVAL), _loaded_at + CAST(? AS INTERVAL), 1,"
            " 'loaded', _loaded_at"
            f" FROM raw.{item.table} WHERE _loaded_at > CAST(? AS TIMESTAMP) GROUP BY _dlt_load_id, _loaded_at"
        )
        values += [item.source, item.name, *[utc_now() - span.as_of] * 2, span.start + LOADED_AFTER - HOUR]
    warehouse.execute(
        'INSERT INTO ops.loads (load_id, source, entity, window_start, window_end, "ROWS", rejected_rows,'
        " source_count, source_sum, landed_sum, started_at, ended_at, seconds, status, loaded_at)"
        f" {' UNION ALL '.join(loads)} ORDER BY _loaded_at",  # as hours come in
        values,
    )
    covered = {"hourly": span.end, "daily": span.end.replace(hour=0)}
    warehouse.execute("DELETE FROM ops.source_watermarks")
    warehouse.insert(
        "ops.source_watermarks",
        [
            {
                "source": item.source,
                "entity": item.name,
                "covered_through": covered[item.cadence],
                "load_id": "0",
                "updated_at": span.as_of,
            }
            for item in ENTITIES
            if item.watermarked
        ],
    )


def _run(warehouse: Warehouse, statement: str, span: Span) -> None:
    warehouse.connection.execute(statement, _used(statement, span))


def _used(statement: str, span: Span) -> dict[str, Any]:
    names = set(re.findall(r"\$([a-z_]+)", statement))
    return {name: value for name, value in span.values().items() if name in names}
