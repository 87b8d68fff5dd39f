"""The open entries of the queue of corrections as plans: which windows and sources are restated in one go.

What waits for one gate does not keep the rest waiting: windows of hours that are not certified yet, because a gate
holds them back, stand in plans of their own, and so do windows that were refused before.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ingestion.loading.context import Window
from ingestion.warehouse import Warehouse
from insightmart.transform.model_graph import Kind

HOUR = timedelta(hours=1)

# What a plan costs beside its rows, in hours of one kind that could be rebuilt instead: seconds of planning against
# tens of milliseconds an hour locally, a round trip for each statement of thirty models on Snowflake.
PLAN_COST_HOURS = 96

# When an open entry has its turn: those that nobody tried, those that were refused, those of hours a gate holds back.
_DUE, _REFUSED, _HELD = 0, 1, 2

_NOTHING_PUBLISHED = (
    "SELECT CAST(NULL AS VARCHAR) AS source, CAST(NULL AS VARCHAR) AS entity, CAST(NULL AS TIMESTAMP_NTZ) AS through"
    " WHERE 1 = 0"
)

# Of each load with open entries: to when its source was known before it, and by it.
_KNOWN_BY_LOADS = (
    "SELECT l.source, l.load_id, MAX(earlier.window_end) AS known_before, MAX(l.window_end) AS known_until"
    " FROM ops.loads AS l INNER JOIN ops.loads AS earlier ON earlier.source = l.source AND earlier.entity = l.entity"
    " AND earlier.status = 'loaded' AND earlier.window_end >= l.window_start AND earlier.window_end < l.window_end"
    " WHERE l.status = 'loaded' AND l.load_id IN (SELECT load_id FROM ops.correction_windows WHERE status = 'open')"
    " GROUP BY l.source, l.load_id"
)
_TOO_EARLY = "built before what came with it into earlier hours"


@dataclass(frozen=True)
class Restatement:
    """One plan to apply: the kinds of rows to restate, and the window. It closes every open entry that lies in it.

    ``is_held``: it begins where its gate has stopped, and no part of it is tried alone: hours are certified in order.
    """

    start: datetime
    end: datetime
    kinds: frozenset[Kind]
    is_held: bool = False

    @property
    def cost(self) -> float:
        """What it costs to apply, in hours of one kind."""
        return PLAN_COST_HOURS + len(self.kinds) * ((self.end - self.start) / HOUR)

    def with_(self, other: Restatement) -> Restatement:
        """Both in one plan."""
        start, end = min(self.start, other.start), max(self.end, other.end)
        return Restatement(start, end, self.kinds | other.kinds, self.is_held or other.is_held)

    def hours(self, history_start: datetime, as_of: datetime) -> tuple[datetime, datetime] | None:
        """The whole hours of the window that history holds; None when there is none."""
        start = max(whole_hour(self.start), history_start)
        end = min(whole_hour(self.end - timedelta(microseconds=1)) + HOUR, whole_hour(as_of))
        return (start, end) if start < end else None


def whole_hour(instant: datetime) -> datetime:
    """The beginning of the instant's hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


def open_restatements(
    warehouse: Warehouse,
    as_of: datetime,
    gates: Mapping[Kind, str] | None = None,
    history_start: datetime | None = None,
    is_built: Callable[[Kind, Window], bool] = lambda kind, window: False,
) -> list[Restatement]:
    """The open entries of the queue as the plans that rebuild them most cheaply.

    Entries that begin in the hour of ``as_of`` or later are left in the queue: their hours are not built yet.

    What a load brought into earlier hours comes first, the hours that are new with it after that: a refund looks for
    its order. Where plain `sqlmesh run` came between, they were built without, and are queued too.

    Args:
        warehouse: open connection.
        as_of: now, UTC.
        gates: by kind the gate that says how far it is certified (``gates_of``).
        history_start: where the hours begin of a gate that has let nothing through, UTC.
        is_built: whether models that a kind restates have some of a window done.
    """
    published = " UNION ALL ".join(
        f"SELECT '{source}' AS source, '{entity}' AS entity, MAX(window_end) AS through FROM {gate}"
        for (source, entity), gate in sorted((gates or {}).items())
    )
    # entries that touch or overlap are one window: however many there are, plans follow the hours they cover
    windows = warehouse.rows(
        f"""
        SELECT source, entity, turn, through, MIN(window_start), MAX(window_end), MIN(known_before), MAX(known_until)
        FROM (
            SELECT source, entity, turn, through, window_start, window_end, known_before, known_until,
                SUM(begins) OVER (
                    PARTITION BY source, entity, turn ORDER BY window_start, window_end ROWS UNBOUNDED PRECEDING
                ) AS island
            FROM (
                SELECT source, entity, turn, through, window_start, window_end, known_before, known_until,
                CASE WHEN window_start <= MAX(
                    window_end
                ) OVER (
                    PARTITION BY source, entity, turn ORDER BY window_start, window_end
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) THEN 0 ELSE 1 END AS begins
                FROM (
                    SELECT c.source, c.entity, c.window_start, c.window_end, p.through,
                        CASE
                            WHEN p.source IS NOT NULL AND (p.through IS NULL OR c.window_end > p.through) THEN {_HELD}
                            WHEN c.attempts > 0 THEN {_REFUSED}
                            ELSE {_DUE}
                        END AS turn,
                        CASE WHEN c.attempts = 0 OR NOT c.last_error LIKE 'gate.%' THEN l.known_before
                        END AS known_before, l.known_until
                    FROM ops.correction_windows AS c
                    LEFT JOIN ({published or _NOTHING_PUBLISHED}) AS p
                        ON p.source = c.source AND p.entity = c.entity
                    LEFT JOIN ({_KNOWN_BY_LOADS}) AS l ON l.source = c.source AND l.load_id = c.load_id
                    WHERE c.status = 'open' AND c.window_start < ? AND c.window_end > c.window_start
                ) AS entries
            ) AS marked
        ) AS islands
        GROUP BY source, entity, turn, through, island
        ORDER BY 5, 6, 1, 2
        """,
        [whole_hour(as_of)],
    )
    early = [hours for hours in _new_with(windows) if is_built(*hours)]
    for (source, entity), window in early:
        queue_by_us(warehouse, source, entity, window.start, window.end, as_of, _TOO_EARLY)
    if early:
        return open_restatements(warehouse, as_of, gates, history_start)
    plans: dict[int, list[Restatement]] = {_DUE: [], _REFUSED: []}
    held: dict[Kind, Restatement] = {}
    certified: dict[Kind, datetime] = {}
    for source, entity, turn, through, start, end, *_ in windows:
        kind, plan = (source, entity), Restatement(start, end, frozenset({(source, entity)}))
        if turn == _HELD:
            # from where the gate has stopped on: an hour that passes alone would leave a hole before it
            first = Restatement(min(start, through or history_start or start), end, plan.kinds, is_held=True)
            held[kind] = held[kind].with_(first) if kind in held else first
        else:
            plans[turn].append(plan)
        if through:
            certified[kind] = through
    return [*cheapest_cover(plans[_DUE], certified), *cheapest_cover(plans[_REFUSED], certified), *held.values()]


def _new_with(windows: Sequence[tuple[Any, ...]]) -> list[tuple[Kind, Window]]:
    """The hours that became known by the loads of open entries, but for those that an entry has already."""
    found: dict[tuple[Kind, Window], None] = {}
    for source, entity, *_, before, until in windows:
        if before is None or whole_hour(before) >= whole_hour(until):
            continue
        hours = Window(whole_hour(before), whole_hour(until))
        queued = (row for row in windows if row[:2] == (source, entity))
        if not any(start <= hours.start and hours.end <= end for *_, start, end, _, _ in queued):
            found[(source, entity), hours] = None
    return list(found)


def queue_by_us(
    warehouse: Warehouse, source: str, entity: str, start: datetime, end: datetime, as_of: datetime, reason: str
) -> None:
    """Queue a window that no load has."""
    warehouse.insert(
        "ops.correction_windows",
        [
            {
                "window_id": uuid.uuid4().hex,
                "source": source,
                "entity": entity,
                "window_start": start,
                "window_end": end,
                "reason": reason,
                "queued_at": as_of,
                "status": "open",
                "attempts": 0,
            }
        ],
    )


def cheapest_cover(plans: Sequence[Restatement], certified: Mapping[Kind, datetime] | None = None) -> list[Restatement]:
    """Put plans together as long as one costs no more than two: near windows, and sources with similar ones.

    Args:
        plans: what is to be restated.
        certified: by kind through when it is certified. No plan is put together with one that takes it beyond: hours
            that a gate holds back would keep its window from being certified.
    """
    covered: list[Restatement] = []
    for plan in plans:
        for place, other in enumerate(covered):
            merged = other.with_(plan)
            if merged.cost <= other.cost + plan.cost and not _goes_beyond(merged, (other, plan), certified or {}):
                covered[place] = merged
                break
        else:
            covered.append(plan)
    return covered if len(covered) == len(plans) else cheapest_cover(covered, certified)


def _goes_beyond(merged: Restatement, plans: Iterable[Restatement], certified: Mapping[Kind, datetime]) -> bool:
    return any(plan.end <= certified[kind] < merged.end for plan in plans for kind in plan.kinds if kind in certified)
