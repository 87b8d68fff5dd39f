"""Which row a reject has become, once its record is mended at the source (``ingestion.loading.rejects``)."""

from __future__ import annotations

from ingestion.contracts import Entity


def is_same_record(item: Entity) -> str:
    """SQL for whether the text of reject ``c`` is of the record of row ``n``: its key comes first, all in quotes.

    What stands before the first comma is compared by itself, so that both engines join by hash.
    """
    parts = (f"REPLACE(CAST(n.{name} AS VARCHAR), '\"', '\"\"')" for name in item.key)
    beginning = "'\"' || " + " || '\",\"' || ".join(parts) + " || '\",'"
    first = "SPLIT_PART({}, '\",', 1)"
    return (
        f"{first.format('c.raw_text')} = {first.format(beginning)}"
        f" AND LEFT(c.raw_text, LENGTH({beginning})) = {beginning}"
    )
