"""What a reconciliation compares: every hour what changed since the last one, once a day all that may still change.

What changed is told by the gates (every window that passes, whoever restated it, is scanned), by the queue of
corrections, by new tills and reports of the shop, and by the clock where a comparison waits for something. Whatever
none of them tells, such as a figure changed by hand, is found by the sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ingestion.warehouse import Warehouse, bind
from insightmart.reconciliation.controls import ROWS, Control, Dates, Hours, Scope
from insightmart.reconciliation.statements import Statements

CHANGES, HORIZON, ASKED = "changes", "horizon", "asked"  # reach of a reconciliation
TOGETHER = timedelta(days=1)  # hours this near to each other are counted in one go
EVERY_PART = "manual"  # source of a correction that names a model, of whichever part


@dataclass(frozen=True)
class Due:
    """What is compared: ``hours`` by file that counts, ``dates`` by file that compares; both in order, apart."""

    reach: str
    hours: Mapping[str, list[Hours]]
    dates: Mapping[str, list[Dates]]


@dataclass(frozen=True)
class Last:
    """The last reconciliation that looked at everything that had changed by then.

    Attributes:
        as_of: "now" of it.
        reconciled_at: wall clock when it began.
        swept: "now" of the last sweep of every control that is due; None: one has never been swept.
        through: gate -> first instant whose hour it did not count, because it was not certified yet.
    """

    as_of: datetime
    reconciled_at: datetime
    swept: datetime | None
    through: Mapping[str, datetime]


def what_is_due(
    statements: Statements,
    controls: Sequence[Control],
    through: Mapping[str, datetime | None],
    scope: Scope,
    reach: str,
) -> Due:
    """What is compared, and whether it is a sweep after all.

    A cycle (``changes``) sweeps the first time, and once a day (UTC). A sweep that was killed is not recorded, so that
    the next cycle does it.

    Args:
        statements: of the warehouse.
        controls: those that have something to compare.
        through: gate -> first instant that is not certified, UTC; None: nothing is.
        scope: all dates there are to compare.
        reach: what is wanted: ``changes``, ``horizon`` or ``asked``.
    """
    last = _last(statements.warehouse, controls, scope) if reach == CHANGES else None
    if last and last.swept and last.swept.date() >= scope.as_of.date():
        return _changes(statements, controls, through, scope, last)
    whole = {gate: _clip(scope.hours, scope, through[gate]) for gate in ROWS}
    return Due(
        HORIZON if reach == CHANGES else reach,
        {file: [hours] for gate, files in ROWS.items() if (hours := whole[gate]) for file in files},
        {control.file: [Dates(scope.date_from, scope.date_to)] for control in controls},
    )


def _last(warehouse: Warehouse, controls: Sequence[Control], scope: Scope) -> Last | None:
    """The last one of these controls; None when one of them has never been reconciled."""
    found = warehouse.rows(
        *bind(
            "SELECT control, MAX(as_of), MAX(reconciled_at), MAX(CASE WHEN reach = :horizon THEN as_of END),"
            " MAX(through) FROM ops.reconciled WHERE reach <> :asked AND as_of >= :as_of_from GROUP BY control",
            horizon=HORIZON,
            asked=ASKED,
            as_of_from=scope.hours.start,
        )
    )
    by_control = {control: instants for control, *instants in found}
    if not {control.file for control in controls} <= set(by_control):
        return None
    as_of, reconciled_at, swept, _ = zip(*(by_control[control.file] for control in controls), strict=True)
    through = {name: instants[-1] for name, instants in by_control.items() if instants[-1]}
    return Last(min(as_of), min(reconciled_at), None if None in swept else min(swept), through)


def _changes(
    statements: Statements,
    controls: Sequence[Control],
    through: Mapping[str, datetime | None],
    scope: Scope,
    last: Last,
) -> Due:
    """What changed since the last reconciliation, and what is not settled yet."""
    warehouse = statements.warehouse
    by_gate = _changed_hours(warehouse, through, scope, last)
    dates = {control.file: {day for gate in control.gates for day in _days(by_gate[gate])} for control in controls}
    dates["loads"] |= _between(last.as_of.date(), scope.as_of.date())
    for control in controls:
        if control.loads:
            dates[control.file] |= _reported(warehouse, control.loads, last)
    for file, day in statements.rows("found_unsettled"):
        dates.get(file, set()).add(day)
    inside = _between(scope.date_from, scope.date_to)
    return Due(
        CHANGES,
        {file: by_gate[gate] for gate, files in ROWS.items() for file in files if by_gate[gate]},
        {file: _ranges(days & inside) for file, days in dates.items()},
    )


def _changed_hours(
    warehouse: Warehouse, through: Mapping[str, datetime | None], scope: Scope, last: Last
) -> dict[str, list[Hours]]:
    """Per gate the hours that passed it since, that a correction touched or waits for, and that nobody has counted."""
    gates = [gate for gate in ROWS if through[gate]]
    scanned = "".join(
        f"SELECT '{gate}' AS part, window_start, window_end FROM gate.{gate}"
        " WHERE scanned_at >= :reconciled_at UNION ALL "
        for gate in gates
    )
    windows = warehouse.rows(
        *bind(
            f"{scanned}SELECT CASE WHEN source = :every_part THEN source ELSE entity || '__' || source END,"
            " window_start, window_end FROM ops.correction_windows WHERE window_end > :events_from"
            " AND (status = 'open' OR queued_at >= :as_of OR closed_at >= :as_of)",
            reconciled_at=last.reconciled_at,
            as_of=last.as_of,
            every_part=EVERY_PART,
            events_from=scope.hours.start,
        )
    )
    found: dict[str, list[Hours]] = {}
    for gate in ROWS:
        touched = [Hours(start, end) for part, start, end in windows if part in (gate, EVERY_PART)]
        uncounted = Hours(last.through.get(gate, scope.hours.start), scope.hours.end)
        clipped = [_clip(hours, scope, through[gate]) for hours in [*touched, uncounted]]
        found[gate] = _merged(hours for hours in clipped if hours)
    return found


def _reported(warehouse: Warehouse, table: str, last: Last) -> set[date]:
    """Business dates of which something came in since."""
    found = warehouse.rows(
        *bind(f"SELECT DISTINCT business_date FROM {table} WHERE _loaded_at >= :as_of", as_of=last.as_of)
    )
    return {day for (day,) in found if day is not None}


def _clip(hours: Hours, scope: Scope, through: datetime | None) -> Hours | None:
    """Whole hours around a window, as far as the scope reaches and they are certified; None: nothing is left."""
    if through is None:
        return None
    start = max(_hour(hours.start), scope.hours.start)
    end = min(_hour(hours.end + timedelta(hours=1) - timedelta(microseconds=1)), scope.hours.end, _hour(through))
    return Hours(start, end) if start < end else None


def _hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _merged(windows: Iterable[Hours]) -> list[Hours]:
    merged: list[Hours] = []
    for hours in sorted(windows):
        if merged and hours.start <= merged[-1].end + TOGETHER:
            merged[-1] = Hours(merged[-1].start, max(merged[-1].end, hours.end))
        else:
            merged.append(hours)
    return merged


def _days(windows: Iterable[Hours]) -> set[date]:
    return {day for hours in windows for day in _between(*hours.dates)}


def _between(first: date, last: date) -> set[date]:
    return {first + timedelta(days=number) for number in range((last - first).days + 1)}


def _ranges(days: Iterable[date]) -> list[Dates]:
    """Dates that follow each other, together."""
    ranges: list[Dates] = []
    for day in sorted(days):
        if ranges and day == ranges[-1].last + timedelta(days=1):
            ranges[-1] = Dates(ranges[-1].first, day)
        else:
            ranges.append(Dates(day, day))
    return ranges
