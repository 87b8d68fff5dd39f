"""What a scan looks at: views over the physical tables under evaluation, cut to the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from ingestion.warehouse import Warehouse

PAST_WEEKS = 4
PUBLISHED_BEFORE = timedelta(days=1)


@dataclass(frozen=True)
class Published:
    """A certified table that a gate reads beside its candidates, as it stands: name, instant column, other columns."""

    table: str
    instant: str
    columns: tuple[str, ...]

    def select(self, warehouse: Warehouse, start: datetime, end: datetime) -> str:
        """Its rows of a window; none while it is not published yet."""
        there = warehouse.value(
            "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES"
            " WHERE UPPER(TABLE_SCHEMA) = 'CERTIFIED' AND UPPER(TABLE_NAME) = ?",
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
            **{name: tables[model] for name, model in self.whole.items()},
            **{name: f"{schema}.{name}" for name in [*self.weeks_before, *self.days_before, *self.published]},
        }

    @contextmanager
    def seen(
        self, warehouse: Warehouse, schema: str, tables: Mapping[str, str], start: datetime, end: datetime
    ) -> Iterator[None]:
        """The views in a schema of their own, which is gone afterwards; ``tables`` is model -> physical table."""
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
        warehouse.execute(f"CREATE SCHEMA {schema}")
        try:
            for name, (model, condition) in views.items():
                warehouse.execute(f"CREATE VIEW {schema}.{name} AS SELECT * FROM {tables[model]} WHERE {condition}")
            for name, source in self.published.items():
                selected = source.select(warehouse, start - PUBLISHED_BEFORE, end)
                warehouse.execute(f"CREATE VIEW {schema}.{name} AS {selected}")
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
