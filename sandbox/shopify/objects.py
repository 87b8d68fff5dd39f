"""How the shop's documents look through the Admin API: for every type of the schema, how each field is read.

A field is a function of the object, its arguments and the request. Objects are the shop's documents, or small tuples
of them where a field needs to know its parent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.shopify.search import SearchError, parse
from sandbox.shopify.shop import LOCATION, Document, Shop

if TYPE_CHECKING:
    from sandbox.shopify.bulk import BulkOperations

MAX_PAGE = 250
COUNT_CAP = 10_000
ALL_ORDERS_DAYS = 60
SCOPES = ("read_orders", "read_all_orders", "read_products", "read_inventory", "read_locations", "read_customers")


class ApiError(Exception):
    """An error the API reports in its answer; `code` goes into extensions."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """What the fields of one request know: the shop, the faults that are on, and the server's bulk operations."""

    shop: Shop
    faults: Mapping[str, Mapping[str, Any]]
    bulk: BulkOperations


class Stored(dict[str, Any]):
    """A document of which only the ids are at hand: the rest is read from the shop when a query asks for it.

    What the shop no longer has reads as null.
    """

    def __init__(self, known: Document, table: str, identity: int, shop: Shop) -> None:
        super().__init__(known)
        self._load = lambda: shop.one(table, identity) or {}

    def __missing__(self, name: str) -> Any:
        for key, value in self._load().items():
            self.setdefault(key, value)
        return self.setdefault(name, None)


Field = Callable[[Any, Mapping[str, Any], Request], Any]


def gid(kind: str, number: int) -> str:
    """The global id of an object."""
    return f"gid://shopify/{kind}/{number}"


def number_of(identity: str) -> int:
    """The number of a global id. Raises ApiError for a malformed one."""
    try:
        return int(str(identity).rsplit("/", 1)[-1])
    except ValueError:
        raise ApiError(f"Invalid global id '{identity}'", "BAD_USER_INPUT") from None


# --- connections -------------------------------------------------------------------------------------------------


def encode_cursor(sort: str, key: Any, number: int) -> str:
    """An opaque cursor that stands after (sort value, id) in one order of sorting."""
    return base64.urlsafe_b64encode(orjson.dumps([sort, key, number])).decode()


def decode_cursor(text: str, sort: str) -> tuple[Any, int]:
    """The sort value and id of a cursor. Raises ApiError for one that is not ours or of another order of sorting."""
    try:
        sorted_by, key, number = orjson.loads(base64.urlsafe_b64decode(text))
        if sorted_by != sort:
            raise ValueError(sorted_by)
        return key, int(number)
    except (ValueError, TypeError):
        raise ApiError("Invalid cursor for current pagination sort.", "BAD_USER_INPUT") from None


def _size(arguments: Mapping[str, Any]) -> int:
    first = arguments.get("first")
    if not isinstance(first, int) or first < 1:
        raise ApiError("you must provide one of first or last", "BAD_USER_INPUT")
    if first > MAX_PAGE:
        raise ApiError(f"The page size of {first} exceeds the maximum of {MAX_PAGE}", "BAD_USER_INPUT")
    return first


def _connection(entries: list[tuple[str, Any]], more: bool, started: bool) -> dict[str, Any]:
    return {
        "nodes": [node for _, node in entries],
        "edges": [{"cursor": cursor, "node": node} for cursor, node in entries],
        "pageInfo": {
            "startCursor": entries[0][0] if entries else None,
            "endCursor": entries[-1][0] if entries else None,
            "hasNextPage": more,
            "hasPreviousPage": started,
        },
    }


def _nested(items: list[Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A connection over a list within a document."""
    first, after = _size(arguments), arguments.get("after")
    begin = decode_cursor(after, "position")[1] + 1 if after else 0
    part = items[begin : begin + first]
    entries = [(encode_cursor("position", None, begin + place), item) for place, item in enumerate(part)]
    return _connection(entries, begin + first < len(items), begin > 0)


def _stored(
    table: str, arguments: Mapping[str, Any], request: Request, more: tuple[tuple[str, str, Any], ...] = ()
) -> dict[str, Any]:
    """A connection over the shop's documents of one kind, where `more` conditions hold."""
    first, after = _size(arguments), arguments.get("after")
    sort = str(arguments.get("sortKey") or "ID").lower()
    if sort not in ("id", "updated_at", "created_at", "processed_at"):
        raise ApiError(f"the simulator does not sort by {sort}", "BAD_USER_INPUT")
    cursor = decode_cursor(after, sort) if after else None
    conditions = [*_conditions(table, arguments, request), *more]
    found = request.shop.page(table, conditions, sort, bool(arguments.get("reverse")), cursor, first + 1)
    entries = [(encode_cursor(sort, key, number), document) for key, number, document in found[:first]]
    return _connection(entries, len(found) > first, cursor is not None)


def _conditions(table: str, arguments: Mapping[str, Any], request: Request) -> list[tuple[str, str, Any]]:
    try:
        conditions = parse(arguments.get("query"), table)
    except SearchError as error:
        raise ApiError(f"Invalid search query: {error}", "BAD_USER_INPUT") from None
    newest = request.shop.newest("updated_at") if table == "orders" and "missing_scope" in request.faults else None
    if newest:  # without read_all_orders older orders are simply not there
        oldest = datetime.fromisoformat(newest) - timedelta(days=ALL_ORDERS_DAYS)
        conditions.append(("created_at", ">=", oldest.strftime("%Y-%m-%dT%H:%M:%SZ")))
    return conditions


# --- money -------------------------------------------------------------------------------------------------------


def _bag(amount: Decimal | str, currency: str) -> dict[str, Any]:
    money = {"amount": amount if isinstance(amount, str) else f"{amount:f}", "currencyCode": currency}
    return {"shopMoney": money, "presentmentMoney": money}


def _sum(values: Any) -> Decimal:
    return sum((Decimal(value) for value in values), Decimal(0))


def _gross(order: Document) -> Decimal:
    return sum((line["quantity"] * Decimal(line["unitPrice"]) for line in order["lineItems"]), Decimal(0))


def _discounts(order: Document) -> Decimal:
    return _sum(line["discount"] for line in order["lineItems"])


def _tax(order: Document) -> Decimal:
    return _sum(line["tax"] for line in order["lineItems"])


def _refunded(refund: Document) -> Decimal:
    return (
        _sum(line["subtotal"] for line in refund["lines"])
        + _sum(line["tax"] for line in refund["lines"])
        + Decimal(refund["shipping"])
        + Decimal(refund.get("amount", "0"))  # paid back for neither
    )


def _total(order: Document) -> Decimal:
    return _gross(order) - _discounts(order) + _tax(order) + Decimal(order["shipping"])


def _refunded_lines(order: Document, name: str) -> Decimal:
    return _sum(line[name] for refund in order["refunds"] for line in refund["lines"])


def _refunded_gross(order: Document) -> Decimal:
    prices = {line["id"]: Decimal(line["unitPrice"]) for line in order["lineItems"]}
    returned = (line for refund in order["refunds"] for line in refund["lines"])
    return sum((line["quantity"] * prices[line["lineItemId"]] for line in returned), Decimal(0))


def _refunded_shipping(order: Document) -> Decimal:
    return _sum(refund["shipping"] for refund in order["refunds"])


def _current_discounts(order: Document) -> Decimal:
    """What is left of the discounts: a returned piece takes its share along."""
    return _discounts(order) - (_refunded_gross(order) - _refunded_lines(order, "subtotal"))


def _current_subtotal(order: Document) -> Decimal:
    return _gross(order) - _discounts(order) - _refunded_lines(order, "subtotal")


def _of_order(amount: Callable[[Document], Decimal]) -> Field:
    return lambda order, _, __: _bag(amount(order), order["currencyCode"])


# --- fields ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A field that is just an entry of the object; the executor takes a short cut for it."""

    name: str

    def __call__(self, item: Any, arguments: Mapping[str, Any], request: Request) -> Any:
        return item[self.name]


def _key(name: str) -> Field:
    return Key(name)


def _money(name: str) -> Field:
    return lambda item, _, __: _bag(item[name], item["currency"])


def _reference(table: str, name: str) -> Field:
    """The document of another kind that an object names by its number; null where it names none."""

    def read(item: Document, _: Mapping[str, Any], request: Request) -> Stored | None:
        number = item[name]
        return Stored({"id": number}, table, number, request.shop) if number else None

    return read


def _identity(kind: str, name: str = "id") -> Field:
    return lambda item, _, __: gid(kind, item[name])


def _legacy(name: str = "id") -> Field:
    return lambda item, _, __: str(item[name])


def _shipping_lines(refund: Document) -> list[Document]:
    return [] if Decimal(refund["shipping"]) == 0 else [refund]


def _refund(identity: str, request: Request) -> Document | None:
    order = request.shop.order_of_refund(number_of(identity))
    if not order:
        return None
    return next(item for item in _refunds(order) if item["id"] == number_of(identity))


def _refunds(order: Document) -> list[Document]:
    return [{**refund, "order": order} for refund in order["refunds"]]


def _refund_lines(refund: Document) -> list[Document]:
    lines = {line["id"]: line for line in refund["order"]["lineItems"]}
    currency = refund["order"]["currencyCode"]
    return [{**line, "lineItem": lines[line["lineItemId"]], "currency": currency} for line in refund["lines"]]


def _lines(order: Document) -> list[Document]:
    return [{**line, "currency": order["currencyCode"]} for line in order["lineItems"]]


def _count(table: str) -> Field:
    def read(_: Any, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
        found = request.shop.count(table, _conditions(table, arguments, request))
        found += int(request.faults.get("count_more", {}).get("by", 0))
        limit = arguments.get("limit", COUNT_CAP)
        capped = "count_inexact" in request.faults or (limit is not None and found > limit)
        return {
            "count": min(found, limit or found) if capped else found,
            "precision": "AT_LEAST" if capped else "EXACT",
        }

    return read


def _bulk_operations(_: Any, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """All of them, of whatever search: the server has those of one app, and queries only."""
    operations = request.bulk.all()
    return _nested(operations[::-1] if arguments["reverse"] else operations, arguments)


def _levels(location: Document, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
    return _stored("levels", arguments, request, (("location_id", "=", location["id"]),))


def _level_item(level: Document, _: Mapping[str, Any], request: Request) -> Stored:
    number = level["inventoryItemId"]
    return Stored({"inventoryItemId": number, "sku": level["sku"]}, "inventory_items", number, request.shop)


def _variants(product: Document, arguments: Mapping[str, Any], _: Request) -> dict[str, Any]:
    more = {"productId": product["id"], "createdAt": product["createdAt"]}
    return _nested([{**variant, **more} for variant in product["variants"]], arguments)


def _quantities(level: Document, arguments: Mapping[str, Any], _: Request) -> list[dict[str, Any]]:
    known = {"available": level["available"], "on_hand": level["onHand"], "incoming": level["incoming"]}
    return [{"name": name, "quantity": known.get(name, 0)} for name in arguments["names"]]


def _scopes(_: Any, __: Mapping[str, Any], request: Request) -> list[dict[str, str]]:
    granted = [scope for scope in SCOPES if not (scope == "read_all_orders" and "missing_scope" in request.faults)]
    return [{"handle": scope, "description": scope.replace("_", " ")} for scope in granted]


_SHOP = {"id": 1, "name": "InsightMart Online", "currencyCode": "USD", "ianaTimezone": "America/New_York"}
_CONNECTION: dict[str, Field] = {name: _key(name) for name in ("nodes", "edges", "pageInfo", "cursor", "node")}
_INFO = ("endCursor", "hasNextPage", "hasPreviousPage", "startCursor")

FIELDS: dict[str, dict[str, Field]] = {
    "QueryRoot": {
        "bulkOperation": lambda _, args, request: request.bulk.one(args["id"]),
        "bulkOperations": _bulk_operations,
        "currentAppInstallation": lambda _, __, ___: {"id": 1},
        "currentBulkOperation": lambda _, args, request: request.bulk.current() if args["type"] == "QUERY" else None,
        "inventoryItems": lambda _, args, request: _stored("inventory_items", args, request),
        "productVariants": lambda _, args, request: _stored("variants", args, request),
        "shop": lambda _, __, ___: _SHOP,
        "location": lambda _, args, ___: LOCATION if not args.get("id") or number_of(args["id"]) == 1 else None,
        "locations": lambda _, args, ___: _nested([LOCATION], args),
        "order": lambda _, args, request: request.shop.one("orders", number_of(args["id"])),
        "orders": lambda _, args, request: _stored("orders", args, request),
        "ordersCount": _count("orders"),
        "productsCount": _count("products"),
        "product": lambda _, args, request: request.shop.one("products", number_of(args["id"])),
        "products": lambda _, args, request: _stored("products", args, request),
        "refund": lambda _, args, request: _refund(args["id"], request),
    },
    "Mutation": {
        "bulkOperationRunQuery": lambda _, args, request: request.bulk.run(
            args["query"], args["groupObjects"], request
        ),
        "bulkOperationCancel": lambda _, args, request: request.bulk.cancel(args["id"]),
    },
    "Shop": {
        "id": _identity("Shop"),
        "name": _key("name"),
        "currencyCode": _key("currencyCode"),
        "ianaTimezone": _key("ianaTimezone"),
        "myshopifyDomain": lambda _, __, ___: "insightmart.myshopify.com",
    },
    "AppInstallation": {"id": _identity("AppInstallation"), "accessScopes": _scopes},
    "AccessScope": {"handle": _key("handle"), "description": _key("description")},
    "Count": {"count": _key("count"), "precision": _key("precision")},
    "PageInfo": {name: _key(name) for name in _INFO},
    "Order": {
        "id": _identity("Order"),
        "legacyResourceId": _legacy(),
        **{
            name: _key(name)
            for name in (
                "name",
                "createdAt",
                "processedAt",
                "updatedAt",
                "cancelledAt",
                "cancelReason",
                "test",
                "currencyCode",
                "displayFinancialStatus",
                "displayFulfillmentStatus",
            )
        },
        "taxesIncluded": lambda _, __, ___: False,
        "customer": lambda order, _, __: {"id": order["customerId"]} if order["customerId"] else None,
        "subtotalPriceSet": _of_order(lambda order: _gross(order) - _discounts(order)),
        "totalDiscountsSet": _of_order(_discounts),
        "totalTaxSet": _of_order(_tax),
        "totalShippingPriceSet": _of_order(lambda order: Decimal(order["shipping"])),
        "totalPriceSet": _of_order(_total),
        "totalRefundedSet": _of_order(lambda order: sum(map(_refunded, order["refunds"]), Decimal(0))),
        "totalRefundedShippingSet": _of_order(_refunded_shipping),
        "currentSubtotalPriceSet": _of_order(_current_subtotal),
        "currentTotalDiscountsSet": _of_order(_current_discounts),
        "currentTotalTaxSet": _of_order(lambda order: _tax(order) - _refunded_lines(order, "tax")),
        "currentShippingPriceSet": _of_order(lambda order: Decimal(order["shipping"]) - _refunded_shipping(order)),
        "currentTotalPriceSet": _of_order(
            lambda order: _total(order) - sum(map(_refunded, order["refunds"]), Decimal(0))
        ),
        "lineItems": lambda order, args, _: _nested(_lines(order), args),
        "refunds": lambda order, args, _: _refunds(order)[: args.get("first")],
    },
    "BulkOperation": {
        name: _key(name)
        for name in (
            "completedAt",
            "createdAt",
            "errorCode",
            "fileSize",
            "id",
            "objectCount",
            "partialDataUrl",
            "query",
            "rootObjectCount",
            "status",
            "type",
            "url",
        )
    },
    "BulkOperationRunQueryPayload": {"bulkOperation": _key("bulkOperation"), "userErrors": _key("userErrors")},
    "BulkOperationCancelPayload": {"bulkOperation": _key("bulkOperation"), "userErrors": _key("userErrors")},
    "BulkOperationUserError": {"code": _key("code"), "field": _key("field"), "message": _key("message")},
    "UserError": {"field": _key("field"), "message": _key("message")},
    "Customer": {"id": _identity("Customer"), "legacyResourceId": _legacy()},
    "MoneyBag": {"shopMoney": _key("shopMoney"), "presentmentMoney": _key("presentmentMoney")},
    "MoneyV2": {"amount": _key("amount"), "currencyCode": _key("currencyCode")},
    "LineItem": {
        "id": _identity("LineItem"),
        **{name: _key(name) for name in ("sku", "title", "quantity", "currentQuantity")},
        "originalUnitPriceSet": _money("unitPrice"),
        "originalTotalSet": lambda line, _, __: _bag(line["quantity"] * Decimal(line["unitPrice"]), line["currency"]),
        "discountAllocations": lambda line, _, __: [line] if Decimal(line["discount"]) else [],
        "taxLines": lambda line, _, __: [line] if Decimal(line["tax"]) else [],
        "product": _reference("products", "productId"),
        "variant": _reference("variants", "variantId"),
    },
    "DiscountAllocation": {"allocatedAmountSet": _money("discount")},
    "TaxLine": {
        "priceSet": _money("tax"),
        "title": lambda _, __, ___: "Sales tax",
    },
    "Refund": {
        "id": _identity("Refund"),
        "legacyResourceId": _legacy(),
        "createdAt": _key("createdAt"),
        "updatedAt": _key("createdAt"),
        "note": _key("note"),
        "order": _key("order"),
        "totalRefundedSet": lambda refund, _, __: _bag(_refunded(refund), refund["order"]["currencyCode"]),
        "refundLineItems": lambda refund, args, _: _nested(_refund_lines(refund), args),
        "refundShippingLines": lambda refund, args, _: _nested(_shipping_lines(refund), args),
    },
    "RefundLineItem": {
        "id": _identity("RefundLineItem"),
        "quantity": _key("quantity"),
        "lineItem": lambda line, _, __: {**line["lineItem"], "currency": line["currency"]},
        "subtotalSet": _money("subtotal"),
        "totalTaxSet": _money("tax"),
    },
    "RefundShippingLine": {
        "id": _identity("RefundShippingLine"),
        "subtotalAmountSet": lambda refund, _, __: _bag(Decimal(refund["shipping"]), refund["order"]["currencyCode"]),
        "taxAmountSet": lambda refund, _, __: _bag(Decimal(0), refund["order"]["currencyCode"]),
    },
    "Product": {
        "id": _identity("Product"),
        "legacyResourceId": _legacy(),
        **{name: _key(name) for name in ("title", "vendor", "productType", "status", "createdAt", "updatedAt")},
        "variants": _variants,
    },
    "ProductVariant": {
        "id": _identity("ProductVariant"),
        "legacyResourceId": _legacy(),
        **{name: _key(name) for name in ("sku", "title", "price", "updatedAt")},
        "createdAt": _key("createdAt"),
        "inventoryItem": lambda variant, _, __: variant,
        "product": _reference("products", "productId"),
    },
    "InventoryItem": {
        "id": _identity("InventoryItem", "inventoryItemId"),
        "legacyResourceId": _legacy("inventoryItemId"),
        "sku": _key("sku"),
        "createdAt": _key("createdAt"),
        "updatedAt": _key("updatedAt"),
        "unitCost": lambda item, _, __: {"amount": item["cost"], "currencyCode": "USD"} if item["cost"] else None,
    },
    "Location": {
        "id": _identity("Location"),
        "legacyResourceId": _legacy(),
        "name": _key("name"),
        "inventoryLevels": _levels,
    },
    "InventoryLevel": {
        "id": _identity("InventoryLevel", "inventoryItemId"),
        "updatedAt": _key("updatedAt"),
        "item": _level_item,
        "location": lambda _, __, ___: LOCATION,
        "quantities": _quantities,
    },
    "InventoryQuantity": {"name": _key("name"), "quantity": _key("quantity")},
}
for _kind in (
    "BulkOperation",
    "Order",
    "LineItem",
    "RefundLineItem",
    "RefundShippingLine",
    "InventoryItem",
    "Product",
    "ProductVariant",
    "Location",
    "InventoryLevel",
):
    FIELDS[f"{_kind}Connection"] = FIELDS[f"{_kind}Edge"] = _CONNECTION
