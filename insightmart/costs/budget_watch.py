"""Whether the month will stay in its budget: a forecast of Snowflake's bill, and a problem before it is too late."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.warehouse import Warehouse
from insightmart.costs.price_table import CREDIT, STORAGE, read_prices
from insightmart.costs.usage_history import MeteredDay, metered_days
from insightmart.errors import InsightMartError
from insightmart.runs import ProblemKind, RunProblem
from insightmart.settings import Settings

WARN_AT = 80  # percent of the budget
PACE_OF = 7  # days whose average goes on
BUDGET = "budget"

_CURE = (
    "See which warehouse and model it is: `insightmart cost --from-history`; then a smaller size, a shorter sleep,"
    " fewer candidates (deploy/snowflake/account.yml), or a larger BUDGET_USD. Resource monitors stop warehouses at"
    " their quota"
)
_UNSEEN = "Until then nobody is told before the month has cost too much, but by the resource monitors"


@dataclass(frozen=True)
class MonthForecast:
    """A month of Snowflake, in dollars; AWS is not in it.

    Attributes:
        month: its first day.
        spent: credits of its complete days.
        pace: credits a day, on average of the last complete days.
        computing: what all of its credits will cost.
        storing: what is stored now, for a month.
    """

    month: date
    spent: float
    pace: float
    computing: float
    storing: float

    @property
    def usd(self) -> float:
        """All of it."""
        return self.computing + self.storing


def forecast(
    days: Sequence[MeteredDay], today: date, usd_a_credit: float, usd_a_terabyte: float
) -> MonthForecast | None:
    """What this month will cost if it goes on as in the last days; None where no complete day was metered.

    Args:
        days: metered days, from the last week of the month before on.
        today: of which only a part is metered.
        usd_a_credit: price of a credit.
        usd_a_terabyte: price of a terabyte and month.
    """
    credits = {one.day: one.credits for one in days if one.credits is not None and one.day < today}
    if not credits:
        return None
    first = today.replace(day=1)
    recent = max(min(credits), today - timedelta(days=PACE_OF))
    pace = sum(amount for day, amount in credits.items() if day >= recent) / (today - recent).days
    spent = sum(amount for day, amount in credits.items() if day >= first)
    left = monthrange(today.year, today.month)[1] - (today - first).days
    stored = [one.stored_bytes for one in days if one.stored_bytes is not None]
    return MonthForecast(
        first,
        spent,
        pace,
        (spent + pace * left) * usd_a_credit,
        stored[-1] / 1e12 * usd_a_terabyte if stored else 0.0,
    )


def forecast_of_month(warehouse: Warehouse, settings: Settings, as_of: datetime) -> MonthForecast | None:
    """The same, asked of the account with one statement.

    Raises:
        InsightMartError: the role may not look at it.
    """
    today = as_of.date()
    days = metered_days(warehouse, settings, today.replace(day=1) - timedelta(days=PACE_OF), today)
    return forecast(days, today, credit_price(settings), read_prices().usd(STORAGE))


def credit_price(settings: Settings) -> float:
    """Dollars a credit: of the contract, else of the table of prices."""
    return settings.snowflake_credit_usd or read_prices().usd(CREDIT)


def watch_budget(warehouse: Warehouse, settings: Settings, as_of: datetime) -> list[RunProblem]:
    """A problem when Snowflake will cost more than most of BUDGET_USD this month, or when nobody can tell.

    On DuckDB there is nothing to watch. It fails nothing: a cycle that costs too much publishes all the same.
    """
    if warehouse.dialect != "snowflake":
        return []
    try:
        found = forecast_of_month(warehouse, settings, as_of)
    except InsightMartError as error:
        return [RunProblem(ProblemKind.COST, BUDGET, error.cause, f"{error.cure}. {_UNSEEN}")]
    if found is None or found.usd < settings.budget_usd * WARN_AT / 100:
        return []
    percent = found.usd / settings.budget_usd  # more than 1: over it
    said = (
        f"Snowflake will cost about {found.usd:,.0f} USD in {found.month:%B %Y}, {percent:.0%} of the budget of"
        f" {settings.budget_usd:,} USD: {found.spent:,.0f} credits so far, {found.pace:,.0f} a day"
    )
    kind = ProblemKind.OVER_BUDGET if percent > 1 else ProblemKind.COST
    return [RunProblem(kind, BUDGET, said, _CURE)]
