"""A backfill: a long reading in pieces. Which of them are in raw, so that it goes on where it stopped when killed.

A piece is one dlt package. ``add`` belongs into the transaction that records the package's load: then a piece is in the
list exactly when its rows count, and repeating the reading brings each row once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from ingestion.clock import utc_now
from ingestion.loading.context import IngestContext, Window


@dataclass
class Backfill:
    """One reading of a window in pieces: the first load of a large table, a long window on request, a catch-up.

    Attributes:
        backfill_id: its id in ``ops.backfills``.
        window: what it reads; a reading that goes on keeps the end it was begun with.
        begun_as_of: "now" of the run that began it, UTC without a zone: whatever changed at the source since then has
            to be read once more when the last piece is in.
        done: rows by name of the pieces that are in.
    """

    context: IngestContext
    source: str
    entity: str
    backfill_id: str
    window: Window
    begun_as_of: datetime
    done: dict[str, int] = field(default_factory=dict)

    def add(self, piece: str, load_id: str | None, rows: int) -> None:
        """A piece is in. Call it inside the transaction that records its load.

        Args:
            piece: names the piece within this reading, the same each time.
            load_id: its load; None when there was nothing to load.
            rows: rows that landed, rejects included.
        """
        row = {"backfill_id": self.backfill_id, "piece": piece, "load_id": load_id, "rows": rows, "ended_at": utc_now()}
        self.context.warehouse.insert("ops.backfill_pieces", [row])
        self.done[piece] = rows

    def complete(self) -> None:
        """All pieces are in: the next reading of the same window begins anew. Call it inside a transaction."""
        self.context.warehouse.execute(
            "UPDATE ops.backfills SET status = 'complete', ended_at = ? WHERE backfill_id = ?",
            [utc_now(), self.backfill_id],
        )


def unfinished_backfill(context: IngestContext, source: str, entity: str, start: datetime) -> Backfill | None:
    """The unfinished reading of this entity from this instant on, whatever its end; None when there is none."""
    found = context.warehouse.rows(
        "SELECT backfill_id, window_end, as_of FROM ops.backfills"
        " WHERE source = ? AND entity = ? AND window_start = ? AND status = 'open' ORDER BY started_at DESC LIMIT 1",
        [source, entity, start],
    )
    if not found:
        return None
    [(backfill_id, end, as_of)] = found
    pieces = context.warehouse.rows(
        'SELECT piece, "ROWS" FROM ops.backfill_pieces WHERE backfill_id = ?', [backfill_id]
    )
    return Backfill(context, source, entity, backfill_id, Window(start, end), as_of, dict(pieces))


def begin_backfill(context: IngestContext, source: str, entity: str, window: Window) -> Backfill:
    """The unfinished reading of just this window, or a new one."""
    going_on = unfinished_backfill(context, source, entity, window.start)
    if going_on is not None and going_on.window == window:
        return going_on
    backfill = Backfill(context, source, entity, uuid.uuid4().hex, window, context.as_of)
    row = {
        "backfill_id": backfill.backfill_id,
        "source": source,
        "entity": entity,
        "window_start": window.start,
        "window_end": window.end,
        "as_of": context.as_of,
        "status": "open",
        "started_at": utc_now(),
    }
    context.warehouse.insert("ops.backfills", [row])
    return backfill
