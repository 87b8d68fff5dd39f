"""The file of JSON lines that a bulk operation leaves, as tables.

A line is an order or one of its lines; the lines of an order come after it, not directly below it. The file is read in
blocks into Arrow, and only Arrow is kept: orders and lines find each other by columns when the file has ended.

What a bulk query cannot give (the lines of refunds stand inside a list), and what does not fit, is read again order by
order. An edit between an order and its lines cannot be seen here; it takes the order out of the window, so the hourly
load reads the newer version, and models take the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INT, entity
from ingestion.loading.context import SourceError
from ingestion.shopify import queries
from ingestion.shopify.bulk import Operation
from ingestion.shopify.client import SOURCE, FileGoneError, ShopifyClient
from ingestion.shopify.tables.orders import HEADER, LINE, header_table, line_table
from ingestion.shopify.tables.parsing import collector_paused, parse
from ingestion.shopify.tables.rejects import fitting
from ingestion.shopify.tables.scalars import ids_of
from ingestion.shopify.tables.shapes import Record, UnfitError, typed

BLOCK = 8 << 20  # bytes of the file that are parsed at once
LONGEST_LINE = 64 << 20  # bytes; no order has so much to say


class IncompleteResultError(Exception):
    """The result of a bulk operation that cannot be trusted to be complete; says why."""


@dataclass
class BulkOrders:
    """The orders of a bulk result.

    Attributes:
        orders: rows of ``orders``.
        lines: rows of ``order_lines``.
        again: global ids of the orders that have to be read by themselves; they are in neither table.
        found: how many orders the result has, those of ``again`` included.
    """

    orders: pa.Table
    lines: pa.Table
    again: list[str]
    found: int


def result(client: ShopifyClient, operation: Operation, path: Path) -> BulkOrders:
    """Download and read what an ended operation found.

    Args:
        client: the shop.
        operation: one that has ended.
        path: where to put its file; it is removed again.

    Raises:
        IncompleteResultError: it is not complete, or no longer there.
        SourceError: the app may not read what was asked for; or the file cannot be downloaded.
    """
    if operation.error_code == "ACCESS_DENIED":
        raise SourceError(
            SOURCE,
            "a bulk operation was refused: the app lacks an access scope",
            f"Give the app the scopes {', '.join(queries.ACCESS_SCOPES)} in Shopify's admin, then run again",
        )
    if operation.status != "COMPLETED":
        raise IncompleteResultError(f"it ended {operation.status} {operation.error_code or ''}".rstrip())
    if operation.url is None:
        if operation.objects:
            raise IncompleteResultError("it has no file")
        return BulkOrders(_empty("orders"), _empty("order_lines"), [], 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        client.download(operation.url, path)
        if operation.size is not None and path.stat().st_size != operation.size:
            raise IncompleteResultError(f"its file has {path.stat().st_size} bytes, not {operation.size}")
        return read_orders(path, operation)
    except FileGoneError:
        raise IncompleteResultError("its file is no longer there") from None
    finally:
        path.unlink(missing_ok=True)


def read_orders(path: Path, operation: Operation) -> BulkOrders:
    """The orders of a result file, however its lines are ordered.

    Raises:
        IncompleteResultError: the file breaks off, has another number of objects than the operation, or lines of
            unknown orders.
    """
    reader = _Reader()
    with path.open("rb") as file:
        for block in _blocks(file):
            with collector_paused():
                reader.add(block)
    if (reader.objects, reader.roots) != (operation.objects, operation.roots):
        counted = f"{operation.objects} objects ({operation.roots} orders)"
        raise IncompleteResultError(f"its file has {reader.objects} objects ({reader.roots} orders), not {counted}")
    return reader.end()


def _blocks(file: Any) -> Iterator[bytes]:
    """Whole lines, many at a time."""
    rest = b""
    while block := file.read(BLOCK):
        whole, newline, begun = block.rpartition(b"\n")
        if not newline:
            rest += block
            if len(rest) > LONGEST_LINE:
                raise IncompleteResultError("a line of its file never ends")
            continue
        yield rest + whole
        rest = begun
    if rest:
        yield rest


class _Reader:
    """Takes in blocks of lines; keeps columns."""

    def __init__(self) -> None:
        self.objects = self.roots = 0
        self._orders = [_empty("orders")]
        self._lines = [_empty("order_lines")]
        self._again: list[pa.Array] = [pa.array([], INT)]

    def add(self, block: bytes) -> None:
        """Raises IncompleteResultError when the block is no JSON lines of orders and their lines."""
        try:
            records = parse(b"[" + block.strip(b"\n").replace(b"\n", b",") + b"]")  # JSON has no newline in a text
        except orjson.JSONDecodeError:
            raise IncompleteResultError("a line of its file is no JSON") from None
        lines = [record for record in records if _is_line(record)]
        orders = [record for record in records if _is_order(record)]
        if len(lines) + len(orders) != len(records):
            raise IncompleteResultError("a line of its file is neither an order nor one of its lines")
        try:
            self._add_orders([order for order in orders if not order["refunds"]])
            self._again.append(ids_of([order["id"] for order in orders if order["refunds"]], "Order"))
            self._add_lines(lines)
        except UnfitError as error:
            raise IncompleteResultError(f"a line of its file cannot be read: {error}") from None
        self.objects += len(records)
        self.roots += len(orders)

    def _add_orders(self, orders: list[Record]) -> None:
        tables, unfit = fitting(lambda some: {"orders": header_table(typed(some, HEADER))}, orders)
        self._orders.append(tables["orders"])
        self._again.append(ids_of([orders[place]["id"] for place, _ in unfit], "Order"))

    def _add_lines(self, lines: list[Record]) -> None:
        tables, unfit = fitting(_line_tables, lines)
        self._lines.append(tables["order_lines"])
        self._again.append(ids_of([lines[place]["__parentId"] for place, _ in unfit], "Order"))

    def end(self) -> BulkOrders:
        """All orders with all their lines. Raises IncompleteResultError for lines whose order is not there."""
        orders, lines = pa.concat_tables(self._orders), pa.concat_tables(self._lines)
        again = pa.concat_arrays([*self._again, _repeated(orders["order_id"])]).unique()
        orders = orders.filter(pc.invert(pc.is_in(orders["order_id"], value_set=again)))
        lines = lines.filter(pc.invert(pc.is_in(lines["order_id"], value_set=again)))
        places = pc.index_in(lines["order_id"], value_set=orders["order_id"].combine_chunks()).combine_chunks()
        if places.null_count:
            raise IncompleteResultError(f"its file has {places.null_count} lines of orders that are not in it")
        versions = orders["updated_at"].combine_chunks().take(places)
        for name, values in (("order_updated_at", versions), ("line_position", _positions(places))):
            lines = lines.set_column(lines.schema.get_field_index(name), lines.schema.field(name), values)
        return BulkOrders(orders, lines, [f"gid://shopify/Order/{number}" for number in again.to_pylist()], self.roots)


def _is_line(record: Any) -> bool:
    return isinstance(record, dict) and "__parentId" in record


def _is_order(record: Any) -> bool:
    return isinstance(record, dict) and "__parentId" not in record and "id" in record and "refunds" in record


def _line_tables(lines: Sequence[Record]) -> dict[str, pa.Table]:
    """Order lines by the ids of their orders; version and place are filled in when all are there."""
    parents = ids_of([line["__parentId"] for line in lines], "Order")
    unknown = pa.nulls(len(lines), entity(SOURCE, "orders").schema.field("updated_at").type)
    return {"order_lines": line_table(typed(lines, LINE), parents, unknown, pa.nulls(len(lines), INT))}


def _repeated(ids: pa.ChunkedArray) -> pa.Array:
    """Ids that are there more than once: an order that was edited within the window while it was read."""
    counts = ids.combine_chunks().value_counts()
    return counts.field("values").filter(pc.greater(counts.field("counts"), 1))


def _positions(places: pa.Array) -> pa.Array:
    """The how many-th of its order each line is, from 1 on, by the places of the orders."""
    of_order = places.to_numpy(zero_copy_only=False).astype(np.int64)
    by_order = np.argsort(of_order, kind="stable")
    ordered = of_order[by_order]
    starts = np.searchsorted(ordered, ordered, side="left")
    positions = np.empty(len(of_order), dtype=np.int64)
    positions[by_order] = np.arange(1, len(of_order) + 1) - starts
    return pa.array(positions, INT)


def _empty(name: str) -> pa.Table:
    return pa.schema(entity(SOURCE, name).columns).empty_table()
