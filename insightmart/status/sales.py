"""Certified sales of the last business dates, and how the stores' tills tied to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from ingestion.warehouse import Warehouse, exact_sum
from insightmart.certification.verdict import PartState
from insightmart.status.reconciliations import Reconciliation

SALES_DAYS = 9  # the last complete one, and the same day a week before


@dataclass(frozen=True)
class Tills:
    """How many stores' own figures of a business date tie, differ for a known reason or are to come, and differ."""

    matched: int = 0
    pending: int = 0
    failed: int = 0


@dataclass(frozen=True)
class SalesDay:
    """Certified sales of a business date over all stores and channels; amounts are exact, in the company's currency.

    ``state`` is ``complete``, ``open`` (it has not ended everywhere, or not all is certified) or ``partial`` (it began
    before the first day of history).
    """

    business_date: date
    orders: int
    gross_sales: Decimal
    discounts: Decimal
    returns: Decimal
    net_sales: Decimal
    total_sales: Decimal
    state: str
    tills: Tills


def sales_days(
    warehouse: Warehouse,
    existing: set[str],
    as_of: datetime,
    parts: list[PartState],
    reconciliation: Reconciliation | None,
    start: date,
) -> list[SalesDay]:
    """Certified sales of the last business dates, newest first, with how the tills tied."""
    if "certified.agg_sales_daily" not in existing:
        return []
    names = ("gross_sales", "discounts", "returns", "net_sales", "total_sales")
    amounts = ", ".join(f"{exact_sum(name)} AS {name}" for name in names)
    days = warehouse.records(
        f"SELECT business_date, CAST(SUM(orders) AS BIGINT) AS orders, {amounts}"
        " FROM certified.agg_sales_daily WHERE business_date > ?"
        " GROUP BY business_date ORDER BY business_date DESC",
        [as_of.date() - timedelta(days=SALES_DAYS)],
    )
    first_open = _first_open_date(warehouse, existing, parts)
    tills = _tills(warehouse, reconciliation)
    return [
        SalesDay(
            **day,
            state=day_state(day["business_date"], first_open, start),
            tills=tills.get(day["business_date"], Tills()),
        )
        for day in days[:SALES_DAYS]
    ]


def day_state(day: date, first_open: date | None, start: date) -> str:
    """``complete``, ``open`` or ``partial``, as ``SalesDay`` has it; ``start`` is the first day of history."""
    if day < start:
        return "partial"
    return "complete" if first_open is not None and day < first_open else "open"


def _first_open_date(warehouse: Warehouse, existing: set[str], parts: list[PartState]) -> date | None:
    known = [state.through for state in parts if state.part.area == "Sales"]
    if None in known or "certified.dim_stores" not in existing:
        return None
    zones = warehouse.rows("SELECT DISTINCT timezone FROM certified.dim_stores WHERE is_current")
    return first_open_date(min(instant for instant in known if instant is not None), [zone for (zone,) in zones])


def first_open_date(through: datetime, zones: Iterable[str]) -> date | None:
    """The first business date that has not ended, in one of the time zones, by a UTC instant; None without a zone."""
    instant = through.replace(tzinfo=UTC)
    return min((instant.astimezone(ZoneInfo(zone)).date() for zone in zones), default=None)


def _tills(warehouse: Warehouse, reconciliation: Reconciliation | None) -> dict[date, Tills]:
    """Per business date how many stores' tills matched, are pending or otherwise explained, and differ.

    A matched store is recorded only when its figures changed, so the last record of every store and measure counts.
    """
    if reconciliation is None:
        return {}
    rows = warehouse.rows(
        """
        SELECT business_date, SUM(CASE WHEN worst = 0 THEN 1 ELSE 0 END), SUM(CASE WHEN worst = 1 THEN 1 ELSE 0 END),
            SUM(CASE WHEN worst = 2 THEN 1 ELSE 0 END)
        FROM (
            SELECT business_date, store_id,
                MAX(CASE status WHEN 'matched' THEN 0 WHEN 'failed' THEN 2 ELSE 1 END) AS worst
            FROM (
                SELECT business_date, store_id, measure, status
                FROM ops.reconciliations
                WHERE control = 'tills' AND store_id IS NOT NULL AND business_date > ?
                QUALIFY ROW_NUMBER() OVER (
                    PARTITION BY business_date, store_id, measure ORDER BY reconciled_at DESC
                ) = 1
            ) AS latest
            GROUP BY business_date, store_id
        ) AS stores
        GROUP BY business_date
        """,
        [reconciliation.as_of.date() - timedelta(days=SALES_DAYS)],
    )
    return {day: Tills(int(matched), int(pending), int(failed)) for day, matched, pending, failed in rows}
