"""The hour's rows of the OLTP: orders, lines and refunds, made by the server itself, the same ones every time.

The sizes at scale 1 make 430 MB as COPY writes them. As at a real source, orders without a customer, changes to orders
of earlier days and a few amounts that are no numbers are among them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from bench.ingestion.hours import BEFORE, EARLIER, NOW

ORDERS = 1_600_000  # at scale 1; two lines each, a refund to every twelfth
EARLIER_ORDERS = 1_000  # at any scale
NOT_A_NUMBER_EVERY = 200_000  # orders whose discount is NaN, which no decimal can hold
TABLES = ("orders", "order_lines", "refunds")

_ORDERS = """
INSERT INTO orders
SELECT %(first)s + n,
    CASE WHEN n %% 9 > 0 THEN 1000000 + n * 7919 %% 39000000 END,
    1 + n * 31 %% 120,
    CASE WHEN n %% 20 = 0 THEN 'phone' ELSE 'store' END,
    (ARRAY['completed', 'completed', 'completed', 'paid', 'shipped', 'pending', 'cancelled'])[1 + n %% 7],
    n %% 997 = 0,
    'USD',
    changed - CASE WHEN n %% 40 = 0 THEN (1 + n %% 6) * INTERVAL '1 day' ELSE n %% 1500 * INTERVAL '1 second' END,
    CASE WHEN n %% %(nan)s = 7 THEN 'NaN' WHEN n %% 5 = 0 THEN n %% 1999 * 0.01 ELSE 0 END,
    n * 13 %% 2999 * 0.01,
    CASE WHEN n %% 20 = 0 THEN 4.95 ELSE 0 END,
    1 + n * 97 %% 49999 * 0.01,
    changed
FROM (
    SELECT n, %(start)s::timestamptz + n::float8 / %(count)s * (%(end)s::timestamptz - %(start)s) AS changed
    FROM generate_series(0, %(count)s::bigint - 1) AS n
) AS numbers
"""
_LINES = """
INSERT INTO order_lines
SELECT order_id, line, 'SKU-' || LPAD(((order_id * 3 + line * 7919) %% 40000)::text, 7, '0'),
    1 + (order_id + line) %% 5, 0.9950 + (order_id * 17 + line) %% 19999 * 0.0101,
    (order_id + line) %% 3 * 0.45, (order_id * line) %% 499 * 0.01,
    updated_at
FROM orders, generate_series(1, 1 + order_id %% 3) AS line
WHERE order_id >= %(first)s AND order_id < %(first)s + %(count)s
"""
_REFUNDS = """
INSERT INTO refunds
SELECT order_id, order_id, 1, 1, 0.9950 + order_id %% 9999 * 0.0101,
    (ARRAY['damaged', 'wrong size, or "not as shown"', NULL, ''])[1 + order_id / 12 %% 4],
    updated_at - INTERVAL '20 seconds', updated_at
FROM orders
WHERE order_id >= %(first)s AND order_id < %(first)s + %(count)s AND order_id %% 12 = 0
"""


def fill(admin_dsn: str, scale: float) -> dict[str, int]:
    """Fill the empty tables with the hour and with what came before it.

    Args:
        admin_dsn: the tables' owner.
        scale: part of a production hour.

    Returns:
        What the load at ``NOW`` must bring: typed rows by raw table, and as ``rejects of oltp`` the others.
    """
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s)",
            [list(TABLES)],
        ).fetchall()
        for name, _ in indexes:  # building them afterwards takes a tenth of the time
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        _insert(connection, 100_000_000, EARLIER_ORDERS, *BEFORE)
        _insert(connection, 200_000_000, max(round(ORDERS * scale), 100), EARLIER, NOW)
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("VACUUM (FREEZE, ANALYZE)")  # so that the first reader does not pay for it
        window = [EARLIER.replace(tzinfo=UTC), NOW.replace(tzinfo=UTC)]
        rows = {
            f"oltp_{table}": _value(
                connection,
                sql.SQL("SELECT COUNT(*) FROM {} WHERE updated_at >= %s AND updated_at < %s").format(
                    sql.Identifier(table)
                ),
                window,
            )
            for table in TABLES
        }
        bad = "SELECT COUNT(*) FROM orders WHERE discount_amount = 'NaN' AND updated_at >= %s AND updated_at < %s"
        rejected = _value(connection, sql.SQL(bad), window)
    rows["oltp_orders"] -= rejected
    return rows | {"rejects of oltp": rejected}


def copy_statements() -> list[str]:
    """COPY of just the rows that the load at ``NOW`` reads, as text, one statement a table."""
    window = f"updated_at >= '{EARLIER.isoformat()}Z' AND updated_at < '{NOW.isoformat()}Z'"
    return [f"COPY (SELECT * FROM {table} WHERE {window}) TO STDOUT" for table in TABLES]


def _insert(connection: psycopg.Connection, first: int, count: int, start: datetime, end: datetime) -> None:
    values = {
        "first": first,
        "count": count,
        "start": start.replace(tzinfo=UTC),
        "end": end.replace(tzinfo=UTC),
        "nan": NOT_A_NUMBER_EVERY,
    }
    for statement in (_ORDERS, _LINES, _REFUNDS):
        connection.execute(statement, values)


def _value(connection: psycopg.Connection, query: sql.Composed | sql.SQL, params: list[Any]) -> int:
    row = connection.execute(query, params).fetchone()
    assert row is not None
    return int(row[0])
