"""The rejected rows themselves, with all their columns or as the source sent them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.quarantine.tables import REJECTS, WITH_STORE


@dataclass(frozen=True)
class Asked:
    """Which rejected rows somebody wants to see.

    Attributes:
        entity: their table, for example ``oltp_orders``.
        rule: only those that break this one.
        since: only those whose event is at or after this UTC instant; of what was never typed, that were rejected then.
        store_id: only those of this store; of what was never typed, lines of its files.
        limit: at most so many.
    """

    entity: str
    rule: str | None = None
    since: datetime | None = None
    store_id: int | None = None
    limit: int = 20


def quarantined_rows(warehouse: Warehouse, existing: set[str], asked: Asked) -> list[dict[str, Any]]:
    """Rows of one quarantine table with all their columns, newest event first.

    Raises:
        InsightMartError: the table does not exist yet, or its rows name no store.
    """
    entity = asked.entity
    if f"quarantine.{entity}" not in existing:
        raise InsightMartError(f"quarantine.{entity} does not exist yet", "Run `insightmart cycle` first")
    if asked.store_id is not None and entity not in WITH_STORE:
        raise InsightMartError(f"rows of {entity} name no store", f"Those of {', '.join(sorted(WITH_STORE))} do")
    filters: dict[str, Any] = {
        "', ' || reasons || ', ' LIKE '%, ' || ? || ', %'": asked.rule,
        "event_at >= CAST(? AS TIMESTAMP_NTZ)": asked.since,
        "store_id = ?": asked.store_id,
    }
    wanted = {condition: value for condition, value in filters.items() if value is not None}
    return warehouse.records(
        f"SELECT * FROM quarantine.{entity} WHERE {' AND '.join(['1 = 1', *wanted])}"
        " ORDER BY event_at DESC, raw_load_id LIMIT ?",
        [*wanted.values(), asked.limit],
    )


def rejected_texts(warehouse: Warehouse, existing: set[str], asked: Asked) -> list[dict[str, Any]]:
    """Records of an entity that could not be typed, as the source sent them, newest first."""
    if not existing >= REJECTS:
        return []
    filters: dict[str, Any] = {
        "rule_id = ?": asked.rule,
        "rejected_at >= CAST(? AS TIMESTAMP_NTZ)": asked.since,
        "file_name IN (SELECT file_name FROM ops.files WHERE store_id = ?)": asked.store_id,
    }
    chosen = {condition: value for condition, value in filters.items() if value is not None}
    wanted, params = "".join(f" AND {condition}" for condition in chosen), [asked.entity, *chosen.values()]
    return warehouse.records(
        "SELECT rejected_at, rule_id, column_name, reason, raw_text, file_name, file_line, raw_load_id"
        f" FROM ({CURRENT_REJECTS}) AS rejects WHERE NOT is_whole_file AND entity = ? {wanted}"
        " ORDER BY rejected_at DESC, file_name, file_line LIMIT ?",
        [*params, asked.limit],
    )
