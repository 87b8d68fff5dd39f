"""What other inventory items hold of a SKU: it is a label, and Shopify lets several items carry the same one.

Shopify counts the items that share their SKU (``duplicateSkuCount``), so that only those are looked into; what the
others hold is asked of the shop as it stands now. So the cost follows what changed, and an item that was deleted, as
when a product is made anew, counts no more. Where another item changes between a change and its reading, the earlier
change already has its new count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ingestion.loading.context import IngestContext
from ingestion.shopify import queries
from ingestion.shopify.client import ShopifyClient
from ingestion.shopify.tables.shapes import Record

SKUS_AT_ONCE = 50  # of one search; a page of 250 items is 35 points in the simulator, one of levels 36


class SharedSkus:
    """The items of shared SKUs with their levels at one location; each SKU is asked for once.

    Args:
        context: the run.
        client: the shop.
        location: id of the location.
    """

    def __init__(self, context: IngestContext, client: ShopifyClient, location: str) -> None:
        self.context = context
        self.client = client
        self.location = location
        self._levels: dict[str, dict[str, Record | None]] = {}  # by SKU and id of the item; None: it has none here

    def completed(self, levels: Sequence[Record]) -> list[Record]:
        """The levels, each with ``others``: the levels of the other items with its SKU; None where it shares none."""
        shared = [_shared_sku(level) for level in levels]
        self._ask(sku for sku in shared if sku is not None)
        completed = [level | {"others": self._others(level, sku)} for level, sku in zip(levels, shared, strict=True)]
        alone = [sku for sku in shared if sku is not None and len(self._levels[sku]) < 2]
        if alone:
            text = f"Shopify counts other items with {len(alone):,} SKUs and finds none, {alone[0]!r} among them"
            self.context.progress(f"shopify inventory: {text}; the levels count as they are")
        return completed

    def _others(self, level: Record, sku: str | None) -> list[Record] | None:
        if sku is None:
            return None
        own = level["item"]["id"]
        return [other for item, other in self._levels[sku].items() if item != own and other is not None]

    def _ask(self, skus: Iterable[str]) -> None:
        new = list(dict.fromkeys(sku for sku in skus if sku not in self._levels))
        for start in range(0, len(new), SKUS_AT_ONCE):
            asked = new[start : start + SKUS_AT_ONCE]
            self._levels.update((sku, {}) for sku in asked)
            variables = {"location": self.location, "query": " OR ".join(map(term, asked))}
            for data in self.client.pages(queries.INVENTORY_ITEMS, variables, lambda data: data["inventoryItems"]):
                for item in data["inventoryItems"]["nodes"]:
                    sku = _label(item["sku"])
                    if sku in asked:  # the search finds words, in any case: also SKUs that are others
                        self._levels[sku][item["id"]] = item["inventoryLevel"]


def term(sku: str) -> str:
    """Shopify's search text for a SKU: in quotes, in which only the quotes themselves and the backslash mean more."""
    escaped = sku.replace("\\", "\\\\").replace('"', '\\"')
    return f'sku:"{escaped}"'


def _shared_sku(level: Record) -> str | None:
    """The SKU of a level that other items carry, too; None where it has none, or has it for itself."""
    item = level.get("item") or {}
    return _label(item.get("sku")) if item.get("duplicateSkuCount") else None


def _label(sku: str | None) -> str | None:
    """A SKU as the models compare it: without blanks around it; None for none."""
    return (sku or "").strip(" ") or None
