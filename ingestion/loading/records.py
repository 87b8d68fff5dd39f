"""What is written when a load is in: its rows of ``ops.loads``, and the watermarks it moves."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ingestion.contracts import Entity
from ingestion.loading.context import IngestContext, LoadResult
from ingestion.loading.planning import watermarks


def record(context: IngestContext, results: Sequence[LoadResult]) -> None:
    """Write the load records and move the watermarks; call it inside ``context.warehouse.transaction()``.

    From here on the load counts: its mark as started is taken away. Correction windows, pieces of a long reading and
    anything else that has to be true together with the load go into the same transaction.
    A watermark never moves back. Results with the status ``skipped`` leave no trace.
    """
    done = [result for result in results if result.status != "skipped"]
    for source in {result.source for result in done}:
        context.warehouse.execute("DELETE FROM ops.loads WHERE source = ? AND status = 'started'", [source])
    context.warehouse.insert("ops.loads", [_load_row(context, result) for result in done])
    _move_watermarks(context, done)


def _load_row(context: IngestContext, result: LoadResult) -> dict[str, Any]:
    return {
        "load_id": result.load_id,
        "source": result.source,
        "entity": result.entity,
        "window_start": result.window.start if result.window else None,
        "window_end": result.window.end if result.window else None,
        "rows": result.rows,
        "rejected_rows": result.rejected_rows,
        "bytes": result.bytes,
        "source_count": result.source_count,
        "source_sum": result.source_sum,
        "landed_sum": result.landed_sum,
        "content_hash": result.content_hash,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "seconds": Decimal(str(round((result.ended_at - result.started_at).total_seconds(), 3))),
        "status": result.status,
        "loaded_at": context.as_of,
    }


def _move_watermarks(context: IngestContext, results: Sequence[LoadResult]) -> None:
    known = watermarks(context.warehouse)
    moved = {}
    for result in results:
        key, through = (result.source, result.entity), result.covered_through
        if through is not None and (key not in known or known[key] < through):
            known[key] = through
            moved[key] = {
                "source": result.source,
                "entity": result.entity,
                "covered_through": through,
                "load_id": result.load_id,
                "updated_at": context.as_of,
            }
    for source in sorted({source for source, _ in moved}):
        entities = [entity for name, entity in moved if name == source]
        marks = ", ".join("?" * len(entities))
        context.warehouse.execute(
            f"DELETE FROM ops.source_watermarks WHERE source = ? AND entity IN ({marks})", [source, *entities]
        )
    context.warehouse.insert("ops.source_watermarks", list(moved.values()))
    context.covered.clear()  # asked for again: the caller's transaction may yet be undone


def landed_sum(context: IngestContext, item: Entity, load_id: str | None) -> Decimal | None:
    """The exact sum of the entity's control column over the raw rows of a load; None without rows or such a column."""
    if item.control_sum is None or load_id is None:
        return None
    total: Decimal | int | None = context.warehouse.value(
        f'SELECT SUM("{item.control_sum.upper()}") FROM raw.{item.table} WHERE _dlt_load_id = ?', [load_id]
    )
    return None if total is None else Decimal(total)
