"""What the pipeline promises, how it keeps it this month, and how much may still go wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

from ingestion.loading.intervals import HOUR
from ingestion.warehouse import Warehouse
from insightmart.certification.datasets import catalogue

PROMISED_RUNS = Decimal("99.9")  # percent of the cycles of a month that publish all that is due
PROMISED_MINUTES = 90  # from the end of an hour to the moment it can be read
HOURS_A_DAY = 24


@dataclass(frozen=True)
class ServiceLevels:
    """The promises of a month, as far as it has gone.

    Attributes:
        month: its first day.
        cycles: those that have ended, or were killed.
        succeeded: of these, which published everything that was due.
        expected: cycles of the whole month, one an hour.
        hours: hours of a source that were published, over all parts that are read every hour.
        in_time: of these, which could be read in time.
        slowest: the longest that one took, in minutes.
        slowest_part: of which part of certified.
    """

    month: date
    cycles: int
    succeeded: int
    expected: int
    hours: int
    in_time: int
    slowest: int | None
    slowest_part: str

    @property
    def rate(self) -> Decimal | None:
        """Percent of the cycles that succeeded, rounded down: 99.95 is not 100; None without any."""
        return _percent(self.succeeded, self.cycles)

    @property
    def allowed(self) -> int:
        """How many cycles of the month may fail."""
        return int(self.expected * (100 - PROMISED_RUNS) / 100)

    @property
    def left(self) -> int:
        """How many more may fail; below zero the promise is broken."""
        return self.allowed - (self.cycles - self.succeeded)

    @property
    def in_time_rate(self) -> Decimal | None:
        """Percent of the hours that could be read in time, rounded down; None without any."""
        return _percent(self.in_time, self.hours)


def _percent(part: int, whole: int) -> Decimal | None:
    return (Decimal(100 * part) / whole).quantize(Decimal("0.01"), ROUND_DOWN) if whole else None


def service_levels(warehouse: Warehouse, existing: set[str], as_of: datetime) -> ServiceLevels:
    """How the promises were kept in the month of an instant (UTC), up to it."""
    first = datetime(as_of.year, as_of.month, 1)
    after = (first + timedelta(days=32)).replace(day=1)
    cycles = succeeded = 0
    if "ops.runs" in existing:
        [(cycles, succeeded)] = warehouse.rows(
            "SELECT COUNT(*), COALESCE(SUM(CASE WHEN status = 'succeeded' THEN 1 ELSE 0 END), 0) FROM ops.runs"
            " WHERE command = 'cycle' AND status <> 'running' AND as_of >= ? AND as_of <= ?",
            [first, as_of],
        )
    hours, slow, slowest = _hours(warehouse, existing, first, as_of)
    return ServiceLevels(
        first.date(),
        int(cycles),
        int(succeeded),
        (after - first).days * HOURS_A_DAY,
        hours,
        hours - slow,
        slowest[0] if slowest else None,
        slowest[1] if slowest else "",
    )


def _hours(
    warehouse: Warehouse, existing: set[str], first: datetime, as_of: datetime
) -> tuple[int, int, tuple[int, str] | None]:
    """Hours of the month that were published, those that took too long, and the slowest: minutes and part.

    An hour can be read when the run ends that published it: its "now", and how long it worked. What a first load
    brings of the time before is history, and nobody has waited for it.
    """
    if not {"ops.publications", "ops.runs"} <= existing:
        return 0, 0, None
    rows = warehouse.rows(
        "SELECT p.published_at, p.published_through, r.started_at, r.ended_at"
        " FROM ops.publications AS p LEFT JOIN ops.runs AS r ON r.run_id = p.run_id"
        " WHERE p.published_at >= ? AND p.published_at <= ? ORDER BY p.publication",
        [first - timedelta(days=1), as_of],
    )
    names = {model: part.name for part in catalogue().parts for model in part.models}
    known: dict[str, datetime] = {}
    hours = slow = 0
    slowest: tuple[int, str] | None = None
    for published_at, through, started_at, ended_at in rows:
        worked = ended_at - started_at if ended_at and started_at else timedelta()
        for part, text in json.loads(through or "{}").items():
            instant = datetime.fromisoformat(text)
            end = known.get(part, instant) + HOUR  # of the first hour that is new
            known[part] = max(known.get(part, instant), instant)
            while end <= instant:
                if end > first:
                    minutes = int((published_at + worked - end) / timedelta(minutes=1))
                    hours += 1
                    slow += minutes > PROMISED_MINUTES
                    name = names.get(f"certified.{part}", part)
                    slowest = max(slowest or (minutes, name), (minutes, name))
                end += HOUR
    return hours, slow, slowest
