"""What the pages show beside the state of now: the last days and weeks, gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ingestion.warehouse import Warehouse
from insightmart.pages.check_history import CheckHistory, check_histories
from insightmart.pages.rejected_days import RejectedDay, rejected_days
from insightmart.pages.run_record import RunRecord, run_records
from insightmart.pages.service_levels import ServiceLevels, service_levels
from insightmart.pages.store_sales import Weeks, weeks
from insightmart.status.facts import Facts


@dataclass(frozen=True)
class CloseEvent:
    """The last that happened to a month of finance: closed or reopened, by whom, UTC."""

    month: date
    status: str
    closed_at: datetime
    actor: str
    reason: str


@dataclass(frozen=True)
class LookBack:
    """The last days and weeks, up to the instant of the facts beside it."""

    service: ServiceLevels
    checks: list[CheckHistory] = field(default_factory=list)
    rejected: list[RejectedDay] = field(default_factory=list)
    weeks: Weeks | None = None
    closes: list[CloseEvent] = field(default_factory=list)
    runs: Mapping[str, RunRecord] = field(default_factory=dict)


def look_back(warehouse: Warehouse, facts: Facts) -> LookBack:
    """Read it. What does not exist yet is left out, never an error."""
    existing = set(facts.existing)
    return LookBack(
        service=service_levels(warehouse, existing, facts.as_of),
        checks=check_histories(warehouse, existing, facts.as_of),
        rejected=rejected_days(warehouse, existing, facts.as_of),
        weeks=weeks(warehouse, existing, facts.as_of),
        closes=_closes(warehouse, existing),
        runs=run_records(warehouse, existing, facts.runs),
    )


def _closes(warehouse: Warehouse, existing: set[str]) -> list[CloseEvent]:
    if "ops.closes" not in existing:
        return []
    rows: list[tuple[Any, ...]] = warehouse.rows(
        "SELECT month_first, status, closed_at, COALESCE(actor, ''), COALESCE(reason, '') FROM ops.closes"
        " QUALIFY ROW_NUMBER() OVER (PARTITION BY month_first ORDER BY recorded_at DESC) = 1"
        " ORDER BY month_first DESC LIMIT 24"
    )
    return [CloseEvent(*row) for row in rows]
