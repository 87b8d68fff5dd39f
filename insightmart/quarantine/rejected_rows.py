"""The rejected rows themselves, with all their columns or as the source sent them."""

from __future__ import annotations

from typing import Any

from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.quarantine.tables import REJECTS


def quarantined_rows(
    warehouse: Warehouse, existing: set[str], entity: str, rule: str | None, limit: int
) -> list[dict[str, Any]]:
    """Rows of one quarantine table with all their columns, newest event first.

    Raises:
        InsightMartError: the table does not exist yet.
    """
    if f"quarantine.{entity}" not in existing:
        raise InsightMartError(f"quarantine.{entity} does not exist yet", "Run `insightmart cycle` first")
    wanted, params = ("', ' || reasons || ', ' LIKE '%, ' || ? || ', %'", [rule]) if rule else ("1 = 1", [])
    return warehouse.records(
        f"SELECT * FROM quarantine.{entity} WHERE {wanted} ORDER BY event_at DESC, raw_load_id LIMIT ?",
        [*params, limit],
    )


def rejected_texts(
    warehouse: Warehouse, existing: set[str], entity: str, rule: str | None, limit: int
) -> list[dict[str, Any]]:
    """Records of an entity that could not be typed, as the source sent them, newest first."""
    if not existing >= REJECTS:
        return []
    wanted, params = ("AND rule_id = ?", [entity, rule]) if rule else ("", [entity])
    return warehouse.records(
        "SELECT rejected_at, rule_id, column_name, reason, raw_text, file_name, file_line, raw_load_id"
        f" FROM ({CURRENT_REJECTS}) AS rejects WHERE NOT is_whole_file AND entity = ? {wanted}"
        " ORDER BY rejected_at DESC, file_name, file_line LIMIT ?",
        [*params, limit],
    )
