"""Why figures become other ones: what was evaluated since the journal was last written, date by date. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from insightmart.journal.followed import Followed

# Instants of a window may lie on another date in the time zones of stores: from UTC-12 to UTC+14.
BEHIND_UTC, AHEAD_OF_UTC = timedelta(hours=12), timedelta(hours=14)
BY_HAND = "manual"  # source of a correction that somebody queued


EPOCH = datetime(1970, 1, 1)


def publication_at(instant: datetime) -> int:
    """The number of what is written down at an instant of the clock, UTC: microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


class Cause(StrEnum):
    """Why a cell became another one."""

    FIRST = "first"  # it was never published before
    NEW_HOURS = "new hours"  # the day goes on: hours that had not been published
    LATE_ROWS = "late rows"  # a load brought, changed or deleted rows of hours that had been published
    RELEASED = "released"  # a load replayed rows or files out of quarantine
    RESTATED = "restated"  # somebody had hours built again
    MODELS = "changed rule or model"  # another version of the models was published
    UNEXPLAINED = "unexplained"  # nothing that was evaluated explains it: changed by hand


# Where several things happened to one date, the first of these is said; loads and windows of all of them are kept.
ORDER = (Cause.RELEASED, Cause.LATE_ROWS, Cause.RESTATED, Cause.NEW_HOURS)


@dataclass(frozen=True)
class _Window:
    """A window, UTC, the end excluded."""

    start: datetime
    end: datetime

    def meets(self, other: _Window) -> bool:
        """Whether some instant lies in both."""
        return self.start < other.end and self.end > other.start

    def dates(self, whole_dates: bool = False) -> range:
        """Business dates that its events can have, as ordinals; of all events of its UTC dates if asked."""
        first, last = self.start, self.end - timedelta(microseconds=1)
        if whole_dates:
            first, last = (datetime.combine(at, edge) for at, edge in ((first, time.min), (last, time.max)))
        return range((first - BEHIND_UTC).date().toordinal(), (last + AHEAD_OF_UTC).date().toordinal() + 1)


@dataclass(frozen=True)
class Evaluated(_Window):
    """A window of a certified part that was written anew."""

    part: str


@dataclass(frozen=True)
class QueuedCorrection(_Window):
    """An entry of the queue of corrections: whose, which window, and what queued it."""

    source: str
    entity: str
    window_id: str
    load_id: str | None
    is_replay: bool

    @property
    def cause(self) -> Cause:
        """What it makes of the figures that change by it."""
        if self.source == BY_HAND:
            return Cause.RESTATED
        return Cause.RELEASED if self.is_replay else Cause.LATE_ROWS


@dataclass(frozen=True)
class PassedScan(_Window):
    """A window that its gate let through."""

    gate: str
    scan_id: str


@dataclass
class _Found:
    causes: set[Cause] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    windows: set[str] = field(default_factory=set)
    scans: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Reason:
    """What explains a change of cells of these business dates (both included)."""

    first: date
    last: date
    cause: Cause
    loads: str | None
    windows: str | None
    scan_ids: str | None


def reasons(
    followed: Followed,
    evaluated: Iterable[Evaluated],
    corrections: Sequence[QueuedCorrection],
    scans: Sequence[PassedScan],
    through: Mapping[str, datetime],
    sources: Collection[str] | None = None,
) -> list[Reason]:
    """What explains changes of an aggregate, in disjoint ranges of dates, in order.

    Args:
        followed: the aggregate.
        evaluated: what was evaluated; windows of other aggregates are passed over.
        corrections: entries that are, or just were, open.
        scans: what the gates let through since the journal was last written.
        through: part -> through when its hours are in the journal; a part that is not in it never was.
        sources: only what parts of these sources explain; None for all.
    """
    by_date: dict[int, _Found] = {}
    for window in evaluated:
        if window.part not in followed.parts:
            continue
        source, gate = followed.parts[window.part], followed.gates[window.part]
        if sources is not None and source not in sources:
            continue
        is_new = window.end > through.get(window.part, datetime.min)
        was_there = window.start < through.get(window.part, datetime.min)
        due = [
            one
            for one in corrections
            if was_there
            and one.meets(window)
            and (one.source == BY_HAND or (one.source, one.entity) == (source, followed.area))
        ]
        seen = {one.scan_id for one in scans if one.gate == gate and one.meets(window)}
        for day in window.dates(followed.by_utc_date):
            found = by_date.setdefault(day, _Found())
            found.scans |= seen
            found.causes |= {Cause.NEW_HOURS} if is_new else set()
            of_day = [one for one in due if day in one.dates(followed.by_utc_date)]
            found.causes |= {one.cause for one in of_day}
            found.loads |= {one.load_id for one in of_day if one.load_id}
            found.windows |= {one.window_id for one in of_day}
            if was_there and not due:
                found.causes.add(Cause.RESTATED)
    return _ranges(by_date)


def _ranges(by_date: Mapping[int, _Found]) -> list[Reason]:
    ranges: list[Reason] = []
    for day in sorted(by_date):
        found = by_date[day]
        cause = next((one for one in ORDER if one in found.causes), Cause.UNEXPLAINED)
        told = (cause, _listed(found.loads), _listed(found.windows), _listed(found.scans))
        at = date.fromordinal(day)
        reason = Reason(at, at, *told)
        if (
            ranges
            and (last := ranges[-1]).last == at - timedelta(days=1)
            and last == replace(reason, first=last.first, last=last.last)
        ):
            ranges[-1] = replace(last, last=at)
        else:
            ranges.append(reason)
    return ranges


def _listed(ids: set[str]) -> str | None:
    return ", ".join(sorted(ids)) or None
