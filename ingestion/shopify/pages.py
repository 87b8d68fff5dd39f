"""Reading a window of the shop by cursor pages, whole records at a time.

Records come by ``updated_at`` window. An order that is edited while its window is paged through moves to the end of the
window or out of it: the overlap of the next load then reads it, and its hour is restated as a late correction. What
Shopify cannot give in one page (many lines, refunds or sales) is completed by further queries, from the same version of
the order: its children carry ``order_updated_at``, and models take those of the latest version only.

Shopify's own count of the window is the control. Fewer records than it says are explained where the count is as low by
now: they were edited, and so left the window, or deleted. Otherwise the window is read again for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.clock import utc_now
from ingestion.contracts import REJECTS_TABLE, Entity, entity
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, SourceError, Window
from ingestion.loading.erased import erased_of
from ingestion.loading.planning import Reading
from ingestion.loading.records import landed_sum
from ingestion.loading.rejects import new_rejects, reject_key
from ingestion.shopify import queries
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.odd_answers import as_asked, counted, goes_on
from ingestion.shopify.received import Received
from ingestion.shopify.shared_skus import SharedSkus
from ingestion.shopify.tables.parsing import collector_paused
from ingestion.shopify.tables.rejects import FLATTEN, faults, fitting
from ingestion.shopify.tables.shapes import Record
from ingestion.shopify.whole_orders import EditedError, complete

SEARCH_LIMIT = 20_000  # Shopify serves at most 25,000 records of one search: then go on with a later window
READINGS = 3  # of a window that gives less than Shopify counts in it
FLATTENED_AT_ONCE = 1000  # records, or more: the calls into Arrow cost a single page as much as its records do
REREADS = 5  # of an order that is edited while its lines are fetched


class RecordPages:
    """Batches of one window, counted by table on the way; a subclass says how to page.

    Args:
        context: the run.
        client: the shop; its ``received`` counts for these pages from now on.
        item: the entity with the watermark.
        reading: what to read.
    """

    tables: ClassVar[tuple[str, ...]]  # entity names, the one with the watermark first

    def __init__(self, context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading) -> None:
        self.context = context
        self.client = client
        self.item = item
        self.reading = reading
        self.rows = dict.fromkeys(self.tables, 0)
        self.sums: dict[str, Decimal] = {}
        self.rejected_rows = 0
        self.rejected_keys: set[str] = set()
        self.source_count: int | None = None
        self.started_at = utc_now()
        client.received = self.received = Received()

    def pages(self) -> Iterator[list[Record]]:
        """The window's records, complete, page by page."""
        raise NotImplementedError

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """Pairs of raw table and batch; afterwards the counts are complete."""
        pages, more = self.pages(), True
        while more:
            with collector_paused():  # until the records are gone again; not while their tables are loaded
                records: list[Record] = []
                while more and len(records) < FLATTENED_AT_ONCE:
                    with as_asked():
                        page = next(pages, None)
                    records += page or ()
                    more = page is not None
                flattened = self.flattened(records)
                del records, page
            yield from flattened

    def flattened(self, records: Sequence[Record]) -> list[tuple[str, pa.Table]]:
        """Whole records as pairs of raw table and batch; where one does not fit the contract, it alone is a reject."""
        tables, unfit = fitting(FLATTEN[self.item.name], records)
        batches = [self.counted(name, table) for name, table in tables.items()]
        if unfit:
            self.rejected_rows += len(unfit)
            found = erased_of(self.context, SOURCE).faults(self.item, faults(records, unfit))
            self.rejected_keys.update(map(reject_key, found["raw_text"].to_pylist()))
            batches.append((REJECTS_TABLE, new_rejects(self.context, SOURCE, self.item.name, found)))
        return batches

    def counted(self, name: str, table: pa.Table) -> tuple[str, pa.Table]:
        """A batch of an entity with its raw table, its rows and its control sum taken in."""
        item = entity(SOURCE, name)
        self.rows[name] += table.num_rows
        if item.control_sum and (total := pc.sum(table[item.control_sum]).as_py()) is not None:
            self.sums[name] = self.sums.get(name, Decimal(0)) + total
        return item.table, table

    def results(self, load_id: str) -> list[LoadResult]:
        """A record for each table, after the load; counts of the source and rejects stand with the first."""
        ended_at = utc_now()
        return [
            LoadResult(
                source=SOURCE,
                entity=name,
                load_id=load_id,
                window=self.reading.window,
                rows=self.rows[name],
                rejected_rows=self.rejected_rows if name == self.tables[0] else 0,
                rejected_keys=frozenset(self.rejected_keys if name == self.tables[0] else ()),
                bytes=self.received.bytes if name == self.tables[0] else 0,
                source_count=self.source_count if name == self.tables[0] else None,
                source_sum=self.sums.get(name),
                landed_sum=landed_sum(self.context, entity(SOURCE, name), load_id),
                content_hash=self.received.sha256,
                status="loaded" if self.rows[name] + self.rejected_rows else "empty",
                covered_through=self.reading.covered_through if name == self.tables[0] else None,
                started_at=self.started_at,
                ended_at=ended_at,
            )
            for name in self.tables
        ]


class CountedPages(RecordPages):
    """Records that Shopify counts, too."""

    connection: ClassVar[str]
    page: ClassVar[str]  # its query
    count: ClassVar[str]  # the query of its count
    is_row: ClassVar[bool]  # whether a record is one row of the first table

    def __init__(self, context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading) -> None:
        super().__init__(context, client, item, reading)
        self.read: dict[str, str] = {}  # id and version of what was served

    def pages(self) -> Iterator[list[Record]]:
        left = counted = self.counted_now()
        for _ in range(READINGS):
            for page in changed(self.client, self.page, self.connection, self.reading.window):
                yield self.completed(self._unread(page))
            if self.is_whole(counted, left):
                break
            left = self.counted_now()
            if self.is_whole(counted, left):
                self.explain(counted)
                break
        else:
            raise SourceError(
                SOURCE,
                f"Shopify counts {left:,} {self.connection} and serves {len(self.read):,} in {READINGS} readings",
                "Nothing of this window was kept; run again, and report it to Shopify if it stays",
            )
        if counted is not None and len(self.read) > counted:  # some had not been in its index yet
            counted = self.counted_now()
        self.source_count = counted if self.is_row else None

    def is_whole(self, counted: int | None, left: int | None) -> bool:
        """Whether all was read that the window still holds."""
        return counted is None or left is None or len(self.read) >= left

    def explain(self, counted: int | None) -> None:
        """Say why less was read than counted at first."""
        gone = (counted or 0) - len(self.read)
        text = f"{gone:,} of {counted:,} {self.connection} were edited or deleted while they were read"
        self.context.progress(f"shopify {self.item.name}: {text}; the next load reads what was edited")

    def counted_now(self) -> int | None:
        """How many records Shopify counts in the window; None when it says that it does not know exactly."""
        found = self.client.query(self.count, {"query": search(self.reading.window)})
        with as_asked():
            answer = found[f"{self.connection}Count"]
            is_exact = answer is not None and answer["precision"] == "EXACT"
        if not is_exact:
            self.context.progress(f"shopify {self.item.name}: Shopify has no exact count of this window; not compared")
            return None
        return counted(answer)

    def _unread(self, page: list[Record]) -> list[Record]:
        """What was not served before in this very version."""
        fresh = [record for record in page if self.read.get(record["id"]) != record["updatedAt"]]
        self.read.update((record["id"], record["updatedAt"]) for record in fresh)
        return fresh

    def completed(self, page: list[Record]) -> list[Record]:
        """The records with all their children."""
        raise NotImplementedError


# --- orders ------------------------------------------------------------------------------------------------------


class OrderPages(CountedPages):
    """Orders with their lines, refunds and agreements."""

    tables = ("orders", "order_lines", "refunds", "sales")
    connection = "orders"
    page = queries.ORDERS_PAGE
    count = queries.ORDERS_COUNT
    is_row = True

    def completed(self, page: list[Record]) -> list[Record]:
        return [order for order in map(self.complete, page) if order is not None]

    def complete(self, order: Record) -> Record | None:
        """The order with all its children, of one version; None when an edit took it out of the window."""
        for _ in range(REREADS):
            try:
                complete(self.client, order)
                return order
            except EditedError:
                edited = self.client.query(queries.ORDER, {"id": order["id"]})["order"]
                if edited is None or edited["updatedAt"] >= seconds(self.reading.window.end):
                    return None
                order = edited
                self.read[order["id"]] = order["updatedAt"]  # it comes by once more, at its own place
        raise SourceError(
            SOURCE, f"order {order['name']} changes faster than it can be read", "Run again; see what keeps editing it"
        )


# --- products and inventory --------------------------------------------------------------------------------------


class ProductPages(CountedPages):
    """Products with their variants; raw has a row a variant, so Shopify's count of products stands in no record."""

    tables = ("products",)
    connection = "products"
    page = queries.PRODUCTS_PAGE
    count = queries.PRODUCTS_COUNT
    is_row = False

    def completed(self, page: list[Record]) -> list[Record]:
        for product in page:
            self._complete(product)
        return page

    def _complete(self, product: Record) -> None:
        if not goes_on(product["variants"]):
            return
        variants: list[Record] = []
        for data in self.client.pages(
            queries.PRODUCT_VARIANTS, {"id": product["id"]}, lambda data: data["product"]["variants"]
        ):
            if data["product"] is None:  # deleted meanwhile: keep what the page said
                return
            variants += data["product"]["variants"]["nodes"]
        product["variants"]["nodes"] = variants


class InventoryPages(RecordPages):
    """Inventory levels of the location that online orders are served from, with those of other items of their SKUs."""

    tables = ("inventory",)

    def pages(self) -> Iterator[list[Record]]:
        location = _location(self.client)
        variables = {"location": location, "query": search(self.reading.window)}
        shared = SharedSkus(self.context, self.client, location)
        for data in self.client.pages(
            queries.INVENTORY_PAGE, variables, lambda data: data["location"]["inventoryLevels"]
        ):
            levels = data["location"]["inventoryLevels"]["nodes"]
            yield shared.completed([level | {"location": location} for level in levels])


def _location(client: ShopifyClient) -> str:
    """The id of the location online orders are served from: the only one, or the one the settings name."""
    found = [
        location
        for data in client.pages(queries.LOCATIONS, {}, lambda data: data["locations"])
        for location in data["locations"]["nodes"]
    ]
    named = [location for location in found if location["name"].casefold() == client.source.location.casefold()]
    chosen = found if len(found) == 1 else named
    if len(chosen) != 1:
        raise SourceError(
            SOURCE,
            f"no single location is named {client.source.location!r}: there are {[item['name'] for item in found]}",
            "Name the location of the online shop in the settings of the Shopify source",
        )
    location_id: str = chosen[0]["id"]
    return location_id


PAGES: dict[str, type[RecordPages]] = {"orders": OrderPages, "products": ProductPages, "inventory": InventoryPages}

# --- windows -----------------------------------------------------------------------------------------------------


def seconds(instant: datetime) -> str:
    """An instant (UTC without a zone) as Shopify takes it, whole seconds."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def search(window: Window) -> str:
    """Shopify's search text for what changed in the window; dates have to be quoted."""
    end = f"updated_at:<'{seconds(window.end)}'"
    return end if window.start == EPOCH else f"updated_at:>='{seconds(window.start)}' AND {end}"


def changed(client: ShopifyClient, document: str, name: str, window: Window) -> Iterator[list[Record]]:
    """Pages of a connection sorted by updated_at; a search that grows too long is continued in a later window.

    The later window starts at the second that was served last: what was served of that second comes again.
    """
    while True:
        count, second = 0, ""
        for data in client.pages(document, {"query": search(window)}, lambda data: data[name]):
            nodes = data[name]["nodes"]
            yield nodes
            if not nodes:
                continue
            count += len(nodes)
            second = nodes[-1]["updatedAt"][:19]
            if count >= SEARCH_LIMIT and data[name]["pageInfo"]["hasNextPage"] and second > seconds(window.start)[:19]:
                break
        else:
            return
        window = Window(datetime.fromisoformat(second), window.end)
