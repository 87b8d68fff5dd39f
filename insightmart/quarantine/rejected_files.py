"""Files that are in quarantine as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingestion.loading.rejects import CURRENT_REJECTS, RECENT_REJECTS
from ingestion.warehouse import Warehouse, bind
from insightmart.quarantine.tables import REJECTS


@dataclass(frozen=True)
class QuarantinedFile:
    """A file that was not trusted as a whole; its original is kept at ``original_path``."""

    entity: str
    file_name: str
    rule: str
    reason: str
    rejected_at: datetime | None
    original_path: str | None


def quarantined_files(
    warehouse: Warehouse,
    existing: set[str],
    *,
    entity: str | None = None,
    rule: str | None = None,
    since: datetime | None = None,
) -> list[QuarantinedFile]:
    """Files that are in quarantine as a whole, newest first; same filters as ``rule_counts``."""
    if not existing >= REJECTS:
        return []
    filters = {"entity = :entity": entity, "rule_id = :rule": rule}
    chosen = [condition for condition, value in filters.items() if value is not None]
    rows = warehouse.rows(
        *bind(
            "SELECT entity, file_name, rule_id, reason, rejected_at, original_path"
            f" FROM ({RECENT_REJECTS if since else CURRENT_REJECTS}) AS rejects"
            f" WHERE {' AND '.join(['is_whole_file', *chosen])} ORDER BY rejected_at DESC, file_name",
            entity=entity,
            rule=rule,
            since=since,
        )
    )
    return [QuarantinedFile(*row) for row in rows]
