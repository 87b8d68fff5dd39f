"""What is still open of a month: each of it could change a figure that finance is about to report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestion.warehouse import Warehouse, bind
from insightmart.certification.observations import existing_tables, open_corrections, watermarks
from insightmart.certification.state import part_states
from insightmart.certification.verdict import Verdict, spoken
from insightmart.closing.month import FinanceMonth
from insightmart.journal.figures import disagreements
from insightmart.reconciliation.result import DIFFERS
from insightmart.reconciliation.statements import statement

AHEAD_OF_UTC = timedelta(hours=14)  # where a business date begins first


@dataclass(frozen=True)
class Obstacle:
    """Something that is open: what, and what to do about it."""

    what: str
    cure: str

    @property
    def line(self) -> str:
        """Both for people."""
        return f"{self.what}. {self.cure}"


def obstacles(warehouse: Warehouse, month: FinanceMonth, as_of: datetime) -> list[Obstacle]:
    """Everything of a month that is open at an instant (UTC). Empty: it can be closed."""
    existing = existing_tables(warehouse)
    return [
        *_not_certified(warehouse, existing, month, as_of),
        *_corrections(warehouse, month),
        *_missing_files(warehouse, month),
        *_differences(warehouse, month),
        *_questions(warehouse, month),
        *_journal(warehouse, month),
        *_unpublished(warehouse),
    ]


def _not_certified(
    warehouse: Warehouse, existing: set[str], month: FinanceMonth, as_of: datetime
) -> Iterator[Obstacle]:
    marks, waiting = watermarks(warehouse, existing), open_corrections(warehouse, existing)
    for state in part_states(warehouse, as_of, existing, marks, waiting):
        if not state.part.is_hourly or (state.through is not None and state.through >= month.over_at):
            continue
        held = "is held back by its gate, and" if state.verdict is Verdict.HELD_BACK else "is"
        through = spoken(state.through) if state.through else "nowhere"
        yield Obstacle(
            f"{state.part.name} {held} certified through {through}, and not through {spoken(month.over_at)}",
            f"See `insightmart report`: {state.why}",
        )


def _corrections(warehouse: Warehouse, month: FinanceMonth) -> Iterator[Obstacle]:
    start, end = _instants(month)
    rows = warehouse.rows(
        "SELECT source, entity, COUNT(*), MIN(window_start), MAX(window_end) FROM ops.correction_windows"
        " WHERE status = 'open' AND window_start < ? AND window_end > ? GROUP BY source, entity ORDER BY 1, 2",
        [end, start],
    )
    for source, entity, count, first, last in rows:
        yield Obstacle(
            f"{_many(count, 'correction')} of {source} {entity} to be certified again"
            f" ({first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC)",
            "The next cycle restates them",
        )


def _missing_files(warehouse: Warehouse, month: FinanceMonth) -> Iterator[Obstacle]:
    start, end = _instants(month)
    files, stores, first = warehouse.rows(
        "SELECT COUNT(*), COUNT(DISTINCT store_id), MIN(file_hour) FROM ops.missing_files"
        " WHERE arrived_at IS NULL AND file_hour >= ? AND file_hour < ?",
        [start, end],
    )[0]
    if files:
        yield Obstacle(
            f"{_many(files, 'inventory file')} of {_many(stores, 'store')} missing,"
            f" the first of {first:%Y-%m-%d %H:%M} UTC",
            "Ask the managers of the stores (`insightmart status`), or close with --override",
        )


def _differences(warehouse: Warehouse, month: FinanceMonth) -> Iterator[Obstacle]:
    found = warehouse.records(*bind(statement("found_differences"), date_from=month.first, date_to=month.last))
    failed = [row for row in found if row["status"] == DIFFERS]
    if failed:
        dates = sorted({row["business_date"] for row in failed if row["business_date"]})
        of = f", the first of {dates[0]}" if dates else ""
        yield Obstacle(
            f"{_many(len(failed), 'control total')} unlike the source without an explanation{of}",
            f"See `insightmart reconcile --from {month.first} --to {month.last}`",
        )


def _questions(warehouse: Warehouse, month: FinanceMonth) -> Iterator[Obstacle]:
    start, end = _instants(month)
    asked = warehouse.value(
        "SELECT COUNT(*) FROM ops.deletion_questions WHERE closed_at IS NULL"
        " AND (window_start IS NULL OR (window_start < ? AND window_end > ?))",
        [end, start],
    )
    if asked:
        yield Obstacle(
            f"{_many(asked, 'open question')} about rows that vanished at a source",
            "Answer: `insightmart deletions list`",
        )


def _journal(warehouse: Warehouse, month: FinanceMonth) -> Iterator[Obstacle]:
    cells = disagreements(warehouse, month.first, month.last)
    if cells:
        yield Obstacle(
            f"{_many(cells, 'figure')} of certified.agg_sales_daily unlike what the journal says was published",
            "The next cycle writes down why, or names what nothing explains",
        )


def _unpublished(warehouse: Warehouse) -> Iterator[Obstacle]:
    """What a killed command has written: the journal does not have it yet, nor, on Snowflake, readers."""
    if windows := warehouse.value("SELECT COUNT(*) FROM ops.unpublished_windows"):
        yield Obstacle(
            f"{_many(windows, 'window')} that a command has written and not published", "The next cycle publishes it"
        )


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _instants(month: FinanceMonth) -> tuple[datetime, datetime]:
    """The instants (UTC) that its business dates can have, the end excluded."""
    return datetime.combine(month.first, datetime.min.time()) - AHEAD_OF_UTC, month.over_at
