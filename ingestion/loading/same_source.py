"""Whether a source is still the one that was read before: it has the orders that were loaded last.

A setting that names another database or shop, a copy of last night or one for trying things, would be read like any
other: its rows would become sales, and those of the right one would be missed, with nothing to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ingestion.contracts import Entity
from ingestion.loading.context import IngestContext, SourceError
from ingestion.loading.intervals import DAY
from ingestion.loading.planning import covered_through
from ingestion.loading.versions import not_deleted

FEW = 5  # so few may all be deleted
NEWEST = 200


class AnotherSourceError(SourceError):
    """A source that has nothing of what was loaded from it: nothing is to be read there."""


def newest_known(
    context: IngestContext,
    item: Entity,
    columns: Sequence[str],
    shown: datetime | None = None,
    at_most: int = NEWEST,
) -> list[tuple[Any, ...]]:
    """The orders that were loaded last, of a day at the most; none where they are few.

    Args:
        context: the run.
        item: the entity of the orders.
        columns: what is asked of each: what no change of the order changes.
        shown: until when the source can show changes, UTC without a zone; None: all of them.
        at_most: so many.
    """
    covered = covered_through(context, item.source, item.name)
    if covered is None:
        return []
    until = covered if shown is None else min(covered, shown)
    wanted = ", ".join(columns)
    there = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    found = context.warehouse.rows(
        f"SELECT {wanted} FROM raw.{item.table} AS r WHERE updated_at >= ? AND updated_at < ? AND {there}"
        f" AND {not_deleted(item, 'r')} GROUP BY {wanted} ORDER BY MAX(updated_at) DESC LIMIT {at_most}",
        [until - DAY, until],
    )
    return found if len(found) >= FEW else []


def another(context: IngestContext, item: Entity, whose: str, setting: str, count: int) -> AnotherSourceError:
    """What is said of a source that has none of the orders that were loaded last.

    Args:
        context: the run.
        item: the entity of the orders.
        whose: what it is, ``database`` or ``shop``.
        setting: the one that names it.
        count: how many orders it was asked for.
    """
    covered = covered_through(context, item.source, item.name) or context.as_of
    return AnotherSourceError(
        item.source,
        f"it has none of the {count} orders that were loaded last: it is another {whose} than before, or an older copy"
        " of it; nothing was read",
        f"Correct {setting}. If this is the right {whose} all the same, put back to an earlier state or moved, read on"
        f" once with `insightmart ingest {item.source} --from {covered:%Y-%m-%dT%H:%M} --to"
        f" {context.as_of:%Y-%m-%dT%H:%M}`; what it has lost is asked about (docs/confirm-deletions.md)",
    )
