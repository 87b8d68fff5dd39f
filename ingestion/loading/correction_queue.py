"""The queue ``ops.correction_windows``: event windows that a load touched after the models had been given them.

A load reads changes (``updated_at``), the models compute events (``ordered_at``, ``refunded_at``). A row that is new or
changed touches the hour its event stands in now and every hour an earlier version of it stood in: each source says
which those are (``touched_windows``). Hours that were not released yet (at or after the watermark that held before the
load) need nothing: the models have not seen them.

The work is SQL on the warehouse and follows the size of the load: history is only probed with the keys of changed rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ingestion.loading.context import IngestContext, Notice, Window
from ingestion.loading.horizon import gone, purged_before
from ingestion.loading.intervals import HOUR, merge_hours
from ingestion.warehouse import bind


@dataclass(frozen=True)
class Correction:
    """A range of whole UTC hours to restate.

    ``source`` is ``oltp``, ``shopify`` or ``stores``; ``entity`` is what to restate, ``sales`` or ``inventory``;
    ``rows`` counts the row versions whose events stand in the window.
    """

    source: str
    entity: str
    window: Window
    load_id: str
    rows: int
    reason: str


def queue(context: IngestContext, corrections: Iterable[Correction]) -> int:
    """Queue corrections as open; one that is open already for the same hours is left out. Returns how many were queued.

    Call it inside the transaction that records the load.
    """
    queued = 0
    for correction in _computable(context, list(corrections)):
        found = context.warehouse.value(
            "SELECT COUNT(*) FROM ops.correction_windows WHERE status = 'open' AND source = ? AND entity = ?"
            " AND window_start = ? AND window_end = ?",
            [correction.source, correction.entity, correction.window.start, correction.window.end],
        )
        if not found:
            context.warehouse.insert("ops.correction_windows", [_queue_row(context, correction)])
            queued += 1
    return queued


def _computable(context: IngestContext, corrections: list[Correction]) -> list[Correction]:
    """The corrections, or parts of them, whose raw is there; the others are written down as ``purged``, and said."""
    horizon = purged_before(context.warehouse) if corrections else None
    if horizon is None:
        return corrections
    before = [one for one in corrections if one.window.start < horizon]
    for one in before:
        gone_part = replace(one, window=Window(one.window.start, min(one.window.end, horizon)))
        row = _queue_row(context, gone_part) | {"status": "purged", "closed_at": context.as_of}
        context.warehouse.insert("ops.correction_windows", [row])
    if before:
        first = min(one.window.start for one in before)
        context.notices.append(
            Notice(
                f"{before[0].source}_{before[0].entity}",
                gone(horizon, f"a change of {before[0].source} {before[0].entity} of {first:%Y-%m-%d %H:%M}"),
                "The rows are in raw, for the record; `insightmart ledger note` if finance has to know",
            )
        )
    kept = [one for one in corrections if one.window.end > horizon]
    return [replace(one, window=Window(max(one.window.start, horizon), one.window.end)) for one in kept]


def _queue_row(context: IngestContext, correction: Correction) -> dict[str, Any]:
    return {
        "window_id": uuid.uuid4().hex,
        "source": correction.source,
        "entity": correction.entity,
        "window_start": correction.window.start,
        "window_end": correction.window.end,
        "reason": correction.reason,
        "load_id": correction.load_id,
        "rows": correction.rows,
        "queued_at": context.as_of,
        "status": "open",
        "attempts": 0,
    }


def released_corrections(
    context: IngestContext, source: str, subject: str, load_id: str, released: datetime | None, tables: str
) -> list[Correction]:
    """Corrections for the released hours of ``touched``, the last of the given common table expressions."""
    if released is None:
        return []
    statement, params = bind(
        f"""
        WITH recorded AS (SELECT load_id FROM ops.loads WHERE source = :source AND status = 'loaded'), {tables}
        SELECT DATE_TRUNC('hour', happened) AS hour, COUNT(*) AS row_versions
        FROM touched
        WHERE happened >= :history_start AND DATE_TRUNC('hour', happened) <= :last_released_hour
        GROUP BY 1
        """,
        source=source,
        load_id=load_id,
        as_of=context.as_of,
        history_start=context.history_start,
        last_released_hour=released - HOUR,
    )
    found = [(hour, rows) for hour, rows in context.warehouse.rows(statement, params)]
    reason = "rows new or changed after the hour had been released"
    return [Correction(source, subject, window, load_id, rows, reason) for window, rows in merge_hours(found)]
