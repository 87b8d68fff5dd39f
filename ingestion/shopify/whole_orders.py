"""What of an order does not fit its page, fetched by further queries from the same version of the order."""

from __future__ import annotations

from ingestion.loading.context import SourceError
from ingestion.shopify import queries
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.odd_answers import goes_on
from ingestion.shopify.tables.shapes import Record


class EditedError(Exception):
    """The order changed while its children were fetched."""


def complete(client: ShopifyClient, order: Record) -> None:
    """Put all lines, refunds and agreements into an order of a page, where there are more than the page had.

    Raises EditedError when the order has changed since it was read.
    """
    _complete_lines(client, order)
    _complete_refunds(client, order)
    _complete_agreements(client, order)


def _complete_lines(client: ShopifyClient, order: Record) -> None:
    """Replace the order's first page of lines by all of them, where there are more."""
    if not goes_on(order["lineItems"]):
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
            if goes_on(refund[connection]):
                refund[connection]["nodes"] = _refund_children(client, order, refund["id"], connection, document)


def _refund_children(
    client: ShopifyClient, order: Record, refund_id: str, connection: str, document: str
) -> list[Record]:
    found: list[Record] = []
    for data in client.pages(document, {"id": refund_id}, lambda data: data["refund"][connection]):
        _same_version(order, data["refund"] and data["refund"]["order"])
        found += data["refund"][connection]["nodes"]
    return found


def _complete_agreements(client: ShopifyClient, order: Record) -> None:
    """Replace the order's first page of agreements by all of them with all their sales, where there are more."""
    agreements = order["agreements"]
    if not goes_on(agreements) and not any(goes_on(agreement["sales"]) for agreement in agreements["nodes"]):
        return
    found: list[Record] = []
    before: str | None = None  # the cursor of the agreement before
    for data in client.pages(queries.ORDER_AGREEMENTS, {"id": order["id"]}, lambda data: data["order"]["agreements"]):
        _same_version(order, data["order"])
        for edge in data["order"]["agreements"]["edges"]:
            agreement = edge["node"]
            if goes_on(agreement["sales"]):
                agreement["sales"]["nodes"] = _all_sales(client, order, agreement, before)
            found.append(agreement)
            before = edge["cursor"]
    agreements["nodes"] = found


def _all_sales(client: ShopifyClient, order: Record, agreement: Record, before: str | None) -> list[Record]:
    sales: list[Record] = []
    variables = {"id": order["id"], "agreement": before}
    for data in client.pages(queries.AGREEMENT_SALES, variables, _sales_of_the_first):
        _same_version(order, data["order"])
        again = data["order"]["agreements"]["nodes"]
        if [one["id"] for one in again] != [agreement["id"]]:
            raise EditedError
        sales += again[0]["sales"]["nodes"]
    return sales


def _sales_of_the_first(data: Record) -> Record:
    sales: Record = data["order"]["agreements"]["nodes"][0]["sales"]
    return sales


def _same_version(order: Record, again: Record | None) -> None:
    if again is None or again["updatedAt"] != order["updatedAt"]:
        raise EditedError
