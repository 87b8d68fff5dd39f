"""Inventory levels, as ``inventory``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INT, TEXT
from ingestion.shopify.tables.scalars import exact, ids, instants, part, raw_table
from ingestion.shopify.tables.shapes import WHOLE, Record, UnfitError, list_of, record_of, typed

_LEVEL = record_of(
    updatedAt=TEXT,
    location=TEXT,
    item=record_of(id=TEXT, sku_=TEXT),
    quantities=list_of(record_of(name=TEXT, quantity=WHOLE)),
)


def flatten_inventory(levels: Sequence[Record]) -> dict[str, pa.Table]:
    """Inventory levels, each with the id of its ``location``, as ``inventory``. Raises UnfitError."""
    rows = typed(levels, _LEVEL)
    columns = {
        "inventory_item_id": ids(part(rows, "item", "id"), "InventoryItem"),
        "location_id": ids(part(rows, "location"), "Location"),
        "sku": part(rows, "item", "sku"),
        "available": _quantity(rows, "available"),
        "on_hand": _quantity(rows, "on_hand"),
        "on_order": _quantity(rows, "incoming"),
        "updated_at": instants(part(rows, "updatedAt")),
    }
    return {"inventory": raw_table("inventory", columns)}


def _quantity(rows: pa.StructArray, name: str) -> pa.Array:
    """The quantity of this name of each level; raises UnfitError where a level does not say it once."""
    lists = part(rows, "quantities")
    said, of_level = lists.flatten(), lists.value_parent_indices()
    named = pc.equal(part(said, "name"), name)
    owners = of_level.filter(named)
    if not np.array_equal(np.asarray(owners), np.arange(len(rows))):
        raise UnfitError(f"a level that does not say once how much is {name}")
    return exact(part(said, "quantity").filter(named), INT)
