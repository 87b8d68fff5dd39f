"""Products with their variants, as ``products``: a row a variant."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts import MONEY, TEXT
from ingestion.shopify.tables.scalars import exact, ids, instants, part, raw_table
from ingestion.shopify.tables.shapes import Record, connection_of, record_of, typed

_VARIANT = record_of(
    id=TEXT,
    sku_=TEXT,
    title=TEXT,
    price=TEXT,
    updatedAt=TEXT,
    inventoryItem=record_of(id=TEXT, unitCost_=record_of(amount=TEXT)),
)
_PRODUCT = record_of(
    id=TEXT,
    title=TEXT,
    vendor=TEXT,
    productType=TEXT,
    status=TEXT,
    updatedAt=TEXT,
    variants=connection_of(_VARIANT),
)


def flatten_products(products: Sequence[Record]) -> dict[str, pa.Table]:
    """Products with all their variants as ``products``: a row a variant. Raises UnfitError."""
    rows = typed(products, _PRODUCT)
    variants = part(rows, "variants", "nodes")
    of_product, variants = variants.value_parent_indices(), variants.flatten()
    changed, variant_changed = instants(part(rows, "updatedAt")), instants(part(variants, "updatedAt"))
    columns = {
        "variant_id": ids(part(variants, "id"), "ProductVariant"),
        "product_id": ids(part(rows, "id"), "Product").take(of_product),
        "inventory_item_id": ids(part(variants, "inventoryItem", "id"), "InventoryItem"),
        "sku": part(variants, "sku"),
        "title": part(rows, "title").take(of_product),
        "variant_title": part(variants, "title"),
        "vendor": part(rows, "vendor").take(of_product),
        "product_type": part(rows, "productType").take(of_product),
        "status": part(rows, "status").take(of_product),
        "price": exact(part(variants, "price"), MONEY),
        "unit_cost": exact(part(variants, "inventoryItem", "unitCost", "amount"), MONEY),
        "updated_at": pc.max_element_wise(changed.take(of_product), variant_changed),
    }
    return {"products": raw_table("products", columns)}
