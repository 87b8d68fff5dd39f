"""What was known at an instant of the past: out of the journal and the evidence, never out of what certified says now.

It is less than a report of today: what a table held is kept for the figures that the journal follows, and what ran, was
checked and waited is kept as evidence. How complete a source was is not kept, and not said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from ingestion.warehouse import Warehouse, exact_sum
from insightmart.certification.observations import existing_tables
from insightmart.journal.figures import Surprise, as_published, not_begun, surprises
from insightmart.journal.followed import SALES
from insightmart.settings import Settings
from insightmart.status.page_file import replace_page
from insightmart.status.recent_runs import RunState, runs_between
from insightmart.status.rendering import NOTHING, render
from insightmart.status.sales import SALES_DAYS

DAY = timedelta(days=1)


@dataclass(frozen=True)
class ShownDay:
    """Sales of a business date over all stores and channels as certified showed them."""

    business_date: date
    orders: int
    gross_sales: Decimal
    discounts: Decimal
    returns: Decimal
    net_sales: Decimal
    total_sales: Decimal


@dataclass(frozen=True)
class FailedCheck:
    """A check that failed in its last scan up to then."""

    area: str
    check_name: str
    severity: str
    value: str | None
    as_of: datetime


@dataclass(frozen=True)
class Waiting:
    """Corrections of a source and area that waited."""

    source: str
    entity: str
    windows: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class KnownThen:
    """The state of things at an instant (UTC) as it was known then.

    Attributes:
        instant: which.
        published_at: of the last publication up to it.
        run_id: which run published.
        git_sha: of which commit.
        through: certified part -> its hours before this instant were published.
        days: the last business dates, newest first.
        surprises: figures that had changed in the day before, after they had been published.
        failed: checks that failed in the last scan of their area within the day before.
        waiting: corrections that waited.
        runs: of the day before, newest first.
        currency: of the amounts.
    """

    instant: datetime
    published_at: datetime
    run_id: str
    git_sha: str | None
    through: Mapping[str, datetime]
    days: Sequence[ShownDay]
    surprises: Sequence[Surprise]
    failed: Sequence[FailedCheck]
    waiting: Sequence[Waiting]
    runs: Sequence[RunState]
    currency: str


def is_past(warehouse: Warehouse, instant: datetime) -> bool:
    """Whether something has been published since an instant: then today's tables do not say what was known."""
    if "ops.publications" not in existing_tables(warehouse):
        return False
    latest = warehouse.value("SELECT MAX(published_at) FROM ops.publications")
    return latest is not None and latest > instant


def known_at(warehouse: Warehouse, settings: Settings, instant: datetime) -> KnownThen:
    """What was known at an instant.

    Raises:
        InsightMartError: nothing had been published by then, or there is no journal.
    """
    existing = existing_tables(warehouse)
    if not {"ops.publications", "certified.published_changes"} <= existing:
        raise not_begun(warehouse)
    last = warehouse.rows(
        "SELECT published_at, run_id, git_sha, published_through FROM ops.publications WHERE published_at <= ?"
        " ORDER BY publication DESC LIMIT 1",
        [instant],
    )
    if not last:
        raise not_begun(warehouse, instant)
    ((published_at, run_id, git_sha, through),) = last
    return KnownThen(
        instant=instant,
        published_at=published_at,
        run_id=run_id,
        git_sha=git_sha,
        through={part: datetime.fromisoformat(at) for part, at in json.loads(through or "{}").items()},
        days=_days(warehouse, instant),
        surprises=surprises(warehouse, instant),
        failed=_failed(warehouse, instant),
        waiting=_waiting(warehouse, instant),
        runs=runs_between(warehouse, existing, instant - DAY, instant),
        currency=settings.currency,
    )


def report_then(known: KnownThen) -> str:
    """It as text."""
    return render("known_then.txt.j2", known=known, nothing=NOTHING)


def write_page_then(known: KnownThen, folder: Path) -> Path:
    """It as a page of its own, beside those of today: `as-published-INSTANT.html`.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    target = folder / f"as-published-{known.instant:%Y%m%dT%H%M}.html"
    return replace_page(target, render("known_then.html.j2", known=known, nothing=NOTHING))


def _days(warehouse: Warehouse, instant: datetime) -> list[ShownDay]:
    names = ("gross_sales", "discounts", "returns", "net_sales", "total_sales")
    amounts = ", ".join(f"{exact_sum(name)} AS {name}" for name in names)
    return [
        ShownDay(**day)
        for day in warehouse.records(
            f"SELECT business_date, CAST(SUM(orders) AS BIGINT) AS orders, {amounts}"
            f" FROM ({as_published(SALES, instant)}) AS shown"
            " GROUP BY business_date ORDER BY business_date DESC"
            f" LIMIT {SALES_DAYS}"
        )
    ]


def _failed(warehouse: Warehouse, instant: datetime) -> list[FailedCheck]:
    return [
        FailedCheck(*row)
        for row in warehouse.rows(
            "SELECT area, check_name, severity, value, as_of FROM ("
            "SELECT area, check_name, severity, value, as_of, outcome FROM ops.check_results"
            " WHERE as_of <= ? AND as_of > ? AND environment = 'prod'"
            " QUALIFY ROW_NUMBER() OVER (PARTITION BY area, check_name, dataset ORDER BY scanned_at DESC) = 1"
            ") AS latest WHERE outcome = 'fail' ORDER BY severity, area, check_name",
            [instant, instant - DAY],
        )
    ]


def _waiting(warehouse: Warehouse, instant: datetime) -> list[Waiting]:
    return [
        Waiting(*row)
        for row in warehouse.rows(
            "SELECT source, entity, COUNT(*), MIN(window_start), MAX(window_end) FROM ops.correction_windows"
            " WHERE queued_at <= ? AND (closed_at IS NULL OR closed_at > ?)"
            " GROUP BY source, entity ORDER BY source, entity",
            [instant, instant],
        )
    ]
