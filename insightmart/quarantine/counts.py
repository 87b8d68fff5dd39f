"""How many rows are in quarantine, by entity and rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingestion.loading.rejects import CURRENT_REJECTS, RECENT_REJECTS
from ingestion.warehouse import Warehouse, bind
from insightmart.quarantine.meanings import rule_of
from insightmart.quarantine.tables import REJECTS, TABLES

SEPARATOR = ", "  # of the rule ids of a row


@dataclass(frozen=True)
class RuleCount:
    """How many rows of an entity break a rule now; the instants are of the oldest and newest of their events, UTC."""

    entity: str
    rule: str
    meaning: str
    severity: str
    owner: str
    rows: int
    oldest: datetime | None
    newest: datetime | None


def rule_counts(
    warehouse: Warehouse,
    existing: set[str],
    *,
    entity: str | None = None,
    rule: str | None = None,
    since: datetime | None = None,
) -> list[RuleCount]:
    """Rows in quarantine by entity and rule, most rows first. A row that breaks two rules counts for both.

    Args:
        warehouse: open connection.
        existing: tables of the warehouse (``existing_tables``).
        entity: only this quarantine table, for example ``oltp_orders``.
        rule: only this rule id.
        since: only rows whose event is at or after this UTC instant.
    """
    found: dict[tuple[str, str], list[tuple[int, Any, Any]]] = defaultdict(list)
    for name, reasons, rows, oldest, newest in _reason_counts(warehouse, existing, since):
        for rule_id in reasons.split(SEPARATOR):
            found[name, rule_id].append((rows, oldest, newest))
    counts = [_added_up(name, rule_id, parts) for (name, rule_id), parts in found.items()]
    wanted = [c for c in counts if (entity in (None, c.entity)) and (rule in (None, c.rule))]
    return sorted(wanted, key=lambda count: (-count.rows, count.entity, count.rule))


def _reason_counts(
    warehouse: Warehouse, existing: set[str], since: datetime | None
) -> Iterable[tuple[str, str, int, Any, Any]]:
    after = "event_at >= :since" if since else "1 = 1"
    views = [table for table in TABLES if f"quarantine.{table}" in existing]
    parts = [
        f"SELECT '{table}' AS entity, reasons, COUNT(*) AS row_count, MIN(event_at) AS oldest, MAX(event_at) AS newest"
        f" FROM quarantine.{table} WHERE {after} GROUP BY reasons"
        for table in views
    ]
    if existing >= REJECTS:
        parts.append(
            "SELECT entity, rule_id, COUNT(*), MIN(rejected_at), MAX(rejected_at)"
            f" FROM ({RECENT_REJECTS if since else CURRENT_REJECTS}) AS rejects"
            " WHERE NOT is_whole_file GROUP BY entity, rule_id"
        )
    if not parts:
        return []
    return warehouse.rows(*bind(" UNION ALL ".join(parts), since=since))


def _added_up(entity: str, rule_id: str, parts: Sequence[tuple[int, Any, Any]]) -> RuleCount:
    described = rule_of(entity, rule_id)
    oldest = [part[1] for part in parts if part[1] is not None]
    newest = [part[2] for part in parts if part[2] is not None]
    return RuleCount(
        entity,
        rule_id,
        described.meaning,
        described.severity,
        described.owner,
        sum(part[0] for part in parts),
        min(oldest, default=None),
        max(newest, default=None),
    )
