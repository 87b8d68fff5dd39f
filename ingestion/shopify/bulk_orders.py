"""The file of JSON lines that a bulk operation leaves, as tables.

A line is an order, one of its order lines, one of its agreements or a sale of one of these; children come after their
parent, not directly below it. The file is read in blocks into Arrow, and only Arrow is kept: parents and children find
each other by columns when the file has ended.

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

from ingestion.contracts import INSTANT, INT, TEXT, entity
from ingestion.loading.context import SourceError
from ingestion.shopify import queries
from ingestion.shopify.bulk import Operation
from ingestion.shopify.client import SOURCE, FileGoneError, ShopifyClient
from ingestion.shopify.tables.agreements import EVENT, SALE, event_columns, sale_columns
from ingestion.shopify.tables.orders import HEADER, LINE, header_table, line_table
from ingestion.shopify.tables.parsing import collector_paused, parse
from ingestion.shopify.tables.rejects import fitting
from ingestion.shopify.tables.scalars import ids_of, raw_table
from ingestion.shopify.tables.shapes import Record, UnfitError, typed

BLOCK = 8 << 20  # bytes of the file that are parsed at once
LONGEST_LINE = 64 << 20  # bytes; no order has so much to say
TABLES = ("orders", "order_lines", "sales")


_AGREEMENTS = pa.schema(  # in a file: what their sales have of them, by their global ids
    [
        ("order_id", INT),
        ("name", TEXT),
        ("agreement_id", INT),
        ("happened_at", INSTANT),
        ("reason", TEXT),
        ("refund_id", INT),
        ("note", TEXT),
    ]
)


class IncompleteResultError(Exception):
    """The result of a bulk operation that cannot be trusted to be complete; says why."""


@dataclass
class BulkOrders:
    """The orders of a bulk result.

    Attributes:
        tables: rows of ``orders``, ``order_lines`` and ``sales``.
        again: global ids of the orders that have to be read by themselves; they are in no table.
        found: how many orders the result has, those of ``again`` included.
    """

    tables: dict[str, pa.Table]
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
        return BulkOrders({name: _empty(name) for name in TABLES}, [], 0)
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
        self._sales = [_empty("sales")]
        self._sales_of: list[pa.Array] = [pa.array([], TEXT)]  # the agreement of each, by its global id
        self._agreements = [_AGREEMENTS.empty_table()]
        self._again: list[pa.Array] = [pa.array([], INT)]
        self._again_of: list[str] = []  # agreements whose orders have to be read again

    def add(self, block: bytes) -> None:
        """Raises IncompleteResultError when the block is no JSON lines of orders and their lines."""
        try:
            records = parse(b"[" + block.strip(b"\n").replace(b"\n", b",") + b"]")  # JSON has no newline in a text
        except orjson.JSONDecodeError:
            raise IncompleteResultError("a line of its file is no JSON") from None
        kinds: dict[str | None, list[Record]] = {None: [], "order": [], "line": [], "agreement": [], "sale": []}
        for record in records:
            kinds[_kind(record)].append(record)
        if kinds[None]:
            raise IncompleteResultError("a line of its file is neither an order nor a part of one")
        orders = kinds["order"]
        try:
            self._add_orders([order for order in orders if not order["refunds"]])
            self._again.append(ids_of([order["id"] for order in orders if order["refunds"]], "Order"))
            self._add_lines(kinds["line"])
            self._add_agreements(kinds["agreement"])
            self._add_sales(kinds["sale"])
        except UnfitError as error:
            raise IncompleteResultError(f"a line of its file cannot be read: {error}") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:  # a line of another shape, or none of ours
            raise IncompleteResultError(f"a line of its file has another shape: {type(error).__name__}") from None
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

    def _add_agreements(self, agreements: list[Record]) -> None:
        parents = ids_of([agreement["__parentId"] for agreement in agreements], "Order")
        names = typed([agreement["id"] for agreement in agreements], TEXT)
        events = event_columns(typed(agreements, EVENT))
        self._agreements.append(pa.table({"order_id": parents, "name": names} | events, schema=_AGREEMENTS))

    def _add_sales(self, sales: list[Record]) -> None:
        tables, unfit = fitting(_sale_tables, sales)
        refused = {place for place, _ in unfit}
        of = [sale["__parentId"] for place, sale in enumerate(sales) if place not in refused]
        self._sales.append(tables["sales"])
        self._sales_of.append(typed(of, TEXT))
        self._again_of += [sales[place]["__parentId"] for place in sorted(refused)]

    def end(self) -> BulkOrders:
        """All orders with all their children. Raises IncompleteResultError for children whose order is not there."""
        orders, agreements = pa.concat_tables(self._orders), pa.concat_tables(self._agreements)
        lines, sales = pa.concat_tables(self._lines), pa.concat_tables(self._sales)
        events = agreements.take(_places(pa.chunked_array(self._sales_of), agreements["name"], "sales", "agreements"))
        for name in (*events.schema.names[:1], *events.schema.names[2:]):
            sales = sales.set_column(sales.schema.get_field_index(name), sales.schema.field(name), events[name])
        refused = _places(pa.chunked_array([pa.array(self._again_of, TEXT)]), agreements["name"], "sales", "agreements")
        of_refused = agreements["order_id"].combine_chunks().take(refused)
        again = pa.concat_arrays([*self._again, of_refused, _repeated(orders["order_id"])]).unique()
        tables = {
            name: table.filter(pc.invert(pc.is_in(table["order_id"], value_set=again)))
            for name, table in (("orders", orders), ("order_lines", lines), ("sales", sales))
        }
        ids, versions = tables["orders"]["order_id"], tables["orders"]["updated_at"].combine_chunks()
        for name, what in (("order_lines", "lines"), ("sales", "sales")):
            table = tables[name]
            places = _places(table["order_id"], ids, what, "orders")
            filled = {"order_updated_at": versions.take(places)}
            if name == "order_lines":
                filled["line_position"] = _positions(places)
            for column, values in filled.items():
                table = table.set_column(table.schema.get_field_index(column), table.schema.field(column), values)
            tables[name] = table
        return BulkOrders(tables, [f"gid://shopify/Order/{number}" for number in again.to_pylist()], self.roots)


def _kind(record: Any) -> str | None:
    """What a line of the file is; None where it is nothing that was asked for."""
    if not isinstance(record, dict):
        return None
    if "__parentId" not in record:
        return "order" if "id" in record and "refunds" in record else None
    if "actionType" in record:
        return "sale"
    return "agreement" if "happenedAt" in record else "line"


def _places(children: pa.ChunkedArray, parents: pa.ChunkedArray, what: str, of: str) -> pa.Array:
    """Where the parent of each child stands. Raises IncompleteResultError for children whose parent is not there."""
    places = pc.index_in(children.combine_chunks(), value_set=parents.combine_chunks())
    if places.null_count:
        raise IncompleteResultError(f"its file has {places.null_count} {what} of {of} that are not in it")
    return places


def _sale_tables(sales: Sequence[Record]) -> dict[str, pa.Table]:
    """Sales without what they have of their agreement, which is filled in when all are there."""
    columns = sale_columns(typed(sales, SALE))
    missing = {
        column.name: pa.nulls(len(sales), column.type)
        for column in entity(SOURCE, "sales").columns
        if column.name not in columns
    }
    return {"sales": raw_table("sales", columns | missing)}


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
