"""Rows that were rejected, by day, rule and store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.loading.rejects import RECENT_REJECTS
from ingestion.warehouse import Warehouse, bind
from insightmart.quarantine.counts import SEPARATOR
from insightmart.quarantine.meanings import rule_of
from insightmart.quarantine.tables import REJECTS, TABLES, WITH_STORE

DAYS = 14


@dataclass(frozen=True)
class RejectedDay:
    """How many rows of a UTC day break a rule now; ``store_id`` None: the row names none."""

    day: date
    entity: str
    rule: str
    meaning: str
    owner: str
    store_id: int | None
    rows: int


def rejected_days(warehouse: Warehouse, existing: set[str], as_of: datetime) -> list[RejectedDay]:
    """Rows of the last two weeks that are in quarantine, the newest day first; one that breaks two counts twice."""
    since = datetime.combine(as_of.date() - timedelta(days=DAYS - 1), datetime.min.time())
    parts = [
        f"SELECT '{table}', reasons, {'store_id' if table in WITH_STORE else 'CAST(NULL AS BIGINT)'},"
        f" CAST(event_at AS DATE), COUNT(*) FROM quarantine.{table} WHERE event_at >= :since GROUP BY 1, 2, 3, 4"
        for table in TABLES
        if f"quarantine.{table}" in existing
    ]
    if existing >= REJECTS:
        parts.append(
            "SELECT r.entity, r.rule_id, f.store_id, CAST(r.rejected_at AS DATE), COUNT(*)"
            f" FROM ({RECENT_REJECTS}) AS r"
            " LEFT JOIN (SELECT DISTINCT file_name, load_id, store_id FROM ops.files WHERE store_id IS NOT NULL) AS f"
            " ON f.file_name = r.file_name AND f.load_id = r.raw_load_id"
            " WHERE NOT r.is_whole_file GROUP BY 1, 2, 3, 4"
        )
    if not parts:
        return []
    counted: Counter[tuple[date, str, str, int | None]] = Counter()
    for entity, reasons, store_id, day, rows in warehouse.rows(*bind(" UNION ALL ".join(parts), since=since)):
        for rule in reasons.split(SEPARATOR):
            counted[day, entity, rule, None if store_id is None else int(store_id)] += int(rows)
    found = []
    for (day, entity, rule, store_id), rows in counted.items():
        described = rule_of(entity, rule)
        found.append(RejectedDay(day, entity, rule, described.meaning, described.owner, store_id, rows))
    return sorted(found, key=lambda one: (-one.day.toordinal(), -one.rows, one.entity, one.rule, one.store_id or -1))


def per_store(days: Iterable[RejectedDay]) -> dict[int, list[RejectedDay]]:
    """The same by store, without those of no store."""
    found: dict[int, list[RejectedDay]] = {}
    for one in days:
        if one.store_id is not None:
            found.setdefault(one.store_id, []).append(one)
    return found
