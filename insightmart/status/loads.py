"""Loads by source: how far every entity is known, and what its last load brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ingestion.contracts import ENTITIES
from ingestion.warehouse import Warehouse
from insightmart.certification.verdict import PartState
from insightmart.journal.reasons import EPOCH


def _last_loads_since(marks: Mapping[str, datetime]) -> datetime:
    """No last load of a source is older: none is in beyond the instant at which it was loaded last."""
    return min(marks.values(), default=EPOCH)


@dataclass(frozen=True)
class LoadState:
    """One entity of a source: how far it is known, and its last load. Instants are UTC."""

    source: str
    entity: str
    cadence: str
    covered_through: datetime | None
    loaded_at: datetime | None
    rows: int | None
    rejected_rows: int | None
    source_count: int | None
    seconds: Decimal | None
    rows_last_day: int
    behind: bool


def load_states(
    warehouse: Warehouse,
    existing: set[str],
    as_of: datetime,
    parts: Sequence[PartState],
    marks: Mapping[str, datetime],
) -> list[LoadState]:
    """Every entity of every source, in the order of the contracts; none before the first load."""
    if "ops.loads" not in existing:
        return []
    yesterday = as_of - timedelta(days=1)
    rows = warehouse.rows(
        'SELECT source, entity, loaded_at, "ROWS", rejected_rows, source_count, seconds,'
        ' SUM(CASE WHEN loaded_at > ? AND loaded_at <= ? THEN "ROWS" END) OVER (PARTITION BY source, entity)'
        " FROM ops.loads WHERE loaded_at >= ? AND status IN ('loaded', 'empty')"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY source, entity ORDER BY loaded_at DESC, started_at DESC) = 1",
        [yesterday, as_of, min(yesterday, _last_loads_since(marks))],
    )
    by_entity = {(row[0], row[1]): row[2:7] for row in rows}
    rows_last_day = {(row[0], row[1]): int(row[7] or 0) for row in rows}
    behind = {name for state in parts for name in state.behind}
    states = []
    for item in ENTITIES:
        key = (item.source, item.name)
        loaded_at, rows, rejected, counted, seconds = by_entity.get(key, (None, None, None, None, None))
        name = f"{item.source}.{item.name}"
        states.append(
            LoadState(
                item.source,
                item.name,
                item.cadence,
                marks.get(name),
                loaded_at,
                rows,
                rejected,
                counted,
                seconds,
                rows_last_day.get(key, 0),
                name in behind,
            )
        )
    return states


def failed_loads(
    warehouse: Warehouse, existing: set[str], marks: Mapping[str, datetime]
) -> dict[str, tuple[datetime | None, str]]:
    """Per source the error of its last load, where that one failed."""
    if "ops.loads" not in existing:
        return {}
    rows = warehouse.rows(
        "SELECT source, MAX_BY(status, started_at), MAX_BY(loaded_at, started_at),"
        " MAX_BY(COALESCE(error, ''), started_at) FROM ops.loads WHERE loaded_at >= ? GROUP BY source",
        [_last_loads_since(marks)],
    )
    return {source: (at, error or "unknown") for source, status, at, error in rows if status == "failed"}
