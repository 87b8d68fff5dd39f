"""What a scan looks at: views over the physical tables under evaluation, cut to the window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from sqlglot import exp

from ingestion.loading.context import Window
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
class Hourly:
    """A fact by hours: a gate looks at the hours to be published, and at those that are not published as they are.

    What is published has been scanned. An hour that equals it is not scanned again each time that a figure of its date
    is published; one that a gate refused, or that changed since, is.

    Attributes:
        model: the fact.
        hour: its column of the hour.
        published: certified table of the same rows.
        columns: what makes two rows the same.
        all_rows: variable of the checks that names its rows of the whole dates, for sums that figures of a date are
            compared with.
    """

    model: str
    hour: str
    published: str
    columns: tuple[str, ...]
    all_rows: str

    def condition(self, warehouse: Warehouse, table: str, asked: Window, dates: Window) -> str:
        """What a view of it is cut by.

        Args:
            warehouse: open connection.
            table: physical table of the model.
            asked: the hours to be published.
            dates: whole dates around them.
        """
        asked_for = _bounds(self.hour, asked.start, asked.end)
        around = f"{_bounds(self.hour, dates.start, dates.end)} AND NOT ({asked_for})"
        found = warehouse.value(
            "SELECT COUNT(*) FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'CERTIFIED' AND TABLE_NAME = ?"
            f" AND COLUMN_NAME IN ({', '.join('?' * len(self.columns))})",
            [self.published.upper(), *(column.upper() for column in self.columns)],
        )
        if found < len(self.columns):  # not published yet, or in another form
            return _bounds(self.hour, dates.start, dates.end)
        digest = f"SELECT {self.hour}, COUNT(*) AS row_count, SUM(HASH({', '.join(self.columns)})) AS content"
        changed = warehouse.rows(
            f"SELECT c.{self.hour} FROM ({digest} FROM {table} WHERE {around} GROUP BY 1) AS c"
            f" LEFT JOIN ({digest} FROM certified.{self.published} WHERE {around} GROUP BY 1) AS p"
            f" ON p.{self.hour} = c.{self.hour} AND p.row_count = c.row_count AND p.content = c.content"
            f" WHERE p.{self.hour} IS NULL ORDER BY 1"
        )
        return " OR ".join([f"({asked_for})", *(f"{self.hour} = TIMESTAMP '{hour}'" for (hour,) in changed)])


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
        hourly: facts of which not the whole window is looked at, where that is whole dates.
    """

    datasets: Mapping[str, tuple[str, str | None]]
    changed_since: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    weeks_before: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    days_before: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)
    hourly: Mapping[str, Hourly] = field(default_factory=dict)

    def models(self) -> list[str]:
        """Every model that is looked at, once."""
        cut = [*self.datasets.values(), *self.changed_since.values(), *self.weeks_before.values()]
        before = [model for model, _, _ in self.days_before.values()]
        hourly = [fact.model for fact in self.hourly.values()]
        return list(dict.fromkeys([*(model for model, _ in cut), *before, *hourly, *self.whole.values()]))

    def variables(self, schema: str, tables: Mapping[str, str]) -> dict[str, str]:
        """The variables of the checks that name something looked at."""
        return {
            "SCHEMA": schema,
            "CANDIDATE_COLUMNS": self._columns(tables),
            **{name: tables[model] for name, model in self.whole.items()},
            **{name: f"{schema}.{name}" for name in [*self.weeks_before, *self.days_before, *self.published]},
            **{fact.all_rows: f"{schema}.{fact.all_rows}" for fact in self.hourly.values()},
        }

    def _columns(self, tables: Mapping[str, str]) -> str:
        """The columns of the physical tables that the datasets are views of, by the names of the datasets, as SQL.

        Of the tables and not of the views: who asks for a temporary view may be told nothing. The names are exact, as
        a function around a column of INFORMATION_SCHEMA would read all of it.
        """
        cut = {name: model for name, (model, _) in {**self.datasets, **self.changed_since}.items()}
        cut |= {name: fact.model for name, fact in self.hourly.items()}
        found = {name: exp.to_table(tables[model], dialect="snowflake") for name, model in cut.items()}
        named = " ".join(f"WHEN '{table.name}' THEN '{name}'" for name, table in found.items())
        schemas = ", ".join(f"'{schema}'" for schema in sorted({table.db for table in found.values()}))
        listed = ", ".join(f"'{table.name}'" for table in found.values())
        return (
            f"(SELECT CASE TABLE_NAME {named} END AS TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS"
            f" WHERE TABLE_SCHEMA IN ({schemas}) AND TABLE_NAME IN ({listed}))"
        )

    @contextmanager
    def seen(
        self, warehouse: Warehouse, schema: str, tables: Mapping[str, str], window: Window, asked: Window
    ) -> Iterator[None]:
        """The views: temporary ones on Snowflake, on DuckDB in a schema of their own, which is gone afterwards.

        Args:
            warehouse: the connection that will be scanned.
            schema: where the views stand.
            tables: model -> physical table.
            window: what the checks look at.
            asked: the part of it that is to be published.
        """
        start, end = window.start, window.end
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
        views |= {
            name: (fact.model, fact.condition(warehouse, tables[fact.model], asked, window))
            for name, fact in self.hourly.items()
        }
        views |= {fact.all_rows: (fact.model, _bounds(fact.hour, start, end)) for fact in self.hourly.values()}
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


def asked_window(start: datetime, end: datetime) -> Window:
    """The half-open window in UTC without a zone."""
    first, last = start.replace(tzinfo=None), end.replace(tzinfo=None)
    if last.microsecond == 999999:  # SQLMesh makes the end inclusive for Python models
        last += timedelta(microseconds=1)
    return Window(first, last)


def whole_days(window: Window) -> Window:
    """The UTC dates that a window touches."""
    last_day = (window.end - timedelta(microseconds=1)).date()
    first = datetime.combine(window.start.date(), time.min)
    return Window(first, datetime.combine(last_day, time.min) + timedelta(days=1))


def _bounds(column: str, start: datetime, end: datetime) -> str:
    # Both values come from SQLMesh's own intervals; a view cannot bind parameters.
    return f"{column} >= TIMESTAMP '{start}' AND {column} < TIMESTAMP '{end}'"


def _weeks_before(column: str, start: datetime, end: datetime) -> str:
    weeks = [timedelta(weeks=week) for week in range(1, PAST_WEEKS + 1)]
    chosen = " OR ".join(f"({_bounds(column, start - week, end - week)})" for week in weeks)
    # the range prunes, a choice of hours would not
    return f"{_bounds(column, start - weeks[-1], end - weeks[0])} AND ({chosen})"
