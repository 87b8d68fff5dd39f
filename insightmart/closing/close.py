"""Closing a month and opening it again: events, which nothing changes afterwards.

A close names the last publication of the journal that belongs to it. What was closed is what the journal says up to
there (``certified.finance_close``), and what came later is an adjustment (``certified.finance_adjustments``).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from ingestion.clock import utc_now
from ingestion.loading.horizon import AGGREGATES, purged_before
from ingestion.warehouse import Warehouse, exact_sum
from insightmart.closing.month import FinanceMonth
from insightmart.closing.obstacles import Obstacle, obstacles
from insightmart.errors import InsightMartError
from insightmart.journal.followed import SALES

CLOSED, REOPENED = "closed", "reopened"


class MonthIsOpenError(InsightMartError):
    """A month that cannot be closed (yet).

    Args:
        month: which.
        found: what is open.
    """

    def __init__(self, month: FinanceMonth, found: Sequence[Obstacle]) -> None:
        self.obstacles = list(found)
        count = len(self.obstacles)
        super().__init__(
            f"{month} is not closed: {count} thing{'s are' if count > 1 else ' is'} open. "
            + "; ".join(one.line for one in self.obstacles),
            "Close it when they are done, or with --override REASON, which is recorded",
        )


@dataclass(frozen=True)
class ClosedMonth:
    """A month that is closed: its net sales then, by how much they changed since, and what they are now.

    ``differing`` is in how many cells (date, store, channel) closed and adjusted are something else than what is
    certified now, in any measure.
    """

    month: date
    closed_at: datetime
    closed_by: str
    reason: str | None
    closed: Decimal
    adjusted: Decimal
    current: Decimal
    adjustments: int
    differing: int

    @property
    def agrees(self) -> bool:
        """Whether closed and adjustments are what is certified, cell by cell and in all measures."""
        return self.differing == 0


def close(
    warehouse: Warehouse, month: FinanceMonth, as_of: datetime, run_id: str, actor: str, override: str | None = None
) -> list[Obstacle]:
    """Close a month.

    Args:
        warehouse: open connection of the only writer.
        month: which.
        as_of: now, UTC.
        run_id: the run that closes.
        actor: who closes.
        override: why it is closed though something is open; None: it is not.

    Returns:
        What is open all the same.

    Raises:
        InsightMartError: the month is not over, is closed, or nothing of it was published.
        MonthIsOpenError: something of it is open, and nobody said why it is to be closed all the same.
    """
    if as_of < month.over_at:
        raise InsightMartError(
            f"{month} is not over: its last business date ends {month.over_at:%Y-%m-%d %H:%M} UTC in the last time zone"
        )
    if _status(warehouse, month) == CLOSED:
        raise InsightMartError(f"{month} is closed", "Open it again with --reopen REASON if it has to be closed anew")
    if not warehouse.value(
        "SELECT COUNT(*) FROM ops.published_changes WHERE table_name = 'agg_sales_daily'"
        " AND business_date >= ? AND business_date <= ?",
        [month.first, month.last],
    ):
        raise InsightMartError(f"nothing of {month} was published", "Is it the month you mean?")
    found = obstacles(warehouse, month, as_of)
    if found and not override:
        raise MonthIsOpenError(month, found)
    _note(warehouse, month, CLOSED, as_of, run_id, actor, override, found)
    return found


def reopen(warehouse: Warehouse, month: FinanceMonth, as_of: datetime, run_id: str, actor: str, reason: str) -> None:
    """Open a closed month again: what was closed and adjusted stays in the journal, and is closed no more.

    Raises:
        InsightMartError: the month is not closed.
    """
    if _status(warehouse, month) != CLOSED:
        raise InsightMartError(f"{month} is not closed")
    _note(warehouse, month, REOPENED, as_of, run_id, actor, reason, [])


def closed_months(warehouse: Warehouse) -> list[ClosedMonth]:
    """The months that are closed, oldest first, with what has become of their net sales.

    Months whose figures retention has deleted are left out: what was closed and adjusted is in the journal.
    """
    kept_from = purged_before(warehouse, AGGREGATES)
    first_kept = kept_from.date() if kept_from else date(1, 1, 1)
    cell = "month_first, business_date, store_id, channel"
    plus = ", ".join(SALES.measures)
    minus = ", ".join(f"-{name}" for name in SALES.measures)
    is_off = " OR ".join(f"SUM({name}) <> 0" for name in SALES.measures)
    return [
        ClosedMonth(*row)
        for row in warehouse.rows(
            f"""
            SELECT c.month_first, c.closed_at, c.actor, c.reason, COALESCE(k.amount, 0), COALESCE(a.amount, 0),
                COALESCE(n.amount, 0), COALESCE(a.entries, 0), COALESCE(d.cells, 0)
            FROM (
                SELECT *
                FROM ops.closes
                QUALIFY ROW_NUMBER() OVER (PARTITION BY month_first ORDER BY recorded_at DESC) = 1
            ) AS c
            LEFT JOIN (
                SELECT month_first, {exact_sum("net_sales")} AS amount FROM certified.finance_close GROUP BY month_first
            ) AS k ON k.month_first = c.month_first
            LEFT JOIN (
                SELECT month_first, {exact_sum("net_sales")} AS amount, COUNT(*) AS entries
                FROM certified.finance_adjustments GROUP BY month_first
            ) AS a ON a.month_first = c.month_first
            LEFT JOIN (
                SELECT DATE_TRUNC('month', business_date) AS month_first, {exact_sum("net_sales")} AS amount
                FROM certified.agg_sales_daily GROUP BY 1
            ) AS n ON n.month_first = c.month_first
            LEFT JOIN (
                SELECT month_first, COUNT(*) AS cells
                FROM (
                    SELECT {cell}
                    FROM (
                        SELECT {cell}, {plus} FROM certified.finance_close
                        UNION ALL
                        SELECT {cell}, {plus} FROM certified.finance_adjustments
                        UNION ALL
                        SELECT DATE_TRUNC('month', business_date) AS {cell}, {minus} FROM certified.agg_sales_daily
                    ) AS entries
                    GROUP BY {cell}
                    HAVING {is_off}
                ) AS off
                GROUP BY month_first
            ) AS d ON d.month_first = c.month_first
            WHERE c.status = 'closed' AND c.month_first >= ?
            ORDER BY c.month_first
            """,
            [first_kept],
        )
    ]


def _status(warehouse: Warehouse, month: FinanceMonth) -> str | None:
    status = warehouse.value(
        "SELECT status FROM ops.closes WHERE month_first = ? ORDER BY recorded_at DESC LIMIT 1", [month.first]
    )
    return None if status is None else str(status)


def _note(
    warehouse: Warehouse,
    month: FinanceMonth,
    status: str,
    as_of: datetime,
    run_id: str,
    actor: str,
    reason: str | None,
    found: Sequence[Obstacle],
) -> None:
    warehouse.insert(
        "ops.closes",
        [
            {
                "close_id": uuid.uuid4().hex,
                "month_first": month.first,
                "month_last": month.last,
                "status": status,
                "publication": warehouse.value("SELECT MAX(publication) FROM ops.publications"),
                "closed_at": as_of,
                "recorded_at": utc_now(),
                "run_id": run_id,
                "actor": actor,
                "reason": reason,
                "open_things": "; ".join(one.what for one in found) or None,
            }
        ],
    )
