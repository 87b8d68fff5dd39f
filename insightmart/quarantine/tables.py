"""Where rejected rows are kept."""

from __future__ import annotations

from ingestion.contracts import ENTITIES

TABLES = tuple(item.table for item in ENTITIES)  # of the schema quarantine: rows that were typed and break a rule
REJECTS = frozenset({"raw.rejects", "ops.files", "ops.replays"})  # what CURRENT_REJECTS reads: what was never typed
# Tables of quarantine whose rows name their store.
WITH_STORE = frozenset(
    f"{source}_{entity}"
    for source, entities in {
        "oltp": ("orders", "refunds"),
        "shopify": ("inventory", "orders", "refunds"),
        "stores": ("inventory", "reference", "tills"),
    }.items()
    for entity in entities
)
