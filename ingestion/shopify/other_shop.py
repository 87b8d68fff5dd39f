"""Whether the shop is the one that was read before (``ingestion.loading.same_source``)."""

from __future__ import annotations

from ingestion.contracts import entity
from ingestion.loading.context import IngestContext
from ingestion.loading.same_source import another, newest_known
from ingestion.shopify.client import SOURCE, ShopifyClient
from ingestion.shopify.deleted_orders import are_gone

ORDERS = entity(SOURCE, "orders")
ASKED_FOR = 25  # a point each


def refuse_another_shop(context: IngestContext, client: ShopifyClient) -> None:
    """Refuse to read where none of the orders is that were loaded last.

    Raises:
        AnotherSourceError: it is another shop, or an older copy.
        SourceError: it cannot be asked.
    """
    known = [order_id for (order_id,) in newest_known(context, ORDERS, ["order_id"], at_most=ASKED_FOR)]
    if known and all(are_gone(client, known)):
        raise another(context, ORDERS, "shop", "SHOPIFY_URL and SHOPIFY_TOKEN", len(known))
