"""Certified net sales of the last two weeks by business date and store, and each date against the week before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from ingestion.warehouse import Warehouse, exact_sum

DAYS = 7
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class WeekDay:
    """Net sales of a business date and of the same weekday one week before; None: nothing is certified of it."""

    business_date: date
    net_sales: Decimal | None
    week_before: Decimal | None

    @property
    def change(self) -> Decimal | None:
        """Percent more or less than the week before, to a tenth; None where it cannot be said."""
        if self.net_sales is None or not self.week_before:
            return None
        return (100 * (self.net_sales - self.week_before) / self.week_before).quantize(Decimal("0.1"))


@dataclass(frozen=True)
class Weeks:
    """The last seven business dates against the week before, over all stores and by store, oldest first."""

    all: tuple[WeekDay, ...]
    by_store: Mapping[int, tuple[WeekDay, ...]]


def weeks(warehouse: Warehouse, existing: set[str], as_of: datetime) -> Weeks | None:
    """Net sales of the last seven business dates before an instant's UTC date, and of that one; None before any."""
    if "certified.agg_sales_daily" not in existing:
        return None
    last = as_of.date()
    rows = warehouse.rows(
        f"SELECT business_date, store_id, {exact_sum('net_sales')} FROM certified.agg_sales_daily"
        " WHERE business_date > ? AND business_date <= ? GROUP BY business_date, store_id",
        [last - timedelta(days=DAYS) - WEEK, last],
    )
    if not rows:
        return None
    total: dict[date, Decimal] = {}
    stores: dict[int, dict[date, Decimal]] = {}
    for day, store_id, amount in rows:
        stores.setdefault(int(store_id), {})[day] = amount
        total[day] = total.get(day, Decimal(0)) + amount
    dates = [last - timedelta(days=back) for back in reversed(range(DAYS))]
    return Weeks(_against(dates, total), {store: _against(dates, found) for store, found in stores.items()})


def _against(dates: list[date], amounts: Mapping[date, Decimal]) -> tuple[WeekDay, ...]:
    return tuple(WeekDay(day, amounts.get(day), amounts.get(day - WEEK)) for day in dates)
