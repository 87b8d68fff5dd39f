"""The Shopify source: what changed in the shop, into raw.

The hourly load reads cursor pages (ingestion/shopify/pages.py). A backfill or first load of many orders, or a load
after days without one, takes the window apart into pieces of bounded size and reads each by a bulk operation
(ingestion/shopify/bulk.py); a piece whose operation fails twice is read by cursor pages instead. Each piece is a
package of its own, listed in ``ops.backfill_pieces``: a reading that was killed goes on with what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

import pyarrow as pa

from ingestion.clock import utc_now
from ingestion.contracts import Entity, entity
from ingestion.loading import correction_queue
from ingestion.loading.backfill import Backfill, begin_backfill, unfinished_backfill
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, SourceError, Window
from ingestion.loading.correction_queue import Correction
from ingestion.loading.package import load
from ingestion.loading.planning import Reading, covered_through, plan_reading, released_through, skipped
from ingestion.loading.records import record
from ingestion.loading.rejects import resolve_rejects
from ingestion.shopify import queries, touched_windows
from ingestion.shopify.bulk import BulkRuns, Operation
from ingestion.shopify.bulk_orders import BulkOrders, IncompleteResultError, result
from ingestion.shopify.client import SOURCE, ShopifyClient, ShopifySource
from ingestion.shopify.deleted_orders import ALL_ORDERS_DAYS, is_due, look_for_deleted
from ingestion.shopify.odd_answers import as_asked, counted
from ingestion.shopify.other_shop import refuse_another_shop
from ingestion.shopify.pages import PAGES, OrderPages, RecordPages, search, seconds
from ingestion.shopify.sales_reports import REPORTS, REPORTS_SCOPE, read_report
from ingestion.shopify.tables.orders import flatten_orders
from ingestion.shopify.tables.parsing import collector_paused
from ingestion.shopify.tables.rejects import is_same_record, retype

__all__ = ["ShopifySource", "backfill", "flatten_orders", "ingest", "retype"]

ENTITY_NAMES = ("orders", "inventory", "products")  # what has a watermark; children of orders come with them
BULK_FROM = 10_000  # orders; fewer are faster by cursor pages than a bulk operation starts
CATCH_UP_FROM = 200_000  # orders since the watermark; an hour has fewer, and one package should not hold days
PIECE_ORDERS = 50_000  # of one bulk operation and one package
OPERATIONS = 2  # for one piece, before it is read by cursor pages
SECOND = timedelta(seconds=1)
BATCH_ROWS = 50_000


def ingest(
    context: IngestContext, source: ShopifySource, window: Window | None = None, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load what is new in the shop, or again what changed in a given window.

    Args:
        context: the run.
        source: how to reach the shop.
        window: changes (``updatedAt``) to read again, half-open; None for everything since the watermark. Shopify knows
            whole seconds only: a fraction is left to the next load's overlap.
        entities: names out of ``orders`` (brings ``order_lines``, ``refunds``, ``sales``), ``inventory``, ``products``,
            ``sales_reports`` (of the days of a window); None for all, of a given window all but ``sales_reports``.

    Returns:
        One result an entity, lines and refunds of orders included. What is not due has the status ``skipped``. A first
        load in pieces gives results for each; so do days of which orders are deleted in the shop. A sales report that
        cannot be had is a notice and no result.

    Raises:
        SourceError: the shop cannot be reached or read. Entities and pieces loaded before the failure stay loaded.
        KeyError: an unknown entity name.
    """
    return _read(context, source, window, entities, by_bulk=window is None)


def backfill(
    context: IngestContext, source: ShopifySource, window: Window, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Read again what changed in a window, however long, in pieces; go on with one that was killed.

    Arguments, results and errors are those of ``ingest``, with results for each piece read by this call. Products and
    inventory, which are few, are read by cursor pages in one.
    """
    return _read(context, source, window, entities, by_bulk=True)


def _read(
    context: IngestContext,
    source: ShopifySource,
    window: Window | None,
    entities: Sequence[str] | None,
    by_bulk: bool,
) -> list[LoadResult]:
    names = entities or (ENTITY_NAMES if window else (*ENTITY_NAMES, REPORTS.name))
    wanted = {entity(SOURCE, name).name for name in names}
    if wanted & {"order_lines", "refunds", "sales"}:
        wanted.add("orders")
    results: list[LoadResult] = []
    with ShopifyClient(source, context.limit) as client:
        due = {}
        for item in (entity(SOURCE, name) for name in ENTITY_NAMES if name in wanted):
            if (reading := plan_reading(context, item, window)) is None:
                results.append(skipped(item))
            else:
                due[item] = reading
        compares = window is None and "orders" in wanted
        report = plan_reading(context, REPORTS, window) if REPORTS.name in wanted else None
        is_asked = bool(due or report) or (compares and is_due(context))
        granted = _granted_scopes(context, client) if is_asked else frozenset()
        if window is None and any(item.name == "orders" for item in due):
            refuse_another_shop(context, client)
        for item, reading in due.items():
            if by_bulk and item.name == "orders":
                results += _load_orders(context, client, item, reading, window)
            else:
                results += _load(context, PAGES[item.name](context, client, item, reading))
        if compares and is_due(context):
            results += look_for_deleted(context, client, "read_all_orders" in granted)
        if report is not None:
            pages = read_report(context, client, report, REPORTS_SCOPE in granted, window)
            results += [] if pages is None else _load(context, pages)
    return results


def _granted_scopes(context: IngestContext, client: ShopifyClient) -> frozenset[str]:
    """The scopes of the token; refuses to go on where it may see less than it has to.

    Shopify leaves out what a token may not see, or half of it. One query of 2 points a load.
    """
    answer = client.query(queries.SCOPES)
    with as_asked():
        granted = frozenset(scope["handle"] for scope in answer["currentAppInstallation"]["accessScopes"])
    if missing := sorted(set(queries.ACCESS_SCOPES) - granted):
        raise SourceError(
            SOURCE,
            f"the token has lost the scope {', '.join(missing)}: nothing was loaded or taken for deleted",
            "Grant the app the scope again (its settings, API access) and install it again; the next load reads on",
        )
    if "read_all_orders" not in granted and context.history_start < context.as_of - timedelta(days=ALL_ORDERS_DAYS):
        raise SourceError(
            SOURCE,
            f"the app may not read orders older than {ALL_ORDERS_DAYS} days, and Shopify would leave them out silently",
            "Ask Shopify for the scope read_all_orders (Partner Dashboard, API access) and install the app again",
        )
    return granted


def _load(context: IngestContext, pages: RecordPages, long_reading: _Pieces | None = None) -> list[LoadResult]:
    """One window of an entity into one package, then its records and the corrections it causes."""
    item = pages.item
    released = released_through(context, SOURCE, [item.name])
    load_id = load(context, SOURCE, pages.batches())
    results = pages.results(load_id)
    found: list[Correction] = []
    if item.name == "orders":
        found = touched_windows.sales(context, load_id, released)
    elif item.name == "inventory":
        found = touched_windows.inventory(context, load_id, released)
    with context.warehouse.transaction():
        record(context, results)
        resolve_rejects(context, SOURCE, results, is_same_record)
        correction_queue.queue(context, found)
        if long_reading is not None:
            long_reading.done(pages, load_id)
    for one in results:
        context.progress(f"shopify {one.entity}: {one.rows:,} rows, {one.rejected_rows:,} rejected")
    return results


# --- orders in pieces --------------------------------------------------------------------------------------------


def _load_orders(
    context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading, requested: Window | None
) -> list[LoadResult]:
    """The orders of a window that may be long: in pieces, by bulk operations, where they are many."""
    is_hourly = requested is None and covered_through(context, SOURCE, item.name) is not None
    begun = unfinished_backfill(context, SOURCE, item.name, reading.window.start)
    if begun is None or (requested is not None and begun.window != reading.window):
        if _count(client, reading.window) < (CATCH_UP_FROM if is_hourly else BULK_FROM):
            return _load(context, OrderPages(context, client, item, reading))
        begun = begin_backfill(context, SOURCE, item.name, reading.window)
    elif requested is None:  # one that was killed: to the end it had then
        reading = Reading(begun.window, begun.window.end)
    results = _Pieces(context, client, item, reading, begun).load()
    if requested is None and (rest := plan_reading(context, item)) is not None:
        results += _load(context, OrderPages(context, client, item, rest))
    return results


class _Pieces:
    """The pieces of a long reading that are not in yet.

    A piece is named by its window. What is missing is whatever no piece covers that is in, cut anew each time: so it
    does not matter that the shop, and with it the cuts, changed since the reading was begun.
    """

    def __init__(
        self,
        context: IngestContext,
        client: ShopifyClient,
        item: Entity,
        reading: Reading,
        long_reading: Backfill,
    ) -> None:
        self.context = context
        self.client = client
        self.item = item
        self.reading = reading
        self.long_reading = long_reading
        self.missing: list[Window] = []
        self.started_at = utc_now()
        self.cut = 0  # pieces that were missing at first

    def load(self) -> list[LoadResult]:
        """Read all of them; afterwards the reading is complete."""
        self.missing = [
            piece for gap in _gaps(self.reading.window, self.long_reading.done) for piece in _cut(self.client, gap)
        ]
        if not self.missing:  # nothing is left in the shop of what was missing
            self.missing = [Window(self.reading.window.end, self.reading.window.end)]
            return self._load_pages(self.missing[0])
        self.cut = len(self.missing)
        results: list[LoadResult] = []
        by_text = {queries.bulk_orders(search(piece)): piece for piece in self.missing}
        tries = dict.fromkeys(by_text, 0)
        while by_text:
            failed: dict[str, Window] = {}
            with BulkRuns(self.client) as runs:
                for operation in runs.run(list(by_text)):
                    piece = by_text[operation.query]
                    tries[operation.query] += 1
                    if (loaded := self._load_bulk(piece, operation)) is not None:
                        results += loaded
                        self._tell()
                    elif tries[operation.query] < OPERATIONS:
                        failed[operation.query] = piece
                    else:
                        results += self._load_pages(piece)
            by_text = failed
        return results

    def _tell(self) -> None:
        done = self.cut - len(self.missing)
        left = (utc_now() - self.started_at) / done * len(self.missing)
        self.context.progress(
            f"shopify orders: {done} of {self.cut} pieces in, about {left / timedelta(minutes=1):,.0f} minutes left"
        )

    def _load_pages(self, piece: Window) -> list[LoadResult]:
        return _load(self.context, OrderPages(self.context, self.client, self.item, self._of(piece)), self)

    def _load_bulk(self, piece: Window, operation: Operation) -> list[LoadResult] | None:
        """Load what an operation found; None when that is not the whole piece."""
        pages = _BulkOrderPages(self.context, self.client, self.item, self._of(piece))
        try:
            pages.take(operation)
        except IncompleteResultError as why:
            self.context.progress(f"shopify orders: bulk operation of {_name(piece)}: {why}; the piece is read again")
            return None
        return _load(self.context, pages, self)

    def _of(self, piece: Window) -> Reading:
        """The reading of a piece: the last one moves the watermark."""
        return Reading(piece, self.reading.covered_through if self.missing == [piece] else None)

    def done(self, pages: RecordPages, load_id: str) -> None:
        """A piece is in. Called inside the transaction that records its load."""
        piece = pages.reading.window
        self.long_reading.add(_name(piece), load_id, sum(pages.rows.values()) + pages.rejected_rows)
        self.missing.remove(piece)
        if not self.missing:
            self.long_reading.complete()


def _name(piece: Window) -> str:
    return f"{seconds(piece.start)}/{seconds(piece.end)}"


def _gaps(window: Window, done: Iterable[str]) -> Iterator[Window]:
    """What of a window the named pieces do not cover."""
    at = window.start
    for name in sorted(done):
        start, end = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ") for text in name.split("/"))
        if at < start:
            yield Window(at, start)
        at = max(at, end)
    if at < window.end:
        yield Window(at, window.end)


def _cut(client: ShopifyClient, window: Window) -> Iterator[Window]:
    """Windows of whole seconds with orders in them, none with more than a piece may have (but for a single second)."""
    count = _count(client, window)
    if count == 0:
        return
    begin = _oldest(client, window) if window.start == EPOCH else window.start
    length = (window.end - begin) // SECOND
    if count <= PIECE_ORDERS or length < 2:
        yield window
        return
    parts = min(-(-count // PIECE_ORDERS) + 1, length)
    ends = [begin + SECOND * (length * number // parts) for number in range(1, parts)]
    for start, end in zip([window.start, *ends], [*ends, window.end], strict=True):
        yield from _cut(client, Window(start, end))


def _oldest(client: ShopifyClient, window: Window) -> datetime:
    """The second of the oldest change in a window that has some."""
    answer = client.query(queries.OLDEST_ORDER, {"query": search(window)})
    with as_asked():
        nodes = answer["orders"]["nodes"]
        return datetime.fromisoformat(nodes[0]["updatedAt"][:19]) if nodes else window.end


def _count(client: ShopifyClient, window: Window) -> int:
    """How many orders the window has, or at least has."""
    answer = client.query(queries.ORDERS_COUNT, {"query": search(window)})
    with as_asked():
        count = answer["ordersCount"]
    return counted(count) if count is not None else 0


class _BulkOrderPages(OrderPages):
    """The orders of one piece out of the result of a bulk operation."""

    found: BulkOrders

    def take(self, operation: Operation) -> None:
        """Download and read the result. Raises IncompleteResultError when it is not complete."""
        self.found = result(self.client, operation, self.context.home / "shopify" / "bulk.jsonl")
        self.source_count = self.found.found  # Shopify's own count, of the moment it read them
        left = self.counted_now()
        if left is not None and self.found.found < left:
            raise IncompleteResultError(f"it found {self.found.found:,} orders where Shopify counts {left:,}")

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        for name, table in self.found.tables.items():
            for start in range(0, table.num_rows, BATCH_ROWS):
                yield self.counted(name, table.slice(start, BATCH_ROWS))
        end = seconds(self.reading.window.end)
        again = self.client.each(self.found.again, queries.orders_by_id, queries.ORDERS_BY_ID)
        while orders := list(islice(again, self.client.source.page_size)):
            with collector_paused():
                with as_asked():
                    here = self.completed([one for one in orders if one is not None and one["updatedAt"] < end])
                flattened = self.flattened(here)
            yield from flattened
