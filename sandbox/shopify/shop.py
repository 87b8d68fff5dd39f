"""The shop's content: documents in one SQLite file, written by the generator, read by the Shopify simulator.

The documents are plain JSON: ids are numbers, money is text with up to four decimals, instants are ISO 8601 in UTC with
a Z, so that their text sorts as time does.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from sandbox.shopify.search import has_words_of_any

Document = dict[str, Any]

LOCATION = {"id": 1, "name": "Online"}

_TABLES = """
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY, updated_at TEXT, created_at TEXT, processed_at TEXT, document BLOB);
    CREATE INDEX IF NOT EXISTS orders_updated ON orders (updated_at, id);
    CREATE INDEX IF NOT EXISTS orders_created ON orders (created_at, id);
    CREATE TABLE IF NOT EXISTS refunds (id INTEGER PRIMARY KEY, order_id INTEGER);
    CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, updated_at TEXT, created_at TEXT, document BLOB);
    CREATE INDEX IF NOT EXISTS products_updated ON products (updated_at, id);
    CREATE TABLE IF NOT EXISTS variants (
        id INTEGER PRIMARY KEY, inventory_item_id INTEGER, product_id INTEGER, sku TEXT, updated_at TEXT,
        created_at TEXT, document BLOB);
    CREATE INDEX IF NOT EXISTS variants_item ON variants (inventory_item_id);
    CREATE INDEX IF NOT EXISTS variants_product ON variants (product_id);
    CREATE INDEX IF NOT EXISTS variants_sku ON variants (sku);
    CREATE VIEW IF NOT EXISTS inventory_items AS
        SELECT inventory_item_id AS id, sku, updated_at, created_at, document FROM variants;
    CREATE TABLE IF NOT EXISTS levels (id INTEGER PRIMARY KEY, location_id INTEGER, updated_at TEXT, document BLOB);
    CREATE INDEX IF NOT EXISTS levels_updated ON levels (updated_at, id);
    CREATE TABLE IF NOT EXISTS faults (name TEXT PRIMARY KEY, value BLOB);
"""


class Shop:
    """One shop. Every thread that uses it gets a connection of its own.

    Args:
        path: the SQLite file; created when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection.executescript(_TABLES)

    @property
    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.create_function("has_words_of_any", 2, has_words_of_any, deterministic=True)
            connection.execute("PRAGMA synchronous = OFF")  # a sandbox: speed over surviving a power cut
            self._local.connection = connection
        found: sqlite3.Connection = self._local.connection
        return found

    # --- what the generator writes ---

    def upsert_orders(self, orders: Iterable[Document]) -> None:
        """Put orders in, each in its newest version."""
        documents = list(orders)
        rows = [
            (order["id"], order["updatedAt"], order["createdAt"], order["processedAt"], orjson.dumps(order))
            for order in documents
        ]
        refunds = [(refund["id"], order["id"]) for order in documents for refund in order["refunds"]]
        self._write(
            ("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", rows),
            ("INSERT OR REPLACE INTO refunds VALUES (?, ?)", refunds),
        )

    def delete_orders(self, ids: Iterable[int]) -> None:
        """Take orders away, with their refunds."""
        rows = [(number,) for number in ids]
        self._write(("DELETE FROM orders WHERE id = ?", rows), ("DELETE FROM refunds WHERE order_id = ?", rows))

    def upsert_products(self, products: Iterable[Document]) -> None:
        """Put products with their variants in, each in its newest version."""
        documents = list(products)
        rows = [(item["id"], item["updatedAt"], item["createdAt"], orjson.dumps(item)) for item in documents]
        variants = [
            (
                variant["id"],
                variant["inventoryItemId"],
                item["id"],
                variant["sku"],
                variant["updatedAt"],
                item["createdAt"],
                orjson.dumps({**variant, "createdAt": item["createdAt"], "productId": item["id"]}),
            )
            for item in documents
            for variant in item["variants"]
        ]
        self._write(
            ("INSERT OR REPLACE INTO products VALUES (?, ?, ?, ?)", rows),
            ("DELETE FROM variants WHERE product_id = ?", [(item["id"],) for item in documents]),
            ("INSERT OR REPLACE INTO variants VALUES (?, ?, ?, ?, ?, ?, ?)", variants),
        )

    def upsert_levels(self, levels: Iterable[Document]) -> None:
        """Put the stock levels of inventory items in."""
        rows = [(item["inventoryItemId"], item["locationId"], item["updatedAt"], orjson.dumps(item)) for item in levels]
        self._write(("INSERT OR REPLACE INTO levels VALUES (?, ?, ?, ?)", rows))

    def set_fault(self, name: str, value: dict[str, Any] | None) -> None:
        """Switch a fault on (with its parameters) or off (None); sandbox/shopify/server.py says which there are."""
        if value is None:
            self._write(("DELETE FROM faults WHERE name = ?", [(name,)]))
        else:
            self._write(("INSERT OR REPLACE INTO faults VALUES (?, ?)", [(name, orjson.dumps(value))]))

    def _write(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in statements:
                connection.executemany(statement, rows)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    # --- what the simulator reads ---

    def faults(self) -> dict[str, dict[str, Any]]:
        """The faults that are on, with their parameters."""
        return {name: orjson.loads(value) for name, value in self._connection.execute("SELECT * FROM faults")}

    def counts(self) -> dict[str, int]:
        """How much of each kind the shop holds."""
        tables = ("orders", "products", "levels")
        return {name: self._connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in tables}

    def order_of_refund(self, refund_id: int) -> Document | None:
        """The order a refund belongs to."""
        found = self._connection.execute("SELECT order_id FROM refunds WHERE id = ?", (refund_id,)).fetchone()
        return self.one("orders", found[0]) if found else None

    def one(self, table: str, identity: int) -> Document | None:
        """One document by its id."""
        row = self._connection.execute(f"SELECT document FROM {table} WHERE id = ?", (identity,)).fetchone()
        return orjson.loads(row[0]) if row else None

    def orders_changed_since(self, instant: str) -> Iterator[Document]:
        """Every order that was changed at an instant or later."""
        rows = self._connection.execute("SELECT document FROM orders WHERE updated_at >= ?", (instant,))
        return (orjson.loads(document) for (document,) in rows)

    def count(self, table: str, conditions: Sequence[tuple[str, str, Any]]) -> int:
        """How many documents meet all conditions (column, comparison, value)."""
        where, values = _where(conditions)
        found: int = self._connection.execute(f"SELECT COUNT(*) FROM {table}{where}", values).fetchone()[0]
        return found

    def newest(self, column: str) -> str | None:
        """The greatest value of a column of the orders."""
        found: str | None = self._connection.execute(f"SELECT MAX({column}) FROM orders").fetchone()[0]
        return found

    def page(
        self,
        table: str,
        conditions: Sequence[tuple[str, str, Any]],
        sort: str,
        reverse: bool,
        after: tuple[Any, int] | None,
        first: int,
    ) -> list[tuple[Any, int, Document]]:
        """Up to `first` documents after a cursor (sort value, id), as (sort value, id, document)."""
        where, values = _where(conditions)
        direction, comparison = ("DESC", "<") if reverse else ("ASC", ">")
        if after:
            where += f"{' AND' if where else ' WHERE'} ({sort}, id) {comparison} (?, ?)"
            values += after
        rows = self._connection.execute(
            f"SELECT {sort}, id, document FROM {table}{where} ORDER BY {sort} {direction}, id {direction} LIMIT ?",
            (*values, first),
        )
        return [(key, identity, orjson.loads(document)) for key, identity, document in rows]


def _where(conditions: Sequence[tuple[str, str, Any]]) -> tuple[str, tuple[Any, ...]]:
    """Columns and comparisons come from the fixed lists of the search parser; values are bound."""
    if not conditions:
        return "", ()
    text = " AND ".join(
        f"has_words_of_any({column}, ?)" if comparison == "has words of any" else f"{column} {comparison} ?"
        for column, comparison, _ in conditions
    )
    return f" WHERE {text}", tuple(value for _, _, value in conditions)
