"""Everything the status page and the mails say, gathered once: the state of the warehouse as of an instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ingestion.clock import utc_now
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import OpenCorrection, existing_tables, open_corrections, watermarks
from insightmart.certification.state import dataset_states, part_states
from insightmart.certification.verdict import DatasetState, PartState, Verdict, of_certified, restates
from insightmart.deletion_questions import AskedOfEntity, open_questions
from insightmart.journal.figures import Surprise, surprises
from insightmart.ledger.chain import Head
from insightmart.ledger.recording import LEDGER, last_head
from insightmart.quarantine.counts import RuleCount, rule_counts
from insightmart.quarantine.rejected_files import QuarantinedFile, quarantined_files
from insightmart.runs import RunProblem
from insightmart.settings import Settings
from insightmart.status.held_rows import HeldRows, held_rows
from insightmart.status.loads import LoadState, failed_loads, load_states
from insightmart.status.recent_runs import CYCLE, RunState, last_cycle, recent_notices, recent_runs
from insightmart.status.reconciliations import Reconciliation, last_reconciliation
from insightmart.status.sales import SalesDay, sales_days
from insightmart.status.store_files import files_seen
from insightmart.status.store_hours import MissingStore, StoreHours, missing_stores, store_hours

QUARANTINE_DAYS = 30  # older rejects stay in quarantine, but are no news


@dataclass(frozen=True)
class Facts:
    """The state of the warehouse as of an instant."""

    as_of: datetime
    generated_at: datetime
    gateway: str
    currency: str
    parts: list[PartState]
    datasets: list[DatasetState]
    corrections: list[OpenCorrection]
    corrections_closed: int
    loads: list[LoadState]
    failed_loads: dict[str, tuple[datetime | None, str]]
    files: list[tuple[str, str, int]]
    missing_stores: list[MissingStore]
    rejects: list[RuleCount]
    rejected_files: list[QuarantinedFile]
    sales: list[SalesDay]
    reconciliation: Reconciliation | None
    runs: list[RunState]
    last_cycle: RunState | None
    asked: list[AskedOfEntity]
    missing_tables: list[str]
    notices: Sequence[RunProblem] = ()
    surprises: Sequence[Surprise] = ()
    ledger_head: Head | None = None
    hours: StoreHours | None = None
    existing: frozenset[str] = frozenset()
    held_rows: Mapping[str, HeldRows] = field(default_factory=dict)  # by gate

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all parts."""
        return max((state.verdict for state in self.parts), key=lambda verdict: verdict.rank)

    @property
    def held_back(self) -> list[PartState]:
        """The parts that a gate holds back."""
        return [state for state in self.parts if state.verdict is Verdict.HELD_BACK]

    @property
    def unaffected(self) -> list[PartState]:
        """The parts that can be trusted as they stand."""
        return [state for state in self.parts if state.verdict is Verdict.TRUSTED]

    @property
    def through(self) -> datetime | None:
        """First instant that some hourly part has not certified; None when one has certified nothing."""
        known = [state.through for state in self.parts if state.part.is_hourly]
        return None if None in known else min(instant for instant in known if instant is not None)


def gather(warehouse: Warehouse, settings: Settings, as_of: datetime, *, is_report: bool = False) -> Facts:
    """Read the state of the warehouse. What does not exist yet is a fact, never an error.

    Args:
        warehouse: open connection.
        settings: for the gateway and the currency.
        as_of: "now", UTC without a zone: what is late is late against it.
        is_report: for a report, which keeps the head of the ledger; the page does not, and is written every hour.
    """
    existing = existing_tables(warehouse)
    marks, corrections = watermarks(warehouse, existing), open_corrections(warehouse, existing)
    parts = part_states(warehouse, as_of, existing, marks, corrections)
    datasets = dataset_states(parts, existing)
    recent = as_of - timedelta(days=QUARANTINE_DAYS)
    reconciliation, runs = last_reconciliation(warehouse, existing), recent_runs(warehouse, existing)
    hours = store_hours(warehouse, existing, as_of, settings.history_start)
    return Facts(
        as_of=as_of,
        generated_at=utc_now(),
        gateway=settings.gateway,
        currency=settings.currency,
        parts=parts,
        datasets=datasets,
        corrections=[item for item in corrections if _is_of_certified(item, parts)],
        corrections_closed=_corrections_closed(warehouse, existing, as_of),
        loads=load_states(warehouse, existing, as_of, parts, marks),
        failed_loads=failed_loads(warehouse, existing, marks),
        files=files_seen(warehouse, existing, as_of),
        hours=hours,
        missing_stores=missing_stores(hours),
        rejects=rule_counts(warehouse, existing, since=recent),
        rejected_files=quarantined_files(warehouse, existing, since=recent),
        sales=sales_days(warehouse, existing, as_of, parts, reconciliation, settings.start),
        reconciliation=reconciliation,
        runs=runs,
        last_cycle=next((run for run in runs if run.command == CYCLE), None) or last_cycle(warehouse, existing),
        notices=recent_notices(warehouse, existing, as_of),
        asked=open_questions(warehouse) if "ops.deletion_questions" in existing else [],
        surprises=surprises(warehouse, as_of) if "ops.published_changes" in existing else [],
        ledger_head=last_head(warehouse) if is_report and LEDGER in existing else None,
        held_rows=held_rows(warehouse, existing, [state for state in parts if state.verdict is Verdict.HELD_BACK]),
        existing=frozenset(existing),
        missing_tables=[f"certified.{state.dataset.table}" for state in datasets if not state.exists],
    )


def _is_of_certified(correction: OpenCorrection, parts: Sequence[PartState]) -> bool:
    """Whether something certified is older than its source by it; also where nobody knows what it restates."""
    restated = [state for state in parts if restates(correction, state.part)]
    return not restated or any(of_certified(correction, state.part, state.through) for state in restated)


def _corrections_closed(warehouse: Warehouse, existing: set[str], as_of: datetime) -> int:
    if "ops.correction_windows" not in existing:
        return 0
    return int(
        warehouse.value(
            "SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'closed' AND closed_at > ? AND closed_at <= ?",
            [as_of - timedelta(days=1), as_of],
        )
    )
