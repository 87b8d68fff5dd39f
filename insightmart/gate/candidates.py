"""What a scan looks at: views over the physical tables under evaluation, cut to the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from sqlglot import exp

from ingestion.warehouse import Warehouse

PAST_WEEKS = 4
PUBLISHED_BEFORE = timedelta(days=1)
# On Snowflake the views are temporary: they stand in this schema for their session alone, and end with it. One that a
# session shows already is replaced by the next scan in it.
TEMPORARY = "OPS"


@dataclass(frozen=True)
class Published:
    """A certified table that a gate reads beside its candidates, as it stands: name, instant column, other columns."""

    table: str
    instant: str
    columns: tuple[str, ...]

    def select(self, warehouse: Warehouse, start: datetime, end: datetime) -> str:
        """Its rows of a window; none while it is not published yet."""
        there = warehouse.value(
            "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'CERTIFIED' AND TABLE_NAME = ?",
            [self.table.upper()],
        )
        if there:
            listed = ", ".join(self.columns)
            return f"SELECT {listed} FROM certified.{self.table} WHERE {_bounds(self.instant, start, end)}"
        return f"SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {column}' for column in self.columns)} WHERE FALSE"


@dataclass(frozen=True)
class Candidates:
    """What the checks of a gate look at, by the names the checks use; a model is named as in the project.

    Attributes:
        datasets: (model, column of its instant or date) cut to the window; without a column the whole table.
        changed_since: (model, column), cut to what changed since the window began.
        weeks_before: (model, column), cut to the same window of each of the last 4 weeks.
        days_before: (model, column, days), cut to so many days before the window.
        whole: models to look keys up in.
        published: what is certified, of the window and the day before it.
    """

    datasets: Mapping[str, tuple[str, str | None]]
    changed_since: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    weeks_before: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    days_before: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)

    def models(self) -> list[str]:
        """Every model that is looked at, once."""
        cut = [*self.datasets.values(), *self.changed_since.values(), *self.weeks_before.values()]
        before = [model for model, _, _ in self.days_before.values()]
        return list(dict.fromkeys([*(model for model, _ in cut), *before, *self.whole.values()]))

    def variables(self, schema: str, tables: Mapping[str, str]) -> dict[str, str]:
        """The variables of the checks that name something looked at."""
        return {
            "SCHEMA": schema,
            "CANDIDATE_COLUMNS": self._columns(tables),
            **{name: tables[model] for name, model in self.whole.items()},
            **{name: f"{schema}.{name}" for name in [*self.weeks_before, *self.days_before, *self.published]},
        }

    def _columns(self, tables: Mapping[str, str]) -> str:
        """The columns of the physical tables that the datasets are views of, by the names of the datasets, as SQL.

        Of the tables and not of the views: who asks for a temporary view may be told nothing. The names are exact, as
        a function around a column of INFORMATION_SCHEMA would read all of it.
        """
        cut = {**self.datasets, **self.changed_since}
        found = {name: exp.to_table(tables[model], dialect="snowflake") for name, (model, _) in cut.items()}
        named = " ".join(f"WHEN '{table.name}' THEN '{name}'" for name, table in found.items())
        schemas = ", ".join(f"'{schema}'" for schema in sorted({table.db for table in found.values()}))
        listed = ", ".join(f"'{table.name}'" for table in found.values())
        return (
            f"(SELECT CASE TABLE_NAME {named} END AS TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS"
            f" WHERE TABLE_SCHEMA IN ({schemas}) AND TABLE_NAME IN ({listed}))"
        )

    @contextmanager
    def seen(
        self, warehouse: Warehouse, schema: str, tables: Mapping[str, str], start: datetime, end: datetime
    ) -> Iterator[None]:
        """The views: temporary ones on Snowflake, on DuckDB in a schema of their own, which is gone afterwards.

        Args:
            warehouse: the connection that will be scanned.
            schema: where the views stand.
            tables: model -> physical table.
            start: first instant of the window.
            end: first instant after it.
        """
        views = {
            name: (model, _bounds(column, start, end) if column else "TRUE")
            for name, (model, column) in self.datasets.items()
        }
        views |= {
            name: (model, f"{column} >= TIMESTAMP '{start}'") for name, (model, column) in self.changed_since.items()
        }
        views |= {
            name: (model, _weeks_before(column, start, end)) for name, (model, column) in self.weeks_before.items()
        }
        views |= {
            name: (model, _bounds(column, start - timedelta(days=days), start))
            for name, (model, column, days) in self.days_before.items()
        }
        selected = {
            name: f"SELECT * FROM {tables[model]} WHERE {condition}" for name, (model, condition) in views.items()
        }
        selected |= {
            name: source.select(warehouse, start - PUBLISHED_BEFORE, end) for name, source in self.published.items()
        }
        if warehouse.dialect == "snowflake":
            for name, query in selected.items():
                warehouse.execute(f"CREATE OR REPLACE TEMPORARY VIEW {schema}.{name} AS {query}")
            yield
            return
        warehouse.execute(f"CREATE SCHEMA {schema}")
        try:
            for name, query in selected.items():
                warehouse.execute(f"CREATE VIEW {schema}.{name} AS {query}")
            yield
        finally:
            warehouse.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def asked_window(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The half-open window in UTC without a zone."""
    first, last = start.replace(tzinfo=None), end.replace(tzinfo=None)
    if last.microsecond == 999999:  # SQLMesh makes the end inclusive for Python models
        last += timedelta(microseconds=1)
    return first, last


def whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The UTC dates that a window touches."""
    last_day = (end - timedelta(microseconds=1)).date()
    return datetime.combine(start.date(), time.min), datetime.combine(last_day, time.min) + timedelta(days=1)


def _bounds(column: str, start: datetime, end: datetime) -> str:
    # Both values come from SQLMesh's own intervals; a view cannot bind parameters.
    return f"{column} >= TIMESTAMP '{start}' AND {column} < TIMESTAMP '{end}'"


def _weeks_before(column: str, start: datetime, end: datetime) -> str:
    weeks = [timedelta(weeks=week) for week in range(1, PAST_WEEKS + 1)]
    return " OR ".join(f"({_bounds(column, start - week, end - week)})" for week in weeks)
