"""What the journal tells: the life of a figure, what certified said at an instant, what changed of late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingestion.warehouse import Warehouse, exact_sum
from insightmart.errors import ConfigurationError, InsightMartError
from insightmart.journal.followed import FOLLOWED, INVENTORY, SALES, Followed
from insightmart.journal.reasons import Cause, publication_at
from insightmart.runs import ProblemKind, RunProblem

# The figure of each aggregate that is shown where there is room for one.
HEADLINE = {SALES.table: "net_sales", INVENTORY.table: "closing_on_hand"}
NO_SURPRISE = (Cause.FIRST, Cause.NEW_HOURS)


@dataclass(frozen=True)
class FigureChange:
    """A measure of a cell that became another one. Instants are UTC; before None: it was not there."""

    published_at: datetime
    business_date: date
    store_id: int
    channel: str | None
    measure: str
    before: Decimal | int | None
    after: Decimal | int | None
    cause: str
    loads: str | None
    windows: str | None
    run_id: str
    plan_id: str | None
    git_sha: str | None


@dataclass(frozen=True)
class Surprise:
    """By how much figures of a business date changed after they had been published, by cause; over all its cells."""

    table: str
    business_date: date
    cause: str
    cells: int
    change: Decimal
    last_at: datetime

    @property
    def figure(self) -> str:
        """Which figure changed, in words."""
        return HEADLINE[self.table].replace("_", " ")


def followed(name: str) -> Followed:
    """The aggregate of this name, with or without ``certified.``.

    Raises:
        ConfigurationError: the journal does not follow it.
    """
    wanted = name.lower().removeprefix("certified.")
    for one in FOLLOWED:
        if one.table == wanted:
            return one
    known = " and ".join(f"certified.{one.table}" for one in FOLLOWED)
    raise ConfigurationError(f"the journal does not follow {name}", f"It follows {known}")


def life(one: Followed, where: str | None) -> str:
    """The query for every entry of cells, oldest first: when, of which cell, all measures before and after, why.

    Args:
        one: the aggregate.
        where: a condition on columns of certified.published_changes, as SQL; None for all cells.
    """
    condition = f" AND ({where}\n)" if where else ""
    measures = ", ".join(f"{name}_before, {name}_after" for name in one.measures)
    return (
        f"SELECT published_at, business_date, store_id, channel, {measures}, cause, loads, windows, run_id, plan_id,"
        f" git_sha FROM certified.published_changes WHERE table_name = '{one.table}'{condition}"
        " ORDER BY publication, business_date, store_id, channel"
    )


def changes(one: Followed, entries: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> list[FigureChange]:
    """Entries measure by measure: those that changed.

    Args:
        one: the aggregate.
        entries: what ``life`` gives.
        measures: which are asked for.
    """
    shared = ("published_at", "business_date", "store_id", "channel")
    why = ("cause", "loads", "windows", "run_id", "plan_id", "git_sha")
    return [
        FigureChange(
            **{name: entry[name] for name in (*shared, *why)},
            measure=name,
            before=entry[f"{name}_before"],
            after=entry[f"{name}_after"],
        )
        for entry in entries
        for name in one.measures
        if name in measures and entry[f"{name}_before"] != entry[f"{name}_after"]
    ]


def as_published(one: Followed, instant: datetime) -> str:
    """The query for what certified said of an aggregate at an instant (UTC): its keys and measures.

    Of stock the sums of each store and date; products are not followed one by one.
    """
    return (
        f"SELECT {', '.join(one.keys)}, {', '.join(f'{name}_after AS {name}' for name in one.measures)} FROM ("
        "SELECT * FROM certified.published_changes"
        f" WHERE table_name = '{one.table}' AND published_at <= CAST('{instant}' AS TIMESTAMP)"
        f" QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(one.keys)} ORDER BY publication DESC) = 1"
        f") AS shown WHERE NOT ({' AND '.join(f'{name}_after IS NULL' for name in one.measures)})"
    )


def not_begun(warehouse: Warehouse, instant: datetime | None = None) -> InsightMartError:
    """What to say where the journal knows nothing (up to an instant, UTC), with when it begins."""
    if instant is None:
        return InsightMartError("this warehouse has no journal yet", "The next cycle begins one: insightmart cycle")
    first = warehouse.value("SELECT MIN(published_at) FROM ops.publications")
    return InsightMartError(
        f"nothing had been published by {instant:%Y-%m-%d %H:%M} UTC",
        f"The journal begins at {first:%Y-%m-%d %H:%M} UTC" if first else "It is empty: run a cycle, insightmart cycle",
    )


def surprises(warehouse: Warehouse, as_of: datetime, since: timedelta = timedelta(days=1)) -> list[Surprise]:
    """Figures that changed after they had been published, but for days that went on; newest business date first."""
    figures = " ".join(
        f"WHEN '{table}' THEN COALESCE({figure}_after, 0) - COALESCE({figure}_before, 0)"
        for table, figure in HEADLINE.items()
    )
    rows = warehouse.rows(
        "SELECT table_name, business_date, cause, COUNT(DISTINCT COALESCE(channel, '') || store_id),"
        f" {exact_sum(f'CASE table_name {figures} END')}, MAX(published_at)"
        " FROM ops.published_changes WHERE published_at > ? AND published_at <= ? AND NOT cause IN (?, ?)"
        " GROUP BY table_name, business_date, cause ORDER BY table_name DESC, business_date DESC, cause",
        [as_of - since, as_of, *map(str, NO_SURPRISE)],
    )
    return [Surprise(*row) for row in rows]


def disagreements(warehouse: Warehouse, first: date, last: date) -> int:
    """How many cells of sales of these business dates (both included) are not what the journal says of them."""
    keys = ", ".join(SALES.keys)
    totals = ", ".join(
        f"SUM(COALESCE({name}_after, 0) - COALESCE({name}_before, 0)) AS {name}" for name in SALES.measures
    )
    differs = " OR ".join(f"COALESCE(c.{name}, 0) <> COALESCE(j.{name}, 0)" for name in SALES.measures)
    return int(
        warehouse.value(
            f"""
            SELECT COUNT(*)
            FROM ({SALES.cells.format(dates="business_date BETWEEN ? AND ?")}) AS c
            FULL OUTER JOIN (
                SELECT {keys}, {totals} FROM ops.published_changes
                WHERE table_name = '{SALES.table}' AND business_date BETWEEN ? AND ? GROUP BY {keys}
            ) AS j ON {" AND ".join(f"c.{key} = j.{key}" for key in SALES.keys)}
            WHERE {differs}
            """,
            [first, last, first, last],
        )
    )


def unexplained(warehouse: Warehouse, since: datetime) -> list[RunProblem]:
    """Figures that no evaluation explains, written down since an instant of the clock (UTC), as problems of a run."""
    rows = warehouse.rows(
        "SELECT table_name, COUNT(*), MIN(business_date), MAX(business_date) FROM ops.published_changes"
        " WHERE publication >= ? AND cause = ? GROUP BY table_name ORDER BY table_name",
        [publication_at(since), str(Cause.UNEXPLAINED)],
    )
    return [
        RunProblem(
            ProblemKind.RECONCILIATION,
            f"certified.{table}",
            f"{cells} published figure{'s' if cells > 1 else ''} of certified.{table} changed ({first} to {last}), and"
            " no load, correction or version of the models explains it",
            f"Look at `insightmart history {table} --where \"cause = 'unexplained'\"`, and restate these dates",
        )
        for table, cells, first, last in rows
    ]
