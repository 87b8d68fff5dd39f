"""How the shop's documents look through the Admin API: for every type of the schema, how each field is read.

A field is a function of the object, its arguments and the request. Objects are the shop's documents, or small tuples
of them where a field needs to know its parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.shopify.agreements import TYPES, agreements, charged
from sandbox.shopify.amounts import (
    bag,
    current_discounts,
    current_subtotal,
    discounts,
    gross,
    line_discounts,
    of_order,
    refund_lines,
    refunded,
    refunded_lines,
    refunded_shipping,
    shipping_lines,
    tax,
    tips,
    total,
)
from sandbox.shopify.connections import Stored, nested_connection, search_conditions, stored_connection
from sandbox.shopify.request import ApiError, Field, Request, gid, number_of
from sandbox.shopify.sales_report import answer
from sandbox.shopify.shop import LOCATION, Document

COUNT_CAP = 10_000
SCOPES = (
    "read_orders",
    "read_all_orders",
    "read_products",
    "read_inventory",
    "read_locations",
    "read_customers",
    "read_reports",
)


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
    return lambda item, _, __: bag(item[name], item["currency"])


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


def _refund(identity: str, request: Request) -> Document | None:
    order = request.shop.order_of_refund(number_of(identity))
    if not order:
        return None
    return next(item for item in _refunds(order) if item["id"] == number_of(identity))


def _refunds(order: Document) -> list[Document]:
    return [{**refund, "order": order} for refund in order["refunds"]]


def _lines(order: Document) -> list[Document]:
    return [{**line, "currency": order["currencyCode"]} for line in order["lineItems"]]


def _count(table: str) -> Field:
    def read(_: Any, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
        found = request.shop.count(table, search_conditions(table, arguments, request))
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
    return nested_connection(operations[::-1] if arguments["reverse"] else operations, arguments)


def _levels(location: Document, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
    return stored_connection("levels", arguments, request, (("location_id", "=", location["id"]),))


def _level_item(level: Document, _: Mapping[str, Any], request: Request) -> Stored:
    number = level["inventoryItemId"]
    return Stored({"inventoryItemId": number, "sku": level["sku"]}, "inventory_items", number, request.shop)


def _duplicates(item: Document, _: Mapping[str, Any], request: Request) -> int:
    """How many other items have the SKU of an item, exactly; none has it where it has none."""
    others = [("sku", "=", item["sku"]), ("id", "<>", item["inventoryItemId"])]
    return request.shop.count("inventory_items", others) if item["sku"] else 0


def _item_level(item: Document, arguments: Mapping[str, Any], request: Request) -> Document | None:
    """The level of an item at a location; null where it has none there."""
    at_location = number_of(arguments["locationId"]) == LOCATION["id"]
    return request.shop.one("levels", item["inventoryItemId"]) if at_location else None


def _variants(product: Document, arguments: Mapping[str, Any], _: Request) -> dict[str, Any]:
    more = {"productId": product["id"], "createdAt": product["createdAt"]}
    return nested_connection([{**variant, **more} for variant in product["variants"]], arguments)


def _quantities(level: Document, arguments: Mapping[str, Any], _: Request) -> list[dict[str, Any]]:
    known = {"available": level["available"], "on_hand": level["onHand"], "incoming": level["incoming"]}
    return [{"name": name, "quantity": known.get(name, 0)} for name in arguments["names"]]


def _sales_report(_: Any, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
    if "read_reports" not in _granted(request) or "reports_denied" in request.faults:
        raise ApiError("Access denied for shopifyqlQuery field. Required access: `read_reports`", "ACCESS_DENIED")
    found = answer(request.shop, arguments["query"], _SHOP["ianaTimezone"])
    return {**found, **request.faults.get("report_says", {})}


def _scopes(_: Any, __: Mapping[str, Any], request: Request) -> list[dict[str, str]]:
    return [{"handle": scope, "description": scope.replace("_", " ")} for scope in _granted(request)]


def _granted(request: Request) -> list[str]:
    lost = set(request.faults.get("lost_scopes", {}).get("handles", ()))
    lost |= {"read_all_orders"} if "missing_scope" in request.faults else set()
    return [scope for scope in SCOPES if scope not in lost]


_SHOP: dict[str, Any] = {
    "id": 1,
    "name": "InsightMart Online",
    "currencyCode": "USD",
    "ianaTimezone": "America/New_York",
}
_CONNECTION: dict[str, Field] = {name: _key(name) for name in ("nodes", "edges", "pageInfo", "cursor", "node")}
_INFO = ("endCursor", "hasNextPage", "hasPreviousPage", "startCursor")

FIELDS: dict[str, dict[str, Field]] = {
    "QueryRoot": {
        "bulkOperation": lambda _, args, request: request.bulk.one(args["id"]),
        "bulkOperations": _bulk_operations,
        "currentAppInstallation": lambda _, __, ___: {"id": 1},
        "currentBulkOperation": lambda _, args, request: request.bulk.current() if args["type"] == "QUERY" else None,
        "inventoryItems": lambda _, args, request: stored_connection("inventory_items", args, request),
        "productVariants": lambda _, args, request: stored_connection("variants", args, request),
        "shop": lambda _, __, ___: _SHOP,
        "shopifyqlQuery": _sales_report,
        "location": lambda _, args, ___: LOCATION if not args.get("id") or number_of(args["id"]) == 1 else None,
        "locations": lambda _, args, ___: nested_connection([LOCATION], args),
        "order": lambda _, args, request: request.shop.one("orders", number_of(args["id"])),
        "orders": lambda _, args, request: stored_connection("orders", args, request),
        "ordersCount": _count("orders"),
        "productsCount": _count("products"),
        "product": lambda _, args, request: request.shop.one("products", number_of(args["id"])),
        "products": lambda _, args, request: stored_connection("products", args, request),
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
    "ShopifyqlQueryResponse": {name: _key(name) for name in ("parseErrors", "tableData")},
    "ShopifyqlTableData": {name: _key(name) for name in ("columns", "rows")},
    "ShopifyqlTableDataColumn": {name: _key(name) for name in ("name", "dataType")},
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
        "taxesIncluded": lambda order, _, __: order.get("taxesIncluded", False),
        "sourceName": lambda order, _, __: order.get("sourceName", "web"),
        "retailLocation": lambda order, _, __: order.get("retailLocation"),
        "agreements": lambda order, args, _: nested_connection(agreements(order), args),
        "totalCashRoundingAdjustment": lambda order, _, __: order,
        "totalTipReceivedSet": of_order(tips),
        "originalTotalPriceSet": of_order(lambda order: charged(order, "ORDER")),
        "customer": lambda order, _, __: {"id": order["customerId"]} if order["customerId"] else None,
        "subtotalPriceSet": of_order(lambda order: gross(order) - line_discounts(order)),
        "totalDiscountsSet": of_order(discounts),
        "totalTaxSet": of_order(tax),
        "totalShippingPriceSet": of_order(lambda order: Decimal(order["shipping"])),
        "totalPriceSet": of_order(total),
        "totalRefundedSet": of_order(lambda order: sum(map(refunded, order["refunds"]), Decimal(0))),
        "totalRefundedShippingSet": of_order(refunded_shipping),
        "currentSubtotalPriceSet": of_order(current_subtotal),
        "currentTotalDiscountsSet": of_order(current_discounts),
        "currentTotalTaxSet": of_order(lambda order: tax(order) - refunded_lines(order, "tax")),
        "currentShippingPriceSet": of_order(lambda order: Decimal(order["shipping"]) - refunded_shipping(order)),
        "currentTotalPriceSet": of_order(charged),
        "lineItems": lambda order, args, _: nested_connection(_lines(order), args),
        "refunds": lambda order, args, _: _refunds(order)[: args.get("first")],
    },
    "CashRoundingAdjustment": {
        "paymentSet": lambda order, _, __: bag(order.get("cashRounding", "0.00"), order["currencyCode"]),
        "refundSet": lambda order, _, __: bag("0.00", order["currencyCode"]),
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
        "originalTotalSet": lambda line, _, __: bag(line["quantity"] * Decimal(line["unitPrice"]), line["currency"]),
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
        "totalRefundedSet": lambda refund, _, __: bag(refunded(refund), refund["order"]["currencyCode"]),
        "refundLineItems": lambda refund, args, _: nested_connection(refund_lines(refund), args),
        "refundShippingLines": lambda refund, args, _: nested_connection(shipping_lines(refund), args),
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
        "subtotalAmountSet": lambda refund, _, __: bag(Decimal(refund["shipping"]), refund["order"]["currencyCode"]),
        "taxAmountSet": lambda refund, _, __: bag(Decimal(0), refund["order"]["currencyCode"]),
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
        "duplicateSkuCount": _duplicates,
        "inventoryLevel": _item_level,
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
_AGREEMENT: dict[str, Field] = {
    "happenedAt": _key("happenedAt"),
    "reason": _key("reason"),
    "refund": _key("refund"),
    "sales": lambda agreement, args, _: nested_connection(agreement["sales"], args),
}
_SALE: dict[str, Field] = {
    **{name: _key(name) for name in ("actionType", "lineType", "quantity")},
    "lineItem": lambda sale, _, __: {**sale["lineItem"], "currency": sale["currency"]},
    "totalAmount": lambda sale, _, __: bag(sale["total"], sale["currency"]),
    "totalTaxAmount": lambda sale, _, __: bag(sale["tax"], sale["currency"]),
    "totalDiscountAmountBeforeTaxes": lambda sale, _, __: bag(sale["discountBefore"], sale["currency"]),
    "totalDiscountAmountAfterTaxes": lambda sale, _, __: bag(sale["discountAfter"], sale["currency"]),
}
for _kind in ("OrderAgreement", "OrderEditAgreement", "RefundAgreement", "ReturnAgreement"):
    FIELDS[_kind] = {"id": _identity(_kind), **_AGREEMENT}
for _kind in TYPES.values():
    FIELDS[_kind] = {"id": _identity(_kind), **_SALE}
for _kind in (
    "SalesAgreement",
    "Sale",
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
