"""What of the past is asked for, with what the journal says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import duckdb
import pyarrow as pa

from ingestion.warehouse import Warehouse
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.journal.figures import as_published, followed
from insightmart.journal.followed import FACTS, FOLLOWED, Fact, Followed
from insightmart.reproducing.past import Publication

SHOWN = "shown"  # what the journal says, as a relation


@dataclass(frozen=True)
class PastFigures:
    """Figures of a table as they were at an instant.

    Attributes:
        table: of certified.
        followed: the aggregate, or the one that is written with the fact.
        fact: None of an aggregate.
        keys: what makes a cell, or an hour of a fact.
        values: what is compared.
        dates: business dates of an aggregate, UTC dates of a fact, that have any of it.
        where: the condition that was given.
        shown: what was shown, keys and values.
    """

    table: str
    followed: Followed
    fact: Fact | None
    keys: tuple[str, ...]
    values: tuple[str, ...]
    dates: tuple[date, ...]
    where: str
    shown: pa.Table

    @property
    def rows_asked_for(self) -> str:
        """Which rows of all that is computed again were asked for."""
        day = "CAST(event_hour AS DATE)" if self.fact else "business_date"
        days = ", ".join(f"DATE '{one}'" for one in self.dates)
        return f"{day} IN ({days}) AND ({self.where}\n)"


def ask(warehouse: Warehouse, table: str, last: Publication, where: str | None) -> PastFigures:
    """Look up what was shown after a publication.

    Raises:
        ConfigurationError: there is no such table or condition.
        InsightMartError: nothing of it was shown.
    """
    name = table.lower().removeprefix("certified.")
    fact = next((one for one in FACTS if one.table == name), None)
    one = fact.aggregate if fact else _aggregate(name)
    keys: tuple[str, ...]
    values: tuple[str, ...]
    if fact:
        parts = ", ".join(f"'{part}'" for part in fact.parts)
        query = (
            "SELECT part, event_hour, row_count, row_digest FROM ops.published_digests"
            f" WHERE part IN ({parts}) AND publication <= {last.number}"
            " QUALIFY ROW_NUMBER() OVER (PARTITION BY part, event_hour ORDER BY publication DESC) = 1"
        )
        keys, values = ("part", "event_hour"), ("row_count", "row_digest")
    else:
        query, keys, values = as_published(one, last.published_at), one.keys, one.measures
    shown = _selected(_table_of(warehouse, query), where, keys)
    if not shown.num_rows:
        raise InsightMartError(
            f"certified.{name} showed nothing of this at {last.published_at:%Y-%m-%d %H:%M} UTC",
            "Look at its life: insightmart history" if fact is None else "Hours are UTC: event_hour, part, row_count",
        )
    days = sorted({_day(value) for value in shown.column(keys[1] if fact else "business_date").to_pylist()})
    return PastFigures(name, one, fact, keys, values, tuple(days), where or "TRUE", shown)


def _aggregate(name: str) -> Followed:
    if name in {one.table for one in FOLLOWED}:
        return followed(name)
    known = ", ".join(one.table for one in (*FOLLOWED, *FACTS))
    raise ConfigurationError(f"certified.{name} is not kept as it was published", f"These are: {known}")


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value


def _table_of(warehouse: Warehouse, query: str) -> pa.Table:
    records = warehouse.records(query)
    return pa.Table.from_pylist(records) if records else pa.table({})


def _selected(shown: pa.Table, where: str | None, keys: Sequence[str]) -> pa.Table:
    """The rows that a condition chooses."""
    if not where or not shown.num_rows:
        return shown
    with duckdb.connect() as own:
        own.register(SHOWN, shown)
        own.execute("SET enable_external_access = false")
        try:
            return own.execute(f"SELECT * FROM {SHOWN} WHERE ({where}\n)").to_arrow_table()
        except duckdb.Error as error:
            raise ConfigurationError(
                f"--where: {str(error).splitlines()[0]}", f"A condition on {', '.join(keys)} and what is measured"
            ) from None
