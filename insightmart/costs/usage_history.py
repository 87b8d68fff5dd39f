"""What Snowflake metered: views of SNOWFLAKE.ACCOUNT_USAGE, which are up to three hours behind.

Instants there are of the session's time zone, which is UTC.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.warehouse import DATABASE, Warehouse
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.settings import Settings

GRANT = (
    "Let an administrator run GRANT DATABASE ROLE SNOWFLAKE.USAGE_VIEWER TO ROLE {role}, and"
    " SNOWFLAKE.GOVERNANCE_VIEWER for the statements of --from-history: INSIGHTMART_AUDITOR has both"
    " (docs/snowflake-account.md)"
)

_METERED = """
SELECT usage_date AS day, 'credits' AS what, CAST(SUM(credits_billed) AS DOUBLE) AS amount
FROM snowflake.account_usage.metering_daily_history WHERE usage_date >= ? AND usage_date <= ? GROUP BY usage_date
UNION ALL
SELECT usage_date, 'bytes', CAST(SUM(storage_bytes + stage_bytes + failsafe_bytes) AS DOUBLE)
FROM snowflake.account_usage.storage_usage WHERE usage_date >= ? AND usage_date <= ? GROUP BY usage_date
ORDER BY 1, 2
"""
_BY_WAREHOUSE = """
SELECT CAST(start_time AS DATE) AS day, warehouse_name, CAST(SUM(credits_used_compute) AS DOUBLE) AS credits
FROM snowflake.account_usage.warehouse_metering_history
WHERE start_time >= ? AND start_time < ? GROUP BY 1, 2 ORDER BY 1, 2
"""
_BY_SERVICE = """
SELECT service_type, CAST(SUM(credits_billed) AS DOUBLE) AS credits
FROM snowflake.account_usage.metering_daily_history
WHERE usage_date >= ? AND usage_date < ? GROUP BY 1 ORDER BY 2 DESC, 1
"""
# What a statement says of itself, insightmart.snowflake_sessions.query_tag; tags of others may hold anything.
_BY_STATEMENT = """
SELECT warehouse_name, command, model, COUNT(*) AS statements, CAST(SUM(execution_time) AS DOUBLE) / 1000 AS seconds
FROM (
    SELECT warehouse_name, execution_time,
        REGEXP_SUBSTR(query_tag, '"run":"([a-z]+)-', 1, 1, 'e', 1) AS command,
        REGEXP_SUBSTR(query_tag, '"model":"([^"]+)"', 1, 1, 'e', 1) AS model
    FROM snowflake.account_usage.query_history
    WHERE start_time >= ? AND start_time < ? AND execution_time > 0 AND warehouse_name IS NOT NULL
) AS tagged
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_STORED = """
SELECT table_schema, CAST(SUM(active_bytes) AS DOUBLE) AS active, CAST(SUM(time_travel_bytes) AS DOUBLE) AS travel,
    CAST(SUM(failsafe_bytes + retained_for_clone_bytes) AS DOUBLE) AS kept
FROM snowflake.account_usage.table_storage_metrics WHERE table_catalog = ? GROUP BY 1 ORDER BY 2 DESC, 1
"""


@dataclass(frozen=True)
class MeteredDay:
    """Credits billed and bytes stored of the whole account on a UTC date; None: not metered."""

    day: date
    credits: float | None = None
    stored_bytes: float | None = None


@dataclass(frozen=True)
class PartOfBill:
    """What statements of one command for one model took of a warehouse's credits, its idle seconds shared out.

    Attributes:
        warehouse: as the account calls it.
        command: of the pipeline, for example ``cycle``; None: statements of somebody else.
        model: named ``layer.table``; None: no model's.
        statements: how many.
        seconds: that they took together.
        credits: of the warehouse, in proportion to seconds.
    """

    warehouse: str
    command: str | None
    model: str | None
    statements: int
    seconds: float
    credits: float

    @property
    def part(self) -> str:
        """Which part of the work it is: the layer of the model, else the command."""
        return self.model.partition(".")[0] if self.model else self.command or "others"


@dataclass(frozen=True)
class StoredSchema:
    """Bytes of a schema: what can be queried, what Time Travel keeps, what Fail-safe and clones keep."""

    schema: str
    active: float
    travel: float
    kept: float


@dataclass(frozen=True)
class UsageHistory:
    """What the account metered between two instants, the second one not included."""

    since: datetime
    until: datetime
    by_warehouse: list[tuple[date, str, float]]
    by_service: list[tuple[str, float]]
    parts: list[PartOfBill]
    stored: list[StoredSchema]


def metered_days(warehouse: Warehouse, settings: Settings, first: date, last: date) -> list[MeteredDay]:
    """Days of the account, in order, in one statement.

    Raises:
        InsightMartError: the role may not look at it.
    """
    with _explained(settings):
        found = warehouse.rows(_METERED, [first, last, first, last])
    days: dict[date, dict[str, float]] = defaultdict(dict)
    for day, what, amount in found:
        days[day][what] = amount
    return [MeteredDay(day, of.get("credits"), of.get("bytes")) for day, of in days.items()]


def usage_history(warehouse: Warehouse, settings: Settings, as_of: datetime, days: int) -> UsageHistory:
    """The last days before today, and today so far.

    Raises:
        ConfigurationError: this gateway is not metered by anybody.
        InsightMartError: the role may not look at it.
    """
    if warehouse.dialect != "snowflake":
        raise ConfigurationError(
            "only Snowflake meters what it does, and the gateway is local",
            "Set INSIGHTMART_GATEWAY=snowflake, or leave --from-history out for an estimate",
        )
    since = datetime(as_of.year, as_of.month, as_of.day) - timedelta(days=days)
    with _explained(settings):
        by_warehouse = warehouse.rows(_BY_WAREHOUSE, [since, as_of])
        by_service = warehouse.rows(_BY_SERVICE, [since.date(), as_of.date() + timedelta(days=1)])
        statements = warehouse.rows(_BY_STATEMENT, [since, as_of])
        stored = warehouse.rows(_STORED, [DATABASE])
    parts = _shared_out(by_warehouse, statements)
    return UsageHistory(since, as_of, by_warehouse, by_service, parts, [StoredSchema(*row) for row in stored])


def _shared_out(
    by_warehouse: list[tuple[date, str, float]], statements: list[tuple[str, str | None, str | None, int, float]]
) -> list[PartOfBill]:
    """Credits of each warehouse in proportion to the seconds of its statements: together they are what was metered."""
    credits: dict[str, float] = defaultdict(float)
    seconds: dict[str, float] = defaultdict(float)
    for _, name, amount in by_warehouse:
        credits[name] += amount
    for name, _, _, _, took in statements:
        seconds[name] += took
    parts = [
        PartOfBill(name, command, model, count, took, credits[name] * took / seconds[name])
        for name, command, model, count, took in statements
    ]
    asleep = [PartOfBill(name, None, None, 0, 0.0, left) for name, left in credits.items() if not seconds[name]]
    return sorted([*parts, *asleep], key=lambda part: (-part.credits, part.warehouse, part.model or ""))


@contextmanager
def _explained(settings: Settings) -> Iterator[None]:
    """What Snowflake refuses, in one line with its cure."""
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        raise InsightMartError(
            f"role {settings.snowflake_role} cannot read SNOWFLAKE.ACCOUNT_USAGE: {' '.join(str(error).split())[:200]}",
            GRANT.format(role=settings.snowflake_role),
        ) from None
