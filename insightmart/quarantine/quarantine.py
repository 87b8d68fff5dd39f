"""Rejected rows and files, with their reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from ingestion.contracts import ENTITIES
from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.definitions.files import RULES
from insightmart.definitions.rules import Rule, read_rules
from insightmart.errors import InsightMartError
from insightmart.settings import PROJECT

TABLES = tuple(item.table for item in ENTITIES)
SEPARATOR = ", "  # of the rule ids of a row
_HELD = {"raw.rejects", "ops.files", "ops.replays"}  # what CURRENT_REJECTS reads


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


@dataclass(frozen=True)
class QuarantinedFile:
    """A file that was not trusted as a whole; its original is kept at ``original_path``."""

    entity: str
    file_name: str
    rule: str
    reason: str
    rejected_at: datetime | None
    original_path: str | None


@cache
def rules() -> Mapping[tuple[str, str], Rule]:
    """The rules by (entity, rule id); an entity that ends in ``*`` stands for all of its source."""
    return {(rule.entity, rule.rule_id): rule for rule in read_rules(PROJECT / RULES)}


def rule_of(entity: str, rule_id: str) -> Rule:
    """The rule, or one without a meaning when nobody described it."""
    source = entity.split("_", 1)[0]
    known = rules()
    return known.get((entity, rule_id)) or known.get((f"{source}_*", rule_id)) or Rule(rule_id, entity, "", "", "")


# --- counts ------------------------------------------------------------------------------------------------------


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
    after, params = ("event_at >= ?", [since]) if since else ("1 = 1", [])
    views = [table for table in TABLES if f"quarantine.{table}" in existing]
    parts = [
        f"SELECT '{table}' AS entity, reasons, COUNT(*) AS row_count, MIN(event_at) AS oldest, MAX(event_at) AS newest"
        f" FROM quarantine.{table} WHERE {after} GROUP BY reasons"
        for table in views
    ]
    if existing >= _HELD:
        parts.append(
            f"SELECT entity, rule_id, COUNT(*), MIN(rejected_at), MAX(rejected_at) FROM ({CURRENT_REJECTS}) AS rejects"
            f" WHERE NOT is_whole_file AND {after.replace('event_at', 'rejected_at')} GROUP BY entity, rule_id"
        )
    if not parts:
        return []
    return warehouse.rows(" UNION ALL ".join(parts), params * len(parts))


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


def quarantined_files(
    warehouse: Warehouse,
    existing: set[str],
    *,
    entity: str | None = None,
    rule: str | None = None,
    since: datetime | None = None,
) -> list[QuarantinedFile]:
    """Files that are in quarantine as a whole, newest first; same filters as ``rule_counts``."""
    if not existing >= _HELD:
        return []
    filters = {"entity = ?": entity, "rule_id = ?": rule, "rejected_at >= ?": since}
    chosen = {condition: value for condition, value in filters.items() if value is not None}
    rows = warehouse.rows(
        "SELECT entity, file_name, rule_id, reason, rejected_at, original_path"
        f" FROM ({CURRENT_REJECTS}) AS rejects WHERE {' AND '.join(['is_whole_file', *chosen])}"
        " ORDER BY rejected_at DESC, file_name",
        list(chosen.values()),
    )
    return [QuarantinedFile(*row) for row in rows]


# --- rows --------------------------------------------------------------------------------------------------------


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
    if not existing >= _HELD:
        return []
    wanted, params = ("AND rule_id = ?", [entity, rule]) if rule else ("", [entity])
    return warehouse.records(
        "SELECT rejected_at, rule_id, column_name, reason, raw_text, file_name, file_line, raw_load_id"
        f" FROM ({CURRENT_REJECTS}) AS rejects WHERE NOT is_whole_file AND entity = ? {wanted}"
        " ORDER BY rejected_at DESC, file_name, file_line LIMIT ?",
        [*params, limit],
    )
