"""How far the sources are in, and how far back raw reaches, as the models ask: once a run or a plan, during which
nothing is loaded or deleted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter.base import EngineAdapter

_WATERMARKS = "SELECT LOWER(source || '.' || entity), MAX(covered_through) FROM ops.source_watermarks GROUP BY 1"
_HORIZON = "SELECT MAX(purged_before) FROM ops.purges WHERE class = 'raw'"
_BOTH = f"{_WATERMARKS} UNION ALL SELECT NULL, MAX(purged_before) FROM ops.purges WHERE class = 'raw'"

AT_ONCE = 200  # intervals that a signal is asked about


class _Known(NamedTuple):
    """What was answered: ``source.entity`` -> how far it is in, and before when raw was deleted."""

    covered: Mapping[str, datetime]
    horizon: datetime | None


_is_under_way = False  # whether a run or a plan is, for all threads, as SQLMesh has some of its own
_known: _Known | None = None  # what its first question was answered


@contextmanager
def asked_once() -> Iterator[None]:
    """What is asked first holds for everything within."""
    global _is_under_way, _known
    _is_under_way, _known = True, None
    try:
        yield
    finally:
        _is_under_way, _known = False, None


def covered_through(adapter: EngineAdapter) -> Mapping[str, datetime]:
    """``source.entity``, in lower case -> the instant (UTC) through which it is in; what never was in is missing."""
    return _of_run(adapter).covered if _is_under_way else _covered(adapter.fetchall(_WATERMARKS))


def raw_purged_before(adapter: EngineAdapter) -> datetime | None:
    """The instant (UTC) before which raw was deleted (``ingestion.loading.horizon``); None: nothing ever was."""
    if _is_under_way:
        return _of_run(adapter).horizon
    if not adapter.table_exists("ops.purges"):  # only a command of ours makes it
        return None
    rows: list[tuple[datetime | None]] = adapter.fetchall(_HORIZON)
    return rows[0][0] if rows else None


def asked_in_parts(check: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """A signal is asked about a first history part by part: a change to SQLMesh for ``sqlmesh_patches``.

    Why: SQLMesh looks for each interval that a signal lets through among all that it asked about, one after the other,
    which is quadratic: three quarters of the processor time of a first build of eight years. Ours judge each by itself.

    Test: tests/models/test_signals.py
    """

    @functools.wraps(check)
    def run(signal: Any, intervals: list[Any], *args: Any, **kwargs: Any) -> list[Any]:
        parts = (intervals[start : start + AT_ONCE] for start in range(0, len(intervals), AT_ONCE))
        return [interval for part in parts for interval in check(signal, part, *args, **kwargs)]

    return run


def _of_run(adapter: EngineAdapter) -> _Known:
    global _known
    if _known is None:
        rows: list[tuple[str | None, Any]] = adapter.fetchall(_BOTH)
        horizon = next((instant for name, instant in rows if name is None), None)
        _known = _Known(_covered([(name, instant) for name, instant in rows if name is not None]), horizon)
    return _known


def _covered(rows: list[tuple[Any, ...]]) -> dict[str, datetime]:
    return {name: instant for name, instant in rows if instant is not None}
