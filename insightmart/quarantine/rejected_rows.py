"""The rejected rows themselves, with all their columns or as the source sent them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.quarantine.tables import REJECTS, WITH_STORE


def quarantined_rows(
    warehouse: Warehouse,
    existing: set[str],
    entity: str,
    rule: str | None,
    limit: int,
    since: datetime | None = None,
    store_id: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of one quarantine table with all their columns, newest event first.

    Args:
        warehouse: open connection.
        existing: its tables.
        entity: the table.
        rule: only rows that break this one.
        limit: at most so many.
        since: only rows whose event is at or after this UTC instant.
        store_id: only rows of this store.

    Raises:
        InsightMartError: the table does not exist yet, or its rows name no store.
    """
    if f"quarantine.{entity}" not in existing:
        raise InsightMartError(f"quarantine.{entity} does not exist yet", "Run `insightmart cycle` first")
    if store_id is not None and entity not in WITH_STORE:
        raise InsightMartError(f"rows of {entity} name no store", f"Those of {', '.join(sorted(WITH_STORE))} do")
    filters: dict[str, Any] = {
        "', ' || reasons || ', ' LIKE '%, ' || ? || ', %'": rule,
        "event_at >= CAST(? AS TIMESTAMP_NTZ)": since,
        "store_id = ?": store_id,
    }
    wanted = {condition: value for condition, value in filters.items() if value is not None}
    return warehouse.records(
        f"SELECT * FROM quarantine.{entity} WHERE {' AND '.join(['1 = 1', *wanted])}"
        " ORDER BY event_at DESC, raw_load_id LIMIT ?",
        [*wanted.values(), limit],
    )


def rejected_texts(
    warehouse: Warehouse,
    existing: set[str],
    entity: str,
    rule: str | None,
    limit: int,
    since: datetime | None = None,
    store_id: int | None = None,
) -> list[dict[str, Any]]:
    """Records of an entity that could not be typed, as the source sent them, newest first.

    The arguments are those of ``quarantined_rows``; ``since`` asks when a record was rejected, ``store_id`` of whose
    file it is a line.
    """
    if not existing >= REJECTS:
        return []
    filters: dict[str, Any] = {
        "rule_id = ?": rule,
        "rejected_at >= CAST(? AS TIMESTAMP_NTZ)": since,
        "file_name IN (SELECT file_name FROM ops.files WHERE store_id = ?)": store_id,
    }
    chosen = {condition: value for condition, value in filters.items() if value is not None}
    wanted, params = "".join(f" AND {condition}" for condition in chosen), [entity, *chosen.values()]
    return warehouse.records(
        "SELECT rejected_at, rule_id, column_name, reason, raw_text, file_name, file_line, raw_load_id"
        f" FROM ({CURRENT_REJECTS}) AS rejects WHERE NOT is_whole_file AND entity = ? {wanted}"
        " ORDER BY rejected_at DESC, file_name, file_line LIMIT ?",
        [*params, limit],
    )
