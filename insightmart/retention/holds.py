"""What still needs rows that are old enough to go, and from when on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.loading.rejects import CURRENT_REJECTS
from ingestion.warehouse import Warehouse
from insightmart.certification.datasets import catalogue
from insightmart.certification.observations import existing_tables, watermarks
from insightmart.certification.state import certified_through
from insightmart.certification.verdict import whole_hour

# A business date begins up to 14 hours before the UTC date of its name.
BEFORE_A_MONTH = timedelta(days=1)


@dataclass(frozen=True)
class Hold:
    """Something that needs what happened from an instant (UTC) on: what, and what to do about it."""

    since: datetime
    what: str
    cure: str

    @property
    def line(self) -> str:
        """All of it for people."""
        return f"from {self.since:%Y-%m-%d} on: {self.what}. {self.cure}"


def holds(warehouse: Warehouse, before: datetime, history_start: datetime, give_up_rejects: bool) -> list[Hold]:
    """Everything that needs rows of before an instant (UTC), what reaches back furthest first.

    Args:
        warehouse: open connection.
        before: what may go.
        history_start: the first instant of history.
        give_up_rejects: rejected records and files that nobody replayed hold nothing back.
    """
    found = [
        *_not_certified(warehouse, before, history_start),
        *_open_months(warehouse, before),
        *_since(
            warehouse,
            "SELECT COUNT(*), MIN(window_start) FROM ops.correction_windows WHERE status = 'open' AND window_start < ?",
            before,
            "correction windows to be certified again",
            "The next cycle restates them",
        ),
        *_since(
            warehouse,
            "SELECT COUNT(*), MIN(window_start) FROM ops.unpublished_windows WHERE window_start < ?",
            before,
            "windows that are not in the journal yet",
            "The next cycle writes them down",
        ),
        *_since(
            warehouse,
            f"SELECT COUNT(*), MIN(COALESCE(window_start, CAST('{history_start}' AS TIMESTAMP_NTZ)))"
            " FROM ops.deletion_questions WHERE closed_at IS NULL AND COALESCE(window_start,"
            f" CAST('{history_start}' AS TIMESTAMP_NTZ)) < ?",
            before,
            "questions about rows that vanished at a source",
            "Answer: `insightmart deletions list`",
        ),
        *_since(
            warehouse,
            "SELECT COUNT(*), MIN(window_start) FROM ops.backfills WHERE status = 'open' AND window_start < ?",
            before,
            "backfills that were not finished",
            "Give the same `insightmart backfill` again",
        ),
        *([] if give_up_rejects else _rejects(warehouse, before)),
    ]
    return sorted(found, key=lambda hold: hold.since)


def _not_certified(warehouse: Warehouse, before: datetime, history_start: datetime) -> Iterator[Hold]:
    """Hours that were loaded and that no gate has let through: nothing was published that could be carried over."""
    existing = existing_tables(warehouse)
    marks, through = watermarks(warehouse, existing), certified_through(warehouse, existing)
    for part in catalogue().parts:
        known = [marks[name] for name in part.inputs if name in marks]
        since = through[part.gate] or history_start
        if part.is_hourly and known and since < min(before, whole_hour(min(known))):
            yield Hold(
                since, f"{part.name} is certified through {since:%Y-%m-%d %H:%M} UTC", "See `insightmart report`"
            )


def _open_months(warehouse: Warehouse, before: datetime) -> Iterator[Hold]:
    """Months that sales were published of and that finance has not closed."""
    months: list[date] = [
        month
        for (month,) in warehouse.rows(
            "SELECT m.month_first FROM (SELECT DISTINCT DATE_TRUNC('month', business_date) AS month_first"
            " FROM ops.published_changes WHERE table_name = 'agg_sales_daily' AND business_date < ?) AS m"
            " LEFT JOIN (SELECT month_first, status FROM ops.closes QUALIFY ROW_NUMBER() OVER"
            " (PARTITION BY month_first ORDER BY recorded_at DESC) = 1) AS c ON c.month_first = m.month_first"
            " WHERE COALESCE(c.status, 'open') <> 'closed' ORDER BY m.month_first",
            [before.date()],
        )
    ]
    if months:
        first = datetime(months[0].year, months[0].month, 1)
        more = f" and {len(months) - 1} more" if len(months) > 1 else ""
        yield Hold(
            first - BEFORE_A_MONTH,
            f"finance has not closed {first:%Y-%m}{more}",
            f"`insightmart close {first:%Y-%m}`",
        )


def _rejects(warehouse: Warehouse, before: datetime) -> Iterator[Hold]:
    return _since(
        warehouse,
        f"SELECT COUNT(*), MIN(rejected_at) FROM ({CURRENT_REJECTS}) AS r WHERE rejected_at < ?",
        before,
        "rejected records or files that could be replayed",
        "`insightmart quarantine replay`, or --give-up-rejects REASON",
    )


def _since(warehouse: Warehouse, statement: str, before: datetime, what: str, cure: str) -> Iterator[Hold]:
    count, since = warehouse.rows(statement, [before])[0]
    if count:
        yield Hold(since, f"{count:,} {what}", cure)
