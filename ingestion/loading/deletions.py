"""Whether rows that a source no longer shows are deleted: a few are, many are a question that somebody answers.

Rows that raw holds and the source shows nowhere any more may be deleted, hidden by a right or a filter, or gone for a
moment. Up to a share of what is known they are taken for deleted. Beyond it, and wherever nothing at all is left,
nothing becomes a tombstone: the question stands in ``ops.deletion_questions`` and is looked at again by every load. It
closes by itself when the rows are back, or when it was confirmed and the same rows are still missing.

States of a question: ``open``; ``confirmed``, to be carried out by the next load; ``deleted``, carried out;
``withdrawn``, the rows are back; ``superseded``, other rows are missing by now and another question asks for them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.contracts import Entity
from ingestion.loading.context import EPOCH, IngestContext, Window
from ingestion.loading.intervals import overlaps
from ingestion.warehouse import Warehouse

DAYS_BACK = 8  # days of changes that are compared with a source; corrections come up to 7 days late
UNANSWERED = ("open", "confirmed")


@dataclass(frozen=True)
class Missing:
    """Rows of a window that raw holds and the source shows nowhere any more.

    Attributes:
        known: rows that raw holds of the window.
        rows: of these, how many are missing.
        keys: sum of a 64-bit digest of each missing key: tells whether the same rows are missing as before.
    """

    known: int
    rows: int
    keys: Decimal


@dataclass(frozen=True)
class Question:
    """A row of ``ops.deletion_questions``. Instants are UTC; a window from ``EPOCH`` on is the whole table."""

    question_id: str
    source: str
    entity: str
    window: Window
    missing: Missing
    asked_at: datetime
    state: str
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    reason: str | None = None
    closed_at: datetime | None = None
    load_id: str | None = None

    @property
    def is_whole_table(self) -> bool:
        """Whether it asks for everything that is known of the entity."""
        return self.window.start == EPOCH

    @property
    def day(self) -> date | None:
        """The UTC day of changes it asks for; None for the whole table."""
        return None if self.is_whole_table else self.window.start.date()


class Decision(Enum):
    """What becomes of missing rows."""

    DELETE = "delete"
    ASK = "ask"
    NOTHING = "nothing"  # none is missing


def digest(rows: pa.Table, item: Entity) -> Decimal:
    """The sum over rows of a 64-bit digest of their key, in any order of rows; adds up over parts."""
    if not rows.num_rows:
        return Decimal(0)
    key = ", ".join(f"CAST({name} AS VARCHAR)" for name in item.key)
    with duckdb.connect() as scratch:
        scratch.register("missing_rows", rows.select(list(item.key)))
        found = scratch.execute(
            f"SELECT SUM(CAST(md5_number_lower(CONCAT_WS('|', {key})) AS HUGEINT)) FROM missing_rows"
        ).fetchone()
    assert found is not None
    return Decimal(found[0])


def decide(context: IngestContext, item: Entity, window: Window, missing: Missing) -> Decision:
    """What becomes of the rows that are missing in a window.

    They are deleted where a confirmed question asks for just these rows, or where they are few: not all of those known,
    and no more than the share and the number of rows that ``context.deletions`` lets go. ``settle`` has to follow, in
    the transaction that records what was done.
    """
    if not missing.rows:
        return Decision.NOTHING
    confirmed = any(
        question.state == "confirmed" and question.window == window and _same(question.missing, missing)
        for question in unanswered(context.warehouse, item.source, item.name)
    )
    return Decision.DELETE if confirmed or context.deletions.allow(missing.known, missing.rows) else Decision.ASK


def settle(
    context: IngestContext,
    item: Entity,
    window: Window,
    missing: Missing,
    decision: Decision,
    load_id: str | None = None,
) -> None:
    """Close the questions of a window that its decision answers, and ask the new one. Call it inside a transaction."""
    stays = False
    for question in unanswered(context.warehouse, item.source, item.name):
        if not overlaps(question.window, window):
            continue
        same = question.window == window and _same(question.missing, missing)
        if decision is Decision.ASK and same:
            stays = True
        elif decision is Decision.ASK:
            _close(context, question, "superseded")
        elif decision is Decision.DELETE and same and question.state == "confirmed":
            _close(context, question, "deleted", load_id)
        else:
            _close(context, question, "withdrawn")
    if decision is Decision.ASK and not stays:
        _ask(context, item, window, missing)


def _same(one: Missing, other: Missing) -> bool:
    return (one.rows, one.keys) == (other.rows, other.keys)


def _ask(context: IngestContext, item: Entity, window: Window, missing: Missing) -> None:
    row = {
        "question_id": uuid.uuid4().hex[:8],
        "source": item.source,
        "entity": item.name,
        "day": None if window.start == EPOCH else window.start.date(),
        "window_start": window.start,
        "window_end": window.end,
        "rows_known": missing.known,
        "rows_missing": missing.rows,
        "missing_keys": missing.keys,
        "asked_at": context.as_of,
        "state": "open",
    }
    context.warehouse.insert("ops.deletion_questions", [row])


def _close(context: IngestContext, question: Question, state: str, load_id: str | None = None) -> None:
    context.warehouse.execute(
        "UPDATE ops.deletion_questions SET state = ?, closed_at = ?, load_id = ? WHERE question_id = ?",
        [state, context.as_of, load_id, question.question_id],
    )


def unanswered(warehouse: Warehouse, source: str, entity: str | None = None) -> list[Question]:
    """The questions of a source, or of one entity of it, that are open, or confirmed and not carried out yet."""
    found = questions(warehouse, UNANSWERED)
    return [one for one in found if one.source == source and entity in (None, one.entity)]


def questions(warehouse: Warehouse, states: Sequence[str] = ()) -> list[Question]:
    """All questions, or those in some states, by source, entity and window."""
    among = f" WHERE state IN ({', '.join('?' * len(states))})" if states else ""
    found = warehouse.records(
        "SELECT question_id, source, entity, window_start, window_end, rows_known, rows_missing, missing_keys,"
        " asked_at, state, confirmed_by, confirmed_at, reason, closed_at, load_id"
        f" FROM ops.deletion_questions{among} ORDER BY source, entity, window_start, asked_at",
        list(states),
    )
    return [_question(row) for row in found]


def _question(row: dict[str, Any]) -> Question:
    window = Window(row.pop("window_start"), row.pop("window_end"))
    missing = Missing(row.pop("rows_known"), row.pop("rows_missing"), Decimal(row.pop("missing_keys")))
    return Question(window=window, missing=missing, **row)


def confirm(warehouse: Warehouse, question_ids: Sequence[str], actor: str, reason: str, at: datetime) -> list[Question]:
    """Say that the rows of open questions are deleted indeed; the next load carries it out. Returns the questions.

    Args:
        warehouse: where the questions are.
        question_ids: all of them are confirmed, or none.
        actor: who says so.
        reason: why, in a sentence.
        at: when, UTC without a zone.

    Raises:
        KeyError: one of them is unknown, or not open any more; its argument says which and why.
    """
    found = {question.question_id: question for question in questions(warehouse)}
    for question_id in question_ids:
        if question_id not in found:
            raise KeyError(f"there is no question {question_id}")
        if found[question_id].state != "open":
            raise KeyError(f"question {question_id} is not open any more, it is {found[question_id].state}")
    with warehouse.transaction():
        for question_id in question_ids:
            warehouse.execute(
                "UPDATE ops.deletion_questions SET state = 'confirmed', confirmed_by = ?, confirmed_at = ?, reason = ?"
                " WHERE question_id = ? AND state = 'open'",
                [actor, at, reason, question_id],
            )
    return [question for question in questions(warehouse) if question.question_id in set(question_ids)]
