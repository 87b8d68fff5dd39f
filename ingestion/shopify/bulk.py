"""Shopify's bulk operations: a query that runs in the background and leaves a file of JSON lines.

A line is an order or one of its lines; the lines of an order come after it, not directly below it. The file is read in
blocks into Arrow, and only Arrow is kept: orders and lines find each other by columns when the file has ended.

What a bulk query cannot give (the lines of refunds stand inside a list), and what does not fit, is read again order by
order. An edit between an order and its lines cannot be seen here; it takes the order out of the window, so the hourly
load reads the newer version, and models take the latest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INT, entity
from ingestion.loading.context import SourceError
from ingestion.shopify import queries
from ingestion.shopify.client import SOURCE, Gone, ShopifyClient
from ingestion.shopify.tables import (
    HEADER,
    LINE,
    UNFIT,
    Record,
    collector_paused,
    fitting,
    header_table,
    ids_of,
    line_table,
    nested,
    parse,
)

AT_ONCE = 5  # operations an app may have at once since 2026-01; where Shopify says fewer, that holds
POLL = (1.0, 10.0)  # seconds between two looks at what runs: the first, and the longest
STALLED = 6 * 3600.0  # seconds without any progress (Shopify itself gives up after ten days)
BLOCK = 8 << 20  # bytes of the file that are parsed at once
LONGEST_LINE = 64 << 20  # bytes; no order has so much to say

_OPEN = ("CREATED", "RUNNING", "CANCELING")
_TOO_MANY = ("LIMIT_REACHED", "OPERATION_IN_PROGRESS")


class Broken(Exception):
    """The result of a bulk operation that cannot be trusted to be complete; says why."""


@dataclass(frozen=True)
class Operation:
    """A bulk operation as Shopify showed it last.

    Attributes:
        query: its text, by which ours are known.
        objects: lines of its file, so far.
        roots: those of them that are orders.
        size: bytes of the file.
        url: where the file is; None where nothing was found.
    """

    id: str
    query: str
    status: str
    error_code: str | None
    objects: int
    roots: int
    size: int | None
    url: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in _OPEN


def _operation(shown: Record) -> Operation:
    return Operation(
        id=shown["id"],
        query=shown["query"],
        status=shown["status"],
        error_code=shown["errorCode"],
        objects=int(shown["objectCount"]),
        roots=int(shown["rootObjectCount"]),
        size=None if shown["fileSize"] is None else int(shown["fileSize"]),
        url=shown["url"],
    )


# --- running them ------------------------------------------------------------------------------------------------


class BulkRuns:
    """Runs bulk queries, as many at once as Shopify allows; use it in a ``with`` block, which cancels what it leaves.

    An operation that runs already with just the text of one of the queries is one of ours that outlived its process:
    its result is taken. No other operation is touched.
    """

    def __init__(self, client: ShopifyClient) -> None:
        self.client = client
        self._open: dict[str, Operation] = {}
        self._pause = POLL[0]
        self._idle = 0.0

    def __enter__(self) -> BulkRuns:
        return self

    def __exit__(self, *_: object) -> None:
        for operation in self._open.values():
            with suppress(SourceError):  # it ends by itself, too
                self.client.query(queries.BULK_CANCEL, {"id": operation.id})

    def run(self, texts: Iterable[str]) -> Iterator[Operation]:
        """The operation of each query when it has ended, in the order in which they end.

        Raises:
            SourceError: Shopify refuses a query, or has no room for one for hours.
        """
        waiting = deque(texts)
        self._adopt(waiting)
        while waiting or self._open:
            self._start(waiting)
            ended = self._look()
            yield from ended
            if not ended:
                self._wait()

    def _adopt(self, waiting: deque[str]) -> None:
        """Take over what runs already of our queries."""
        for shown in self.client.query(queries.BULK_OPERATIONS)["bulkOperations"]["nodes"]:
            operation = _operation(shown)
            if operation.status in ("CREATED", "RUNNING") and operation.query in waiting:
                waiting.remove(operation.query)
                self._open[operation.query] = operation

    def _start(self, waiting: deque[str]) -> None:
        while waiting and len(self._open) < AT_ONCE:
            answer = self.client.query(queries.BULK_RUN, {"query": waiting[0]})["bulkOperationRunQuery"]
            if answer["userErrors"]:
                self._refused(answer["userErrors"], waiting)
                return
            self._open[waiting.popleft()] = _operation(answer["bulkOperation"])

    def _refused(self, errors: Sequence[Record], waiting: deque[str]) -> None:
        """Nothing to do about too many operations but to wait; anything else is an error."""
        if not all(error["code"] in _TOO_MANY for error in errors):
            message = "; ".join(error["message"] for error in errors)
            raise SourceError(
                SOURCE,
                f"Shopify refuses a bulk query: {message}",
                "The query does not fit this API version; check it against the schema",
            )
        self._adopt(waiting)  # one whose start was not answered runs all the same

    def _look(self) -> list[Operation]:
        """Ask about all that run; those that have ended."""
        ended = []
        for text, before in list(self._open.items()):
            shown = self.client.query(queries.BULK_OPERATION, {"id": before.id})["bulkOperation"]
            if shown is None:
                raise SourceError(SOURCE, f"Shopify lost the bulk operation {before.id}", "Run again")
            now = self._open[text] = _operation(shown)
            if now != before:
                self._pause, self._idle = POLL[0], 0.0
            if not now.is_open:
                del self._open[text]
                ended.append(now)
        return ended

    def _wait(self) -> None:
        if self._idle >= STALLED:
            raise SourceError(
                SOURCE,
                f"no bulk operation made any progress in {STALLED / 60:.0f} minutes",
                "See https://www.shopifystatus.com, and what else runs bulk operations with this token; run again",
            )
        self.client.source.pause(self._pause)
        self._idle += self._pause
        self._pause = min(2 * self._pause, POLL[1])


# --- their files -------------------------------------------------------------------------------------------------


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
        Broken: it is not complete, or no longer there.
        SourceError: the app may not read what was asked for; or the file cannot be downloaded.
    """
    if operation.error_code == "ACCESS_DENIED":
        raise SourceError(
            SOURCE,
            "a bulk operation was refused: the app lacks an access scope",
            f"Give the app the scopes {', '.join(queries.ACCESS_SCOPES)} in Shopify's admin, then run again",
        )
    if operation.status != "COMPLETED":
        raise Broken(f"it ended {operation.status} {operation.error_code or ''}".rstrip())
    if operation.url is None:
        if operation.objects:
            raise Broken("it has no file")
        return BulkOrders(_empty("orders"), _empty("order_lines"), [], 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        client.download(operation.url, path)
        if operation.size is not None and path.stat().st_size != operation.size:
            raise Broken(f"its file has {path.stat().st_size} bytes, not {operation.size}")
        return read_orders(path, operation)
    except Gone:
        raise Broken("its file is no longer there") from None
    finally:
        path.unlink(missing_ok=True)


def read_orders(path: Path, operation: Operation) -> BulkOrders:
    """The orders of a result file, however its lines are ordered.

    Raises:
        Broken: the file breaks off, has another number of objects than the operation, or lines of unknown orders.
    """
    reader = _Reader()
    with path.open("rb") as file:
        for block in _blocks(file):
            with collector_paused():
                reader.add(block)
    if (reader.objects, reader.roots) != (operation.objects, operation.roots):
        counted = f"{operation.objects} objects ({operation.roots} orders)"
        raise Broken(f"its file has {reader.objects} objects ({reader.roots} orders), not {counted}")
    return reader.end()


def _blocks(file: Any) -> Iterator[bytes]:
    """Whole lines, many at a time."""
    rest = b""
    while block := file.read(BLOCK):
        whole, newline, begun = block.rpartition(b"\n")
        if not newline:
            rest += block
            if len(rest) > LONGEST_LINE:
                raise Broken("a line of its file never ends")
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
        """Raises Broken when the block is no JSON lines."""
        try:
            records = parse(b"[" + block.strip(b"\n").replace(b"\n", b",") + b"]")  # JSON has no newline in a text
            lines = [record for record in records if "__parentId" in record]
            orders = [record for record in records if "__parentId" not in record]
            self._add_orders([order for order in orders if not order["refunds"]])
            self._again.append(ids_of([order["id"] for order in orders if order["refunds"]], "Order"))
            self._add_lines(lines)
        except UNFIT as error:
            raise Broken(f"a line of its file cannot be read ({type(error).__name__})") from None
        self.objects += len(records)
        self.roots += len(orders)

    def _add_orders(self, orders: list[Record]) -> None:
        tables, unfit = fitting(lambda some: {"orders": header_table(nested(some, HEADER))}, orders)
        self._orders.append(tables["orders"])
        self._again.append(ids_of([orders[place]["id"] for place, _ in unfit], "Order"))

    def _add_lines(self, lines: list[Record]) -> None:
        tables, unfit = fitting(_line_tables, lines)
        self._lines.append(tables["order_lines"])
        self._again.append(ids_of([lines[place]["__parentId"] for place, _ in unfit], "Order"))

    def end(self) -> BulkOrders:
        """All orders with all their lines. Raises Broken for lines whose order is not there."""
        orders, lines = pa.concat_tables(self._orders), pa.concat_tables(self._lines)
        again = pa.concat_arrays([*self._again, _repeated(orders["order_id"])]).unique()
        orders = orders.filter(pc.invert(pc.is_in(orders["order_id"], value_set=again)))
        lines = lines.filter(pc.invert(pc.is_in(lines["order_id"], value_set=again)))
        places = pc.index_in(lines["order_id"], value_set=orders["order_id"].combine_chunks()).combine_chunks()
        if places.null_count:
            raise Broken(f"its file has {places.null_count} lines of orders that are not in it")
        versions = orders["updated_at"].combine_chunks().take(places)
        for name, values in (("order_updated_at", versions), ("line_position", _positions(places))):
            lines = lines.set_column(lines.schema.get_field_index(name), lines.schema.field(name), values)
        return BulkOrders(orders, lines, [f"gid://shopify/Order/{number}" for number in again.to_pylist()], self.roots)


def _line_tables(lines: Sequence[Record]) -> dict[str, pa.Table]:
    """Order lines by the ids of their orders; version and place are filled in when all are there."""
    parents = ids_of([line["__parentId"] for line in lines], "Order")
    unknown = pa.nulls(len(lines), entity(SOURCE, "orders").schema.field("updated_at").type)
    return {"order_lines": line_table(nested(lines, LINE), parents, unknown, pa.nulls(len(lines), INT))}


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
