"""The Shopify source: pages of changed records, flattened to Arrow by columns.

Records come by ``updated_at`` window. An order that is edited while its window is paged through moves to the end of the
window or out of it: the overlap of the next load then reads it, and its hour is restated as a late correction. What
Shopify cannot give in one page (many lines, many refunds) is completed by further queries, from the same version of the
order: its lines and refunds carry ``order_updated_at``, and models take those of the latest version only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import corrections
from ingestion import shopify_queries as queries
from ingestion.contracts import FLAG, INSTANT, INT, MONEY, REJECTS_TABLE, Entity, entity
from ingestion.loads import (
    EPOCH,
    FAULTS,
    IngestContext,
    LoadResult,
    Reading,
    SourceError,
    Window,
    clock,
    load,
    plan_reading,
    record,
    rejects,
    skipped,
)
from ingestion.shopify_client import SOURCE, ShopifyClient, ShopifySource

__all__ = ["ShopifySource", "ingest"]

ENTITY_NAMES = ("orders", "inventory", "products")  # what has a watermark; lines and refunds come with the orders
SEARCH_LIMIT = 20_000  # Shopify serves at most 25,000 records of one search: then go on with a later window
ALL_ORDERS_DAYS = 60  # older orders are left out, silently, without the scope read_all_orders
REREADS = 5  # of an order that is edited while its lines are fetched

Record = dict[str, Any]


def ingest(
    context: IngestContext, source: ShopifySource, window: Window | None = None, entities: Sequence[str] | None = None
) -> list[LoadResult]:
    """Load what is new in the shop, or again what changed in a given window.

    Args:
        context: the run.
        source: how to reach the shop.
        window: changes (``updatedAt``) to read again, half-open; None for everything since the watermark. Shopify knows
            whole seconds only: a fraction is left to the next load's overlap.
        entities: names out of ``orders`` (brings ``order_lines`` and ``refunds``), ``inventory``, ``products``; None
            for all.

    Returns:
        One result an entity, lines and refunds of orders included. What is not due has the status ``skipped``.

    Raises:
        SourceError: the shop cannot be reached or read. Entities loaded before the failure stay loaded.
        KeyError: an unknown entity name.
    """
    wanted = {entity(SOURCE, name).name for name in entities or ENTITY_NAMES}
    if wanted & {"order_lines", "refunds"}:
        wanted.add("orders")
    results: list[LoadResult] = []
    with ShopifyClient(source) as client:
        due = {}
        for item in (entity(SOURCE, name) for name in ENTITY_NAMES if name in wanted):
            if (reading := plan_reading(context, item, window)) is None:
                results.append(skipped(item))
            else:
                due[item] = reading
        if due:
            _check_scopes(context, client)
        for item, reading in due.items():
            results += _load(context, client, item, reading)
    return results


def _check_scopes(context: IngestContext, client: ShopifyClient) -> None:
    """Refuse to go on where Shopify would leave old orders out without a word."""
    installation = client.query(queries.SCOPES)["currentAppInstallation"]
    granted = {scope["handle"] for scope in installation["accessScopes"]}
    if "read_all_orders" not in granted and context.history_start < context.as_of - timedelta(days=ALL_ORDERS_DAYS):
        raise SourceError(
            SOURCE,
            f"the app may not read orders older than {ALL_ORDERS_DAYS} days, and Shopify would leave them out silently",
            "Ask Shopify for the scope read_all_orders (Partner Dashboard, API access) and install the app again",
        )


def _load(context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading) -> list[LoadResult]:
    """One entity into one package, then its records and the corrections it causes."""
    released = corrections.released_through(context, SOURCE, [item.name])
    extract = _EXTRACTS[item.name](context, client, item, reading)
    load_id = load(context, SOURCE, extract.batches())
    results = extract.results(load_id)
    found: list[corrections.Correction] = []
    if item.name == "orders":
        found = corrections.shopify_sales(context, load_id, released)
    elif item.name == "inventory":
        found = corrections.shopify_inventory(context, load_id, released)
    with context.warehouse.transaction():
        record(context, results)
        corrections.queue(context, found)
    for result in results:
        context.progress(f"shopify {result.entity}: {result.rows:,} rows, {result.rejected_rows:,} rejected")
    return results


class _Extract:
    """Batches of one window, counted by table on the way; a subclass says how to page and how to flatten."""

    tables: ClassVar[tuple[str, ...]]  # entity names, the one with the watermark first
    control_sums: ClassVar[Mapping[str, str]] = {}

    def __init__(self, context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading) -> None:
        self.context = context
        self.client = client
        self.item = item
        self.reading = reading
        self.rows = dict.fromkeys(self.tables, 0)
        self.sums: dict[str, Decimal] = {}
        self.rejected_rows = 0
        self.source_count: int | None = None
        self.started_at = clock()
        self.bytes_before = client.bytes

    def pages(self) -> Iterator[list[Record]]:
        """The window's records, complete, page by page."""
        raise NotImplementedError

    def flatten(self, records: Sequence[Record]) -> dict[str, pa.Table]:
        """Records as one table an entity name."""
        raise NotImplementedError

    def batches(self) -> Iterator[tuple[str, pa.Table]]:
        """Pairs of raw table and batch; afterwards the counts are complete."""
        self.started_at = clock()
        for page in self.pages():
            tables, faults = _flattened(self.flatten, page)
            for name, table in tables.items():
                self.rows[name] += table.num_rows
                self._add_to_sum(name, table)
                yield entity(SOURCE, name).table, table
            if faults.num_rows:
                self.rejected_rows += faults.num_rows
                yield REJECTS_TABLE, rejects(self.context, SOURCE, self.item.name, faults)

    def _add_to_sum(self, name: str, table: pa.Table) -> None:
        if name in self.control_sums and (amount := pc.sum(table[self.control_sums[name]]).as_py()) is not None:
            self.sums[name] = self.sums.get(name, Decimal(0)) + amount

    def results(self, load_id: str) -> list[LoadResult]:
        """A record for each table; counts of the source and rejects stand with the first."""
        ended_at = clock()
        return [
            LoadResult(
                source=SOURCE,
                entity=name,
                load_id=load_id,
                window=self.reading.window,
                rows=self.rows[name],
                rejected_rows=self.rejected_rows if name == self.tables[0] else 0,
                bytes=self.client.bytes - self.bytes_before if name == self.tables[0] else 0,
                source_count=self.source_count if name == self.tables[0] else None,
                landed_sum=self.sums.get(name),
                status="loaded" if self.rows[name] + self.rejected_rows else "empty",
                covered_through=self.reading.covered_through if name == self.tables[0] else None,
                started_at=self.started_at,
                ended_at=ended_at,
            )
            for name in self.tables
        ]


def _flattened(
    flatten: Callable[[Sequence[Record]], dict[str, pa.Table]], records: Sequence[Record]
) -> tuple[dict[str, pa.Table], pa.Table]:
    """A page as tables; where a record does not fit the contract exactly, it alone becomes a reject, as JSON."""
    try:
        return flatten(records), FAULTS.empty_table()
    except (pa.ArrowInvalid, ArithmeticError, TypeError, KeyError, AttributeError):
        pass
    good, faults = [], []
    for item in records:
        try:
            flatten([item])
            good.append(item)
        except (pa.ArrowInvalid, ArithmeticError, TypeError, KeyError, AttributeError) as error:
            faults.append(
                [None, "record_invalid", f"{type(error).__name__}: {error}"[:200], orjson.dumps(item).decode()]
            )
    columns = list(zip(*faults, strict=True))
    return flatten(good), pa.table([pa.array(column, pa.string()) for column in columns], schema=FAULTS)


# --- orders ------------------------------------------------------------------------------------------------------


class _Edited(Exception):
    """The order changed while its lines or refunds were fetched."""


class _Orders(_Extract):
    tables = ("orders", "order_lines", "refunds")
    control_sums: ClassVar = {"orders": "total_amount", "order_lines": "unit_price", "refunds": "subtotal_amount"}

    def __init__(self, context: IngestContext, client: ShopifyClient, item: Entity, reading: Reading) -> None:
        super().__init__(context, client, item, reading)
        self._read_ahead: set[tuple[str, str]] = (
            set()
        )  # versions read again, which come by once more at their own place

    def pages(self) -> Iterator[list[Record]]:
        search = _search(self.reading.window)
        counted = self.client.query(queries.ORDERS_COUNT, {"query": search})["ordersCount"]
        self.source_count = counted["count"] if counted else None
        for orders in _changed(self.client, queries.ORDERS_PAGE, "orders", self.reading.window):
            new = [order for order in orders if (order["id"], order["updatedAt"]) not in self._read_ahead]
            completed = [self._complete(order) for order in new]
            yield [order for order in completed if order is not None]

    def flatten(self, records: Sequence[Record]) -> dict[str, pa.Table]:
        return flatten_orders(records)

    def _complete(self, order: Record) -> Record | None:
        """The order with all its lines and refunds, of one version; None when an edit took it out of the window."""
        for _ in range(REREADS):
            try:
                _complete_lines(self.client, order)
                _complete_refunds(self.client, order)
                return order
            except _Edited:
                edited = self.client.query(queries.ORDER, {"id": order["id"]})["order"]
                if edited is None or edited["updatedAt"] >= _seconds(self.reading.window.end):
                    return None
                order = edited
                self._read_ahead.add((order["id"], order["updatedAt"]))
        raise SourceError(
            SOURCE, f"order {order['name']} changes faster than it can be read", "Run again; see what keeps editing it"
        )


def _complete_lines(client: ShopifyClient, order: Record) -> None:
    """Replace the order's first page of lines by all of them, where there are more."""
    if not order["lineItems"]["pageInfo"]["hasNextPage"]:
        return
    lines: list[Record] = []
    for data in client.pages(queries.ORDER_LINES, {"id": order["id"]}, lambda data: data["order"]["lineItems"]):
        _same_version(order, data["order"])
        lines += data["order"]["lineItems"]["nodes"]
    order["lineItems"]["nodes"] = lines


def _complete_refunds(client: ShopifyClient, order: Record) -> None:
    """Fetch all refunds where there may be more, and all lines and shipping lines of each."""
    asked, *larger = queries.REFUNDS_ASKED
    while len(order["refunds"]) == asked:
        if not larger:
            cure = "Report it: Shopify lists no further refunds of one order"
            raise SourceError(SOURCE, f"order {order['name']} has {asked} refunds or more", cure)
        asked = larger.pop(0)
        again = client.query(queries.ORDER_REFUNDS, {"id": order["id"], "first": asked})["order"]
        _same_version(order, again)
        order["refunds"] = again["refunds"]
    for refund in order["refunds"]:
        for connection, document in (
            ("refundLineItems", queries.REFUND_LINES),
            ("refundShippingLines", queries.REFUND_SHIPPING_LINES),
        ):
            if refund[connection]["pageInfo"]["hasNextPage"]:
                refund[connection]["nodes"] = _refund_children(client, order, refund["id"], connection, document)


def _refund_children(
    client: ShopifyClient, order: Record, refund_id: str, connection: str, document: str
) -> list[Record]:
    found: list[Record] = []
    for data in client.pages(document, {"id": refund_id}, lambda data: data["refund"][connection]):
        _same_version(order, data["refund"] and data["refund"]["order"])
        found += data["refund"][connection]["nodes"]
    return found


def _same_version(order: Record, again: Record | None) -> None:
    if again is None or again["updatedAt"] != order["updatedAt"]:
        raise _Edited


def flatten_orders(orders: Sequence[Record]) -> dict[str, pa.Table]:
    """Complete orders as ``orders``, ``order_lines`` and ``refunds`` (a row a refund line, and one for shipping).

    Raises ArrowInvalid (or what a record of another shape causes) when an order does not fit the contract exactly.
    """
    lines = [(order, place, line) for order in orders for place, line in enumerate(order["lineItems"]["nodes"], 1)]
    return {
        "orders": _table("orders", _order_columns(orders)),
        "order_lines": _table("order_lines", _line_columns(lines)),
        "refunds": _table("refunds", _refund_columns(orders)),
    }


def _order_columns(orders: Sequence[Record]) -> dict[str, list[Any]]:
    return {
        "order_id": [order["id"] for order in orders],
        "name": [order["name"] for order in orders],
        "customer_id": [order["customer"] and order["customer"]["id"] for order in orders],
        "is_test": [order["test"] for order in orders],
        "currency": [order["currencyCode"] for order in orders],
        "financial_status": [order["displayFinancialStatus"] for order in orders],
        "fulfillment_status": [order["displayFulfillmentStatus"] for order in orders],
        "created_at": [order["createdAt"] for order in orders],
        "processed_at": [order["processedAt"] for order in orders],
        "cancelled_at": [order["cancelledAt"] for order in orders],
        "subtotal_amount": [_money(order["subtotalPriceSet"]) for order in orders],
        "discount_amount": [_money(order["totalDiscountsSet"]) for order in orders],
        "tax_amount": [_money(order["totalTaxSet"]) for order in orders],
        "shipping_amount": [_money(order["totalShippingPriceSet"]) for order in orders],
        "total_amount": [_money(order["totalPriceSet"]) for order in orders],
        "updated_at": [order["updatedAt"] for order in orders],
    }


def _line_columns(lines: Sequence[tuple[Record, int, Record]]) -> dict[str, list[Any]]:
    return {
        "order_id": [order["id"] for order, _, _ in lines],
        "order_updated_at": [order["updatedAt"] for order, _, _ in lines],
        "line_item_id": [line["id"] for _, _, line in lines],
        "line_position": [place for _, place, _ in lines],
        "sku": [line["sku"] for _, _, line in lines],
        "title": [line["title"] for _, _, line in lines],
        "quantity": [line["quantity"] for _, _, line in lines],
        "current_quantity": [line["currentQuantity"] for _, _, line in lines],
        "unit_price": [_money(line["originalUnitPriceSet"]) for _, _, line in lines],
        # allocations, not totalDiscountSet: that one leaves out the share of discounts on the whole order
        "discount_amount": [
            _total(part["allocatedAmountSet"] for part in line["discountAllocations"]) for _, _, line in lines
        ],
        "tax_amount": [_total(part["priceSet"] for part in line["taxLines"]) for _, _, line in lines],
    }


def _refund_columns(orders: Sequence[Record]) -> dict[str, list[Any]]:
    rows = [
        (
            order["id"],
            order["updatedAt"],
            refund["id"],
            line["id"],
            line["lineItem"]["id"],
            line["lineItem"]["sku"],
            line["quantity"],
            _money(line["subtotalSet"]),
            _money(line["totalTaxSet"]),
            "0",
            refund["note"],
            refund["createdAt"],
        )
        for order in orders
        for refund in order["refunds"]
        for line in refund["refundLineItems"]["nodes"]
    ]
    for order in orders:
        for refund in order["refunds"]:
            shipping = refund["refundShippingLines"]["nodes"]
            amount = _total(line["subtotalAmountSet"] for line in shipping)
            tax = _total(line["taxAmountSet"] for line in shipping)
            if Decimal(amount) or Decimal(tax):
                ids = (order["id"], order["updatedAt"], refund["id"], None, None, None, None)
                rows.append((*ids, "0", tax, amount, refund["note"], refund["createdAt"]))
    names = [column.name for column in entity(SOURCE, "refunds").columns]
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


# --- products and inventory --------------------------------------------------------------------------------------


class _Products(_Extract):
    tables = ("products",)
    control_sums: ClassVar = {"products": "price"}

    def pages(self) -> Iterator[list[Record]]:
        for products in _changed(self.client, queries.PRODUCTS_PAGE, "products", self.reading.window):
            for product in products:
                self._complete(product)
            yield products

    def _complete(self, product: Record) -> None:
        if not product["variants"]["pageInfo"]["hasNextPage"]:
            return
        variants: list[Record] = []
        for data in self.client.pages(
            queries.PRODUCT_VARIANTS, {"id": product["id"]}, lambda data: data["product"]["variants"]
        ):
            if data["product"] is None:  # deleted meanwhile: keep what the page said
                return
            variants += data["product"]["variants"]["nodes"]
        product["variants"]["nodes"] = variants

    def flatten(self, records: Sequence[Record]) -> dict[str, pa.Table]:
        rows = [(product, variant) for product in records for variant in product["variants"]["nodes"]]
        columns = {
            "variant_id": [variant["id"] for _, variant in rows],
            "product_id": [product["id"] for product, _ in rows],
            "inventory_item_id": [variant["inventoryItem"]["id"] for _, variant in rows],
            "sku": [variant["sku"] for _, variant in rows],
            "title": [product["title"] for product, _ in rows],
            "variant_title": [variant["title"] for _, variant in rows],
            "vendor": [product["vendor"] for product, _ in rows],
            "product_type": [product["productType"] for product, _ in rows],
            "status": [product["status"] for product, _ in rows],
            "price": [variant["price"] for _, variant in rows],
            "unit_cost": [
                cost and cost["amount"] for cost in (variant["inventoryItem"]["unitCost"] for _, variant in rows)
            ],
            "updated_at": [max(product["updatedAt"], variant["updatedAt"]) for product, variant in rows],
        }
        return {"products": _table("products", columns)}


class _Inventory(_Extract):
    tables = ("inventory",)
    control_sums: ClassVar = {"inventory": "available"}

    def pages(self) -> Iterator[list[Record]]:
        location = _location(self.client)
        variables = {"location": location, "query": _search(self.reading.window)}
        for data in self.client.pages(
            queries.INVENTORY_PAGE, variables, lambda data: data["location"]["inventoryLevels"]
        ):
            yield [level | {"location": location} for level in data["location"]["inventoryLevels"]["nodes"]]

    def flatten(self, records: Sequence[Record]) -> dict[str, pa.Table]:
        stock = [{part["name"]: part["quantity"] for part in level["quantities"]} for level in records]
        columns = {
            "inventory_item_id": [level["item"]["id"] for level in records],
            "location_id": [level["location"] for level in records],
            "sku": [level["item"]["sku"] for level in records],
            "available": [quantity["available"] for quantity in stock],
            "on_hand": [quantity["on_hand"] for quantity in stock],
            "on_order": [quantity["incoming"] for quantity in stock],
            "updated_at": [level["updatedAt"] for level in records],
        }
        return {"inventory": _table("inventory", columns)}


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


_EXTRACTS: dict[str, type[_Extract]] = {"orders": _Orders, "products": _Products, "inventory": _Inventory}

# --- windows and columns -----------------------------------------------------------------------------------------


def _seconds(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _search(window: Window) -> str:
    """Shopify's search text for what changed in the window; dates have to be quoted."""
    end = f"updated_at:<'{_seconds(window.end)}'"
    return end if window.start == EPOCH else f"updated_at:>='{_seconds(window.start)}' AND {end}"


def _changed(client: ShopifyClient, document: str, name: str, window: Window) -> Iterator[list[Record]]:
    """Pages of a connection sorted by updated_at; a search that grows too long is continued in a later window.

    The later window starts at the second that was served last, so what was served of that second is left out there.
    """
    served: set[str] = set()
    while True:
        count, second = 0, ""
        latest: set[str] = set()
        for data in client.pages(document, {"query": _search(window)}, lambda data: data[name]):
            nodes = data[name]["nodes"]
            yield [node for node in nodes if node["id"] not in served]
            if not nodes:
                continue
            count += len(nodes)
            before, second = second, _second(nodes[-1])
            ended = {node["id"] for node in nodes if _second(node) == second}
            latest = latest | ended if second == before else ended
            if count >= SEARCH_LIMIT and data[name]["pageInfo"]["hasNextPage"] and second > _seconds(window.start)[:19]:
                break
        else:
            return
        served = latest
        window = Window(datetime.fromisoformat(second), window.end)


def _second(node: Record) -> str:
    """The UTC second a record was last changed in, e.g. ``2026-03-05T10:00:00``."""
    return str(node["updatedAt"][:19])


def _money(bag: Record | None) -> str | None:
    return None if bag is None else bag["shopMoney"]["amount"]


def _total(bags: Iterable[Record]) -> str:
    """The exact sum of several amounts, as text."""
    amounts = [bag["shopMoney"]["amount"] for bag in bags]
    return amounts[0] if len(amounts) == 1 else str(sum((Decimal(amount) for amount in amounts), Decimal(0)))


def _table(name: str, columns: Mapping[str, list[Any]]) -> pa.Table:
    """Python values by column as the entity's Arrow table; raises ArrowInvalid where a value does not fit exactly."""
    fields = entity(SOURCE, name).columns
    return pa.table([_column(columns[column.name], column) for column in fields], schema=pa.schema(fields))


def _column(values: list[Any], column: pa.Field) -> pa.Array:
    if column.type == INT and column.name.endswith("_id"):
        return pc.replace_substring_regex(pa.array(values, pa.string()), r"^gid://.*/(\d+)$", r"\1").cast(INT)
    if column.type in (INT, FLAG):
        return pa.array(values, column.type)
    texts = pa.array(values, pa.string())
    if column.type == INSTANT:
        return texts.cast(pa.timestamp("us", "UTC")).cast(INSTANT)
    return texts.cast(MONEY) if column.type == MONEY else texts
