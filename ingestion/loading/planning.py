"""What to read next: how far each entity is covered already, and the window of changes that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestion.contracts import Entity
from ingestion.loading.context import EPOCH, IngestContext, LoadResult, Window
from ingestion.warehouse import Warehouse

OVERLAP = timedelta(minutes=30)  # re-read each time, for rows committed late with an older updated_at


@dataclass(frozen=True)
class Reading:
    """What to read of one entity now, and where its watermark stands afterwards (None: it does not move)."""

    window: Window
    covered_through: datetime | None


def covered_through(context: IngestContext, source: str, entity: str) -> datetime | None:
    """The entity's watermark: every change before it is in raw. None when it was never loaded."""
    if not context.covered:
        context.covered.update(watermarks(context.warehouse))
    return context.covered.get((source, entity))


def watermarks(warehouse: Warehouse) -> dict[tuple[str, str], datetime]:
    """All watermarks, by source and entity."""
    found = warehouse.rows("SELECT source, entity, covered_through FROM ops.source_watermarks")
    return {(source, entity): through for source, entity, through in found}


def released_through(context: IngestContext, source: str, entities: Sequence[str]) -> datetime | None:
    """The latest watermark of these entities: hours before it may have been given to the models. None: none was."""
    known = watermarks(context.warehouse) if context.released is None else context.released
    return max((known[source, name] for name in entities if (source, name) in known), default=None)


def plan_reading(context: IngestContext, entity: Entity, requested: Window | None = None) -> Reading | None:
    """The window of changes to read next, or None when nothing is due.

    Without a request: from the watermark (less the overlap) to ``as_of``; the first time everything before ``as_of``.
    A daily entity is due once a UTC day. With a request: just that window, cut at ``as_of``; the watermark moves only
    where the window joins on to what is covered already (for an hourly entity that was never loaded: to the start of
    history).
    """
    covered = covered_through(context, entity.source, entity.name)
    if requested is not None:
        window = Window(requested.start, min(requested.end, context.as_of))
        if window.end <= window.start:
            return None
        reaches = covered or (context.history_start if entity.cadence == "hourly" else EPOCH)
        return Reading(window, window.end if window.start <= reaches < window.end else None)
    if covered is None:
        return Reading(Window(EPOCH, context.as_of), context.as_of)
    due = context.as_of.date() > covered.date() if entity.cadence == "daily" else context.as_of > covered
    return Reading(Window(covered - OVERLAP, context.as_of), context.as_of) if due else None


def skipped(entity: Entity) -> LoadResult:
    """The result of an entity that is not due."""
    return LoadResult(entity.source, entity.name, None, None, 0, status="skipped")
