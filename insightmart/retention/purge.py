"""What is too old, counted; and deleted: month by month, each in one transaction, so that a kill costs a month.

The horizon is written down before the first row goes (``ingestion.loading.horizon``): from then on nothing computes an
hour of which rows may be missing, and the next `insightmart retention --apply` finishes what was begun.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ingestion.clock import utc_now
from ingestion.loading.horizon import AGGREGATES, EVIDENCE, RAW, purged_before
from ingestion.warehouse import Warehouse, bind
from insightmart.kept_originals import kept_originals
from insightmart.retention.deletions_of import LATELY, MARGIN, Deletion, deletions
from insightmart.retention.holds import Hold, holds
from insightmart.retention.old_customers import empty_old_customers, old_customers
from insightmart.retention.old_evidence import EvidenceToGo, delete_evidence, evidence_to_go
from insightmart.retention.periods import Cutoffs, cutoffs
from insightmart.settings import Settings

BEGINNING = datetime(1, 1, 1)
BEGUN, DONE = "begun", "done"


@dataclass(frozen=True)
class Line:
    """What goes of one table.

    Attributes:
        table: its name.
        what: class of ops.purges.
        before: rows of before this instant (UTC) go.
        rows: how many.
        bytes: about how much that is; None where nobody can say.
        kept: rows of before that stay, because a later one needs them.
        oldest_kept: the oldest row that lies after; None where there is none.
    """

    table: str
    what: str
    before: datetime
    rows: int
    bytes: int | None
    kept: int
    oldest_kept: datetime | None


@dataclass
class Survey:
    """What would go, and what does not go though it is old enough."""

    wanted: Cutoffs
    horizons: dict[str, datetime]
    lines: list[Line] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    evidence: EvidenceToGo | None = None

    @property
    def rows(self) -> int:
        """All rows that would go."""
        return sum(line.rows for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "periods_end": asdict(self.wanted),
            "horizons": self.horizons,
            "tables": [asdict(line) for line in self.lines],
            "held_back": [asdict(hold) for hold in self.holds],
        }


def survey(warehouse: Warehouse, settings: Settings, as_of: datetime, give_up_rejects: bool = False) -> Survey:
    """What would go at an instant (UTC); changes nothing.

    Raises:
        ConfigurationError: the periods make no sense.
    """
    wanted = cutoffs(settings, as_of)
    found = holds(warehouse, wanted.raw, settings.history_start, give_up_rejects)
    raw = min([wanted.raw, *(hold.since for hold in found)])
    horizons = {RAW: _midnight(raw), AGGREGATES: _midnight(min(wanted.aggregates, raw)), EVIDENCE: wanted.evidence}
    for what, horizon in horizons.items():  # never back: what was deleted is gone
        horizons[what] = max(horizon, purged_before(warehouse, what) or horizon)
    result = Survey(wanted, horizons, holds=found)
    for deletion in deletions(warehouse):
        result.lines.append(_count(warehouse, settings, deletion, horizons, as_of))
    result.lines += [
        Line(f"{table}: personal columns emptied", RAW, horizons[RAW], rows, None, 0, None)
        for table, rows in old_customers(warehouse, horizons[RAW]).items()
    ]
    originals = _originals(warehouse, settings, horizons[RAW], as_of)
    size = sum(originals.values())
    result.lines.append(Line("kept originals (files)", RAW, horizons[RAW], len(originals), size, 0, None))
    result.evidence = evidence_to_go(warehouse, horizons[EVIDENCE])
    result.lines += [
        Line(table, EVIDENCE, horizons[EVIDENCE], rows, None, 0, None) for table, rows in result.evidence.rows.items()
    ]
    return result


def apply(
    warehouse: Warehouse,
    settings: Settings,
    found: Survey,
    as_of: datetime,
    run_id: str,
    actor: str,
    say: Callable[[str], None],
) -> dict[str, int]:
    """Delete what a survey found, and what an earlier run began and did not finish.

    Returns:
        Rows deleted by table, over all classes.
    """
    total: dict[str, int] = {}
    steps = {RAW: _delete_raw, AGGREGATES: _delete_aggregates, EVIDENCE: _delete_evidence}
    for what, step in steps.items():
        rows = sum(line.rows for line in found.lines if line.what == what)
        if not rows and not _begun(warehouse, what):
            continue
        through = found.evidence.ledger_through if found.evidence and what == EVIDENCE else None
        purge_id = _begin(warehouse, what, found.horizons[what], through, as_of, run_id, actor)
        deleted = step(warehouse, settings, found, as_of, say)
        told = [sum(deleted.values()), json.dumps({name: count for name, count in deleted.items() if count})]
        warehouse.execute(
            'UPDATE ops.purges SET status = ?, "ROWS" = ?, counts = ?, recorded_at = ? WHERE purge_id = ?',
            [DONE, *told, utc_now(), purge_id],
        )
        total |= deleted
    warehouse.checkpoint()
    return {table: rows for table, rows in total.items() if rows}


def _begun(warehouse: Warehouse, what: str) -> str | None:
    found: str | None = warehouse.value(
        "SELECT purge_id FROM ops.purges WHERE class = ? AND status = ? ORDER BY purged_before DESC LIMIT 1",
        [what, BEGUN],
    )
    return found


def _begin(
    warehouse: Warehouse,
    what: str,
    before: datetime,
    through: int | None,
    as_of: datetime,
    run_id: str,
    actor: str,
) -> str:
    """The purge that is under way, taken up again where one was killed."""
    told = {"purged_before": before, "ledger_through": through, "as_of": as_of, "run_id": run_id, "actor": actor}
    if going_on := _begun(warehouse, what):
        named = ", ".join(f"{name} = ?" for name in told)
        warehouse.execute(f"UPDATE ops.purges SET {named} WHERE purge_id = ?", [*told.values(), going_on])
        return going_on
    purge_id = uuid.uuid4().hex
    warehouse.insert("ops.purges", [{"purge_id": purge_id, "class": what, "status": BEGUN, **told}])
    return purge_id


def _delete_raw(
    warehouse: Warehouse, settings: Settings, found: Survey, as_of: datetime, say: Callable[[str], None]
) -> dict[str, int]:
    originals = _originals(warehouse, settings, found.horizons[RAW], as_of)
    kept = kept_originals(settings)
    for name in originals:  # before the rejects that name them
        kept.delete(name)
    deleted = _delete(warehouse, settings, RAW, found.horizons, as_of, say)
    with warehouse.transaction():
        deleted |= empty_old_customers(warehouse, found.horizons[RAW])
    return deleted | {"kept originals (files)": len(originals)}


def _delete_aggregates(
    warehouse: Warehouse, settings: Settings, found: Survey, as_of: datetime, say: Callable[[str], None]
) -> dict[str, int]:
    return _delete(warehouse, settings, AGGREGATES, found.horizons, as_of, say)


def _delete_evidence(
    warehouse: Warehouse, _: Settings, found: Survey, __: datetime, say: Callable[[str], None]
) -> dict[str, int]:
    assert found.evidence is not None
    say("evidence")
    return delete_evidence(warehouse, found.evidence)


def _delete(
    warehouse: Warehouse,
    settings: Settings,
    what: str,
    horizons: dict[str, datetime],
    as_of: datetime,
    say: Callable[[str], None],
) -> dict[str, int]:
    chosen = [deletion for deletion in deletions(warehouse) if deletion.what == what]
    deleted = dict.fromkeys((deletion.name for deletion in chosen), 0)
    cut = _cut(what, horizons)
    for start, end in _months(warehouse, settings, chosen, cut):
        say(f"{what}, {end - timedelta(days=1):%Y-%m}")
        with warehouse.transaction():
            for deletion in chosen:
                values = _values(settings, cut, as_of) | {"from_at": start, "until": end}
                statement = f"DELETE FROM {deletion.table} WHERE {deletion.condition}"
                deleted[deletion.name] += int(warehouse.value(*bind(statement, **values)) or 0)
    return deleted


def _months(
    warehouse: Warehouse, settings: Settings, chosen: Sequence[Deletion], cut: datetime
) -> list[tuple[datetime, datetime]]:
    """The calendar months (UTC) up to the cut in which there is anything, the first one with all before it."""
    first = None
    for deletion in chosen:
        oldest = warehouse.value(
            *bind(f"SELECT MIN({deletion.instant}) FROM {deletion.table}", history_start=settings.history_start)
        )
        if oldest is not None:
            first = min(_instant(oldest), first or datetime.max)
    if first is None or first >= cut:
        return []
    months, start, year, month = [], BEGINNING, first.year, first.month
    while start < cut:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        end = min(datetime(year, month, 1), cut)
        months.append((start, end))
        start = end
    return months


def _count(
    warehouse: Warehouse, settings: Settings, deletion: Deletion, horizons: dict[str, datetime], as_of: datetime
) -> Line:
    cut = _cut(deletion.what, horizons)
    values = _values(settings, cut, as_of) | {"from_at": BEGINNING, "until": cut}
    statement = (
        f"SELECT COUNT(*), COUNT(CASE WHEN {deletion.instant} < :cut THEN 1 END),"
        f" COUNT(CASE WHEN {deletion.condition} THEN 1 END),"
        f" MIN(CASE WHEN {deletion.instant} >= :cut THEN {deletion.instant} END) FROM {deletion.table}"
    )
    every, older, rows, oldest = warehouse.rows(*bind(statement, **values))[0]
    size = _bytes(warehouse, deletion.table) if rows else 0
    share = None if size is None else int(size * rows / every) if every else 0
    kept = max(int(older) - int(rows), 0)
    return Line(deletion.name, deletion.what, cut, int(rows), share, kept, oldest and _instant(oldest))


def _bytes(warehouse: Warehouse, table: str) -> int | None:
    """How much a table takes, about."""
    if warehouse.dialect == "duckdb":
        name = table.replace("'", "''")
        blocks = warehouse.value(f"SELECT COUNT(DISTINCT block_id) FROM pragma_storage_info('{name}')")
        return int(blocks) * 262_144
    schema, name = (part.strip('"') for part in table.split("."))
    found = warehouse.value(
        "SELECT bytes FROM information_schema.tables WHERE LOWER(table_schema) = ? AND LOWER(table_name) = ?",
        [schema.lower(), name.lower()],
    )
    return None if found is None else int(found)


def _originals(warehouse: Warehouse, settings: Settings, horizon: datetime, as_of: datetime) -> dict[str, int]:
    """Kept originals that only rejects which go speak of: bytes by name."""
    cut = horizon - MARGIN
    hashes = warehouse.rows(
        "SELECT file_hash FROM raw.rejects WHERE is_whole_file AND file_hash IS NOT NULL GROUP BY file_hash"
        " HAVING MAX(rejected_at) < ? AND MAX(_loaded_at) < ?",
        [cut, as_of - LATELY],
    )
    if not hashes:
        return {}
    sizes = kept_originals(settings).sizes()
    return {str(name): sizes[name] for (name,) in hashes if name in sizes}


def _cut(what: str, horizons: dict[str, datetime]) -> datetime:
    """Before when rows go: a margin before the horizon, since hours after it look back."""
    return horizons[what] - (MARGIN if what == RAW else timedelta(0))


def _values(settings: Settings, cut: datetime, as_of: datetime) -> dict[str, Any]:
    return {"cut": cut, "lately": as_of - LATELY, "now": as_of, "history_start": settings.history_start}


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
