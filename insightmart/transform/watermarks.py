"""How far the sources are in, and how far back raw reaches, as the models ask: once a run or a plan, during which
nothing is loaded or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter.base import EngineAdapter

# What was answered to the run or plan under way: empty until its first signal asks, None while there is none.
_answer: dict[str, datetime] | None = None
_horizon: list[datetime | None] = []


@contextmanager
def asked_once() -> Iterator[None]:
    """What is asked first holds for everything within."""
    global _answer  # for all threads, as SQLMesh has some of its own
    _answer = {}
    _horizon.clear()
    try:
        yield
    finally:
        _answer = None
        _horizon.clear()


def covered_through(adapter: EngineAdapter) -> dict[str, datetime]:
    """``source.entity``, in lower case -> the instant (UTC) through which it is in; what never was in is missing."""
    if _answer:
        return _answer
    rows: list[tuple[str, Any]] = adapter.fetchall(
        "SELECT LOWER(source || '.' || entity), MAX(covered_through) FROM ops.source_watermarks GROUP BY 1"
    )
    found = {name: instant for name, instant in rows if instant is not None}
    if _answer is not None:
        _answer.update(found)
    return found


def raw_purged_before(adapter: EngineAdapter) -> datetime | None:
    """The instant (UTC) before which raw was deleted (``ingestion.loading.horizon``); None: nothing ever was."""
    if _answer is not None and _horizon:
        return _horizon[0]
    found: datetime | None = None
    if _answer is not None or adapter.table_exists("ops.purges"):  # a command of ours has made it
        rows: list[tuple[Any, ...]] = adapter.fetchall("SELECT MAX(purged_before) FROM ops.purges WHERE class = 'raw'")
        found = rows[0][0] if rows else None
    if _answer is not None:
        _horizon.append(found)
    return found
