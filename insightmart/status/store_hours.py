"""Which store sent which hour: the map of the last seven days, and whom to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from ingestion.loading.intervals import HOUR
from ingestion.warehouse import Warehouse
from insightmart.certification.observations import watermarks
from insightmart.certification.verdict import whole_hour

DAYS, HOURS_A_DAY = 7, 24


class FileState(StrEnum):
    """What became of the counts that a store owes for an hour."""

    IN = "in"
    LATE = "late"  # in, after the hour had been certified without it
    QUARANTINED = "quarantined"  # here, and in no figure
    MISSING = "missing"
    AWAITED = "awaited"  # not missed yet: its time has not come
    CLOSED = "closed"  # the store owes none


_CAME = {1: FileState.QUARANTINED, 2: FileState.IN, 3: FileState.LATE}


@dataclass(frozen=True)
class HoursInARow:
    """Hours of one store in a row that have the same state; ``first`` counts from the first hour of the map."""

    state: FileState
    first: int
    hours: int
    since: datetime


@dataclass(frozen=True)
class StoreFile:
    """A file of the map's days that did not come in as it should; instants are UTC."""

    file_name: str
    file_hour: datetime | None
    status: str
    reason: str
    seen_at: datetime | None


@dataclass(frozen=True)
class StoreRow:
    """A store with its hours.

    Attributes:
        store_id: its id.
        name: as its reference says; empty where there is none.
        place: region and city.
        manager: whom to ask.
        timezone: of its own days.
        stretches: all hours of the map, in order.
        files: what did not come in as it should, newest first.
    """

    store_id: int
    name: str
    place: str
    manager: str
    timezone: str
    stretches: tuple[HoursInARow, ...]
    files: tuple[StoreFile, ...]

    @property
    def states(self) -> Iterator[FileState]:
        """The state of each hour, in order."""
        return (one.state for one in self.stretches for _ in range(one.hours))

    def hours(self, state: FileState | str) -> int:
        """How many hours have this state."""
        return sum(one.hours for one in self.stretches if one.state == state)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, late or in quarantine."""
        return not (self.hours(FileState.MISSING) or self.hours(FileState.LATE) or self.hours(FileState.QUARANTINED))


@dataclass(frozen=True)
class MissingStore:
    """An open store whose hourly files have not all come."""

    store_id: int
    store_name: str
    missing_hours: int
    expected_hours: int
    last_hour: datetime | None


@dataclass(frozen=True)
class StoreHours:
    """The map: its hours begin at ``start`` (UTC); ``count`` of them. Those before ``due`` are waited for no more."""

    start: datetime
    count: int
    stores: tuple[StoreRow, ...]
    due: datetime

    @property
    def numbers(self) -> frozenset[int]:
        """The stores of the map, which have a page."""
        return frozenset(store.store_id for store in self.stores)

    @property
    def incomplete(self) -> list[StoreRow]:
        """The stores with something to ask, most missing hours first."""
        found = [store for store in self.stores if not store.is_complete]
        return sorted(found, key=lambda store: (-store.hours(FileState.MISSING), store.store_id))


def store_hours(
    warehouse: Warehouse, existing: set[str], as_of: datetime, history_start: datetime
) -> StoreHours | None:
    """The map of the last seven days; None before there are stores or files.

    Args:
        warehouse: open connection.
        existing: its tables.
        as_of: "now", UTC.
        history_start: first instant of history.
    """
    from ingestion.stores.missing import expected_files  # imports dlt, which takes seconds

    if not {"ops.files", "ops.missing_files", "raw.stores_reference", "certified.dim_stores"} <= existing:
        return None
    end = whole_hour(as_of)
    start = max(end - timedelta(days=DAYS), history_start)
    count = int((end - start) / HOUR)
    if count <= 0:
        return None
    due = watermarks(warehouse, existing).get("stores.inventory") or start
    states: dict[int, list[FileState]] = {}
    for hour, store_id in expected_files(warehouse, start, end):
        hours = states.setdefault(store_id, [FileState.CLOSED] * count)
        hours[int((hour - start) / HOUR)] = FileState.MISSING if hour < due else FileState.AWAITED
    files: dict[int, list[StoreFile]] = {}
    for store_id, hour, came, *file in _seen(warehouse, start, end):
        if came is None:
            name, status, reason, seen_at = file
            files.setdefault(store_id, []).append(StoreFile(name, hour, status, reason or "", seen_at))
        elif came and store_id in states:
            states[store_id][int((hour - start) / HOUR)] = _CAME[int(came)]
    known = {
        store_id: (name or "", ", ".join(filter(None, (city, region))), manager or "", zone or "")
        for store_id, name, city, region, manager, zone in warehouse.rows(
            "SELECT store_id, store_name, city, region, manager, timezone FROM certified.dim_stores WHERE is_current"
        )
    }
    return StoreHours(
        start,
        count,
        tuple(
            StoreRow(
                store_id,
                *known.get(store_id, ("", "", "", "")),
                _stretches(states[store_id], start),
                tuple(files.get(store_id, ())),
            )
            for store_id in sorted(states)
        ),
        due,
    )


def missing_stores(found: StoreHours | None) -> list[MissingStore]:
    """Stores without all files of the last 24 hours that are due and in which they were open, most missing first."""
    if found is None:
        return []
    last = int((whole_hour(found.due) - found.start) / HOUR)
    first = max(0, last - HOURS_A_DAY)
    stores = []
    for store in found.stores:
        states = list(store.states)[first:last]
        expected = [state for state in states if state is not FileState.CLOSED]
        missing = states.count(FileState.MISSING)
        came = [hour for hour, state in enumerate(states, first) if state in _CAME.values()]
        if missing:
            last_hour = found.start + came[-1] * HOUR if came else None
            stores.append(MissingStore(store.store_id, store.name, missing, len(expected), last_hour))
    return sorted(stores, key=lambda store: (-store.missing_hours, store.store_id))


def _stretches(states: list[FileState], start: datetime) -> tuple[HoursInARow, ...]:
    found, first = [], 0
    for state, group in groupby(states):
        hours = len(list(group))
        found.append(HoursInARow(state, first, hours, start + first * HOUR))
        first += hours
    return tuple(found)


def _seen(warehouse: Warehouse, start: datetime, end: datetime) -> Iterable[tuple[Any, ...]]:
    """What came for each store and hour, and each file that was not simply loaded, newest first: in one question.

    1 is in quarantine, 2 in, 3 in after it had been missed; None a file.
    """
    return warehouse.rows(
        """
        SELECT f.store_id, f.file_hour,
            MAX(CASE WHEN f.status IN ('loaded', 'duplicate') THEN CASE WHEN m.arrived_at IS NULL THEN 2 ELSE 3 END
                WHEN f.status = 'quarantined' THEN 1 ELSE 0 END) AS came,
            NULL AS file_name, NULL AS status, NULL AS reason, CAST(NULL AS TIMESTAMP_NTZ) AS seen_at
        FROM ops.files AS f
        LEFT JOIN ops.missing_files AS m ON m.store_id = f.store_id AND m.file_hour = f.file_hour
        WHERE f.source = 'stores' AND f.entity = 'inventory' AND f.store_id IS NOT NULL
            AND f.file_hour >= ? AND f.file_hour < ?
        GROUP BY f.store_id, f.file_hour
        UNION ALL
        SELECT store_id, file_hour, NULL, file_name, status, reason, seen_at FROM ops.files
        WHERE source = 'stores' AND store_id IS NOT NULL AND status NOT IN ('loaded', 'duplicate') AND seen_at >= ?
        ORDER BY seen_at DESC, file_name
        """,
        [start, end, start],
    )
