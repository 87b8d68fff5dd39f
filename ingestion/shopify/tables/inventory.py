"""Inventory levels, as ``inventory``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import INT, TEXT
from ingestion.shopify.tables.scalars import SUMMED, exact, ids, instants, part, raw_table, sums
from ingestion.shopify.tables.shapes import WHOLE, Record, UnfitError, list_of, record_of, typed

_QUANTITIES = list_of(record_of(name=TEXT, quantity=WHOLE))
_LEVEL = record_of(
    updatedAt=TEXT,
    location=TEXT,
    item=record_of(id=TEXT, sku_=TEXT),
    quantities=_QUANTITIES,
    others_=list_of(record_of(quantities=_QUANTITIES)),
)


def flatten_inventory(levels: Sequence[Record]) -> dict[str, pa.Table]:
    """Inventory levels, each with the id of its ``location``, as ``inventory``. Raises UnfitError.

    ``others`` of a level are those of the other items with its SKU; with them the level says what its SKU comes to.
    """
    rows = typed(levels, _LEVEL)
    columns = {
        "inventory_item_id": ids(part(rows, "item", "id"), "InventoryItem"),
        "location_id": ids(part(rows, "location"), "Location"),
        "sku": part(rows, "item", "sku"),
        "available": exact(_quantity(rows, "available"), INT),
        "on_hand": exact(_quantity(rows, "on_hand"), INT),
        "on_order": exact(_quantity(rows, "incoming"), INT),
        "sku_on_hand": _of_sku(rows, "on_hand"),
        "sku_on_order": _of_sku(rows, "incoming"),
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
    return part(said, "quantity").filter(named)


def _of_sku(rows: pa.StructArray, name: str) -> pa.Array:
    """The quantity of this name of each level and its others together; null where there are none."""
    others = part(rows, "others")
    owners, own = others.value_parent_indices().cast(INT), pa.array(np.arange(len(rows)), INT)
    held = [_quantity(rows, name), _quantity(others.flatten(), name)]
    together = sums(pa.concat_arrays(held).cast(SUMMED), pa.concat_arrays([own, owners]), len(rows))
    return exact(pc.if_else(pc.is_in(own, value_set=owners), together, None), INT)
