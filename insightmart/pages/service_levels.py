"""What the pipeline promises, how it keeps it this month, and how much may still go wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any

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
    asked = _asked(warehouse, first, as_of) if {"ops.publications", "ops.runs"} <= existing else []
    ended = {status: int(cycles) for publication, _, status, _, _, cycles in asked if publication is None}
    hours, slow, slowest = _hours(asked[len(ended) :], first)
    return ServiceLevels(
        first.date(),
        sum(ended.values()),
        ended.get("succeeded", 0),
        (after - first).days * HOURS_A_DAY,
        hours,
        hours - slow,
        slowest[0] if slowest else None,
        slowest[1] if slowest else "",
    )


def _asked(warehouse: Warehouse, first: datetime, as_of: datetime) -> list[tuple[Any, ...]]:
    """How many cycles of the month ended how, then its publications with their runs: in one question."""
    return warehouse.rows(
        """
        SELECT CAST(NULL AS BIGINT) AS publication, CAST(NULL AS TIMESTAMP_NTZ) AS published_at, status AS told,
            CAST(NULL AS TIMESTAMP_NTZ) AS started_at, CAST(NULL AS TIMESTAMP_NTZ) AS ended_at, COUNT(*) AS cycles
        FROM ops.runs
        WHERE command = 'cycle' AND status <> 'running' AND as_of >= ? AND as_of <= ? GROUP BY status
        UNION ALL
        SELECT p.publication, p.published_at, p.published_through, r.started_at, r.ended_at, 0
        FROM ops.publications AS p LEFT JOIN ops.runs AS r ON r.run_id = p.run_id
        WHERE p.published_at <= ? AND p.publication >= COALESCE(
            (SELECT MAX(publication) FROM ops.publications WHERE published_at < ?), 0
        )
        ORDER BY publication NULLS FIRST
        """,
        [first, as_of, as_of, first],
    )


def _hours(rows: Sequence[tuple[Any, ...]], first: datetime) -> tuple[int, int, tuple[int, str] | None]:
    """Hours of the month that were published, those that took too long, and the slowest: minutes and part.

    An hour can be read when the run ends that published it: its "now", and how long it worked. What a first load
    brings of the time before is history, and nobody has waited for it.
    """
    names = {model: part.name for part in catalogue().parts for model in part.models}
    known: dict[str, datetime] = {}
    hours = slow = 0
    slowest: tuple[int, str] | None = None
    for _, published_at, through, started_at, ended_at, _ in rows:
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
