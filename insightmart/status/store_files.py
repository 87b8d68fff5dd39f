"""Files of the stores: what came in a day, and which open stores have not sent all of theirs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestion.warehouse import Warehouse
from insightmart.certification.observations import watermarks
from insightmart.certification.verdict import whole_hour

DAY = timedelta(days=1)


@dataclass(frozen=True)
class MissingStore:
    """An open store whose hourly files have not all come."""

    store_id: int
    store_name: str
    missing_hours: int
    expected_hours: int
    last_hour: datetime | None


def files_seen(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[tuple[str, str, int]]:
    """Store files seen in the last 24 hours: (entity, status, count)."""
    if "ops.files" not in existing:
        return []
    return warehouse.rows(
        "SELECT COALESCE(entity, 'unknown'), status, COUNT(*) FROM ops.files WHERE seen_at > ? AND seen_at <= ?"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        [as_of - DAY, as_of],
    )


def missing_stores(warehouse: Warehouse, existing: set[str], history_start: datetime) -> list[MissingStore]:
    """Stores without all files of the last 24 hours that are due and in which they were open, most missing first."""
    from ingestion.stores.missing import expected_files, is_in, missing_files  # imports dlt, which takes seconds

    due = watermarks(warehouse, existing).get("stores.inventory")
    if due is None or not {"ops.files", "raw.stores_reference", "certified.dim_stores"} <= existing:
        return []
    end = whole_hour(due)
    start = max(end - DAY, history_start)
    expected = Counter(store_id for _, store_id in expected_files(warehouse, start, end))
    missing = Counter(store_id for _, store_id in missing_files(warehouse, start, end))
    rows = warehouse.rows(
        f"""
        SELECT s.store_id, MAX(s.store_name), MAX(f.file_hour)
        FROM certified.dim_stores AS s
        LEFT JOIN ops.files AS f
            ON f.store_id = s.store_id AND f.entity = 'inventory' AND {is_in("f")}
            AND f.file_hour >= ? AND f.file_hour < ?
        WHERE s.is_current
        GROUP BY s.store_id
        """,
        [start, end],
    )
    known = {store_id: (name or "", last_hour) for store_id, name, last_hour in rows}
    stores = [
        MissingStore(store_id, name, hours, expected[store_id], last_hour)
        for store_id, hours in missing.items()
        for name, last_hour in [known.get(store_id, ("", None))]
    ]
    return sorted(stores, key=lambda store: (-store.missing_hours, store.store_id))
