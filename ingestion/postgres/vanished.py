"""What has vanished at the source: questions that are looked at again by each load, and tables that are empty.

A table that holds nothing although rows of it are known is not read: it may be hidden, truncated, or empty for the
moment in which somebody fills it anew. Its watermark stays, so that its hours wait, and a question is asked for the
whole table.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
from psycopg import sql

from ingestion.contracts import Entity
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, Window
from ingestion.loading.deletions import Decision, Missing, Question, settle, unanswered
from ingestion.loading.versions import not_deleted
from ingestion.postgres.compare import alive_rows, compare_day, known_differences
from ingestion.postgres.extract import attempted
from ingestion.postgres.reload import bury, reload
from ingestion.postgres.rows import SOURCE
from ingestion.postgres.snapshot import OltpSource, Snapshot, table
from ingestion.warehouse import bind

EVER = datetime(1, 1, 1)


def look_again(context: IngestContext, source: OltpSource, item: Entity, questions: list[Question]) -> list[LoadResult]:
    """Look at an entity's unanswered questions: what is back is withdrawn, what was confirmed is carried out."""
    results: list[LoadResult] = []
    for question in questions:
        if question.is_whole_table:
            results += _table_again(context, source, item, question)
        elif question.state == "confirmed" or _has_changed(context, source, item, question):
            results += reload(context, source, item, question.window)[1:]  # beside the rows read again: tombstones
    return results


def _has_changed(context: IngestContext, source: OltpSource, item: Entity, question: Question) -> bool:
    """Whether the window differs otherwise than when it was asked for, or not at all any more."""
    at_source, in_raw = compare_day(context, source, item, question.window)
    known = known_differences(context, item, question.window)
    _, differed = known.get(question.window.start.date(), (None, None))
    if differed == at_source - in_raw:
        return False
    return in_raw.rows - at_source.rows != question.missing.rows


# --- empty tables ------------------------------------------------------------------------------------------------


def is_emptied(context: IngestContext, snapshot: Snapshot, item: Entity) -> bool:
    """Whether the table holds nothing although raw knows rows of it that are not deleted."""
    if not _is_empty(snapshot, item):
        return False
    has_key = " AND ".join(f"{name} IS NOT NULL" for name in item.key)
    found = context.warehouse.rows(
        f"SELECT 1 FROM raw.{item.table} AS r WHERE updated_at IS NOT NULL AND {has_key} AND {not_deleted(item, 'r')}"
        " LIMIT 1"
    )
    return bool(found)


def ask_for_table(context: IngestContext, item: Entity) -> None:
    """Ask whether everything that is known of an entity is deleted, unless that is asked already."""
    if not any(question.is_whole_table for question in unanswered(context.warehouse, SOURCE, item.name)):
        with context.warehouse.transaction():
            settle(context, item, Window(EPOCH, context.as_of), _everything(context, item), Decision.ASK)
    context.progress(f"oltp {item.name}: the table is empty, rows of it are known: it was not read")


def _is_empty(snapshot: Snapshot, item: Entity) -> bool:
    [(is_empty,)] = snapshot.rows(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(table(item)))
    return bool(is_empty)


def _table_again(context: IngestContext, source: OltpSource, item: Entity, question: Question) -> list[LoadResult]:
    def attempt() -> bool:
        with Snapshot(source) as snapshot:
            return _is_empty(snapshot, item)

    if not attempted(source, attempt):
        with context.warehouse.transaction():
            settle(
                context,
                item,
                question.window,
                Missing(question.missing.known, 0, question.missing.keys),
                Decision.NOTHING,
            )
        return []
    if question.state != "confirmed":
        return []
    everything = _everything(context, item)
    if everything.rows != question.missing.rows:  # others than those that were confirmed
        with context.warehouse.transaction():
            settle(context, item, question.window, everything, Decision.ASK)
        return []
    return [bury(context, item, question.window, _alive(context, item), everything)]


def _everything(context: IngestContext, item: Entity) -> Missing:
    """All that raw knows of an entity is missing."""
    statement, params = bind(f"WITH {alive_rows(item)} SELECT COUNT(*) FROM alive", since=EVER)
    count = context.warehouse.value(statement, params)
    return Missing(count, count, Decimal(0))


def _alive(context: IngestContext, item: Entity) -> Iterator[pa.Table]:
    """All that raw knows of an entity, a day of changes at a time."""
    statement, params = bind(
        f"WITH {alive_rows(item)} SELECT DISTINCT CAST(updated_at AS DATE) FROM alive ORDER BY 1", since=EVER
    )
    columns = ", ".join(column.name for column in item.columns)
    for (day,) in context.warehouse.rows(statement, params):
        one_day, params = bind(
            f"WITH {alive_rows(item)} SELECT {columns} FROM alive WHERE CAST(updated_at AS DATE) = :day",
            since=datetime(day.year, day.month, day.day),
            day=day,
        )
        yield context.warehouse.arrow(one_day, params, pa.schema(item.columns))
