"""Files of the stores: what came in a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from ingestion.warehouse import Warehouse

DAY = timedelta(days=1)


def files_seen(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[tuple[str, str, int]]:
    """Store files seen in the last 24 hours: (entity, status, count)."""
    if "ops.files" not in existing:
        return []
    return warehouse.rows(
        "SELECT COALESCE(entity, 'unknown'), status, COUNT(*) FROM ops.files WHERE seen_at > ? AND seen_at <= ?"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [as_of - DAY, as_of],
    )
